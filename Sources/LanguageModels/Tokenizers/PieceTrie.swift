/// The pieces of a vocabulary as a trie over Unicode scalars: one step per scalar finds the longest piece.
///
/// Scalars, not `String`s, because strings compare by canonical equivalence, and a vocabulary may hold both forms of
/// one character. Edges lie in one open-addressed table, keyed by node and scalar.
struct PieceTrie: Sendable {
  typealias Node = Int32

  /// Key 0 marks a free slot; no edge has it, as `key` starts counting nodes at one.
  private var keys: [UInt64] = Array(repeating: 0, count: 1024)
  private var targets: [Node] = Array(repeating: 0, count: 1024)
  private var edgeCount = 0
  /// The id of the piece that ends at a node; -1 where none does.
  private var ids: [Int32] = []

  /// A new root: pieces of different positions in a word live in tries of their own.
  mutating func addRoot() -> Node {
    ids.append(-1)
    return Node(ids.count - 1)
  }

  mutating func insert(_ piece: some Sequence<Unicode.Scalar>, id: Int32, at root: Node) {
    var node = root
    for scalar in piece {
      if let next = child(of: node, scalar) {
        node = next
      } else {
        let next = addRoot()
        addEdge(PieceTrie.key(node, scalar), to: next)
        node = next
      }
    }
    ids[Int(node)] = id
  }

  /// The id of exactly this piece.
  func id(of piece: some Sequence<Unicode.Scalar>, at root: Node) -> Int32? {
    var node = root
    for scalar in piece {
      guard let next = child(of: node, scalar) else { return nil }
      node = next
    }
    return ids[Int(node)] < 0 ? nil : ids[Int(node)]
  }

  /// The longest piece that the scalars of `range` start with, and where it ends.
  func longestMatch(
    in scalars: UnsafeBufferPointer<Unicode.Scalar>, _ range: Range<Int>, at root: Node
  ) -> (id: Int32, end: Int)? {
    var node = root
    var match: (id: Int32, end: Int)?
    for index in range {
      guard let next = child(of: node, scalars[index]) else { break }
      node = next
      if ids[Int(node)] >= 0 { match = (ids[Int(node)], index + 1) }
    }
    return match
  }

  private static func key(_ node: Node, _ scalar: Unicode.Scalar) -> UInt64 {
    UInt64(node + 1) << 21 | UInt64(scalar.value)
  }

  /// Fibonacci hashing: the upper bits of the product are the slot.
  private func firstSlot(_ key: UInt64) -> Int {
    Int((key &* 0x9E37_79B9_7F4A_7C15) >> (64 - UInt64(keys.count.trailingZeroBitCount)))
  }

  private func child(of node: Node, _ scalar: Unicode.Scalar) -> Node? {
    let key = PieceTrie.key(node, scalar)
    var slot = firstSlot(key)
    while keys[slot] != 0 {
      if keys[slot] == key { return targets[slot] }
      slot = (slot + 1) & (keys.count - 1)
    }
    return nil
  }

  private mutating func addEdge(_ key: UInt64, to target: Node) {
    edgeCount += 1
    if edgeCount * 2 > keys.count { grow() }
    place(key, target)
  }

  private mutating func place(_ key: UInt64, _ target: Node) {
    var slot = firstSlot(key)
    while keys[slot] != 0 { slot = (slot + 1) & (keys.count - 1) }
    keys[slot] = key
    targets[slot] = target
  }

  private mutating func grow() {
    let old = zip(keys, targets).filter { $0.0 != 0 }
    let size = keys.count * 2
    keys = Array(repeating: 0, count: size)
    targets = Array(repeating: 0, count: size)
    for (key, target) in old { place(key, target) }
  }
}
