/// Two neighbouring tokens that become one.
struct BPEMerge: Sendable {
  let left: Int32
  let right: Int32
  /// Lower ranks merge first; pairs of one rank from left to right.
  let rank: Int32
  let result: Int32
}

/// Byte-pair encoding of one word (Sennrich et al., 2016): starting from its smallest symbols, the neighbours whose merge
/// has the lowest rank become one, until none can.
///
/// The judge is Hugging Face's `tokenizers` (`models/bpe`). A heap holds the merges that are possible and the symbols are
/// linked, so a word of n symbols takes O(n log n).
struct BPEModel: Sendable {
  /// What a word's first symbols are.
  enum Alphabet: Sendable {
    /// Bytes, by their ids; -1 where the vocabulary lacks one, which is then dropped.
    case bytes([Int32])
    /// Characters. One that the vocabulary lacks is spelled in bytes by these ids, where all of them are there, else
    /// unknown.
    case characters(bytes: [Int32])
  }

  let tokens: TokenTable
  let alphabet: Alphabet
  /// The token of characters that cannot be spelled; nil drops them.
  let unknownToken: Int32?
  /// Whether a run of unknown characters is one token.
  let fusesUnknown: Bool
  /// Whether a word that is a token is that token, whatever merges would make of it.
  let ignoresMerges: Bool
  private let merges: MergeTable

  init(
    tokens: TokenTable, merges: [BPEMerge], alphabet: Alphabet, unknownToken: Int32?, fusesUnknown: Bool,
    ignoresMerges: Bool
  ) {
    self.tokens = tokens
    self.alphabet = alphabet
    self.unknownToken = unknownToken
    self.fusesUnknown = fusesUnknown
    self.ignoresMerges = ignoresMerges
    self.merges = MergeTable(merges)
  }

  /// Appends the tokens of a word, which is whole UTF-8.
  func appendTokens(of word: UnsafeBufferPointer<UInt8>, using work: inout BPEWorkspace, to ids: inout [Int32]) {
    if ignoresMerges, let id = tokens.id(of: word) { return ids.append(id) }
    work.removeAll()
    switch alphabet {
    case .bytes(let table): for byte in word where table[Int(byte)] >= 0 { work.symbols.append(table[Int(byte)]) }
    case .characters(let table): appendCharacters(of: word, spelledBy: table, to: &work.symbols)
    }
    if work.symbols.count > 1 { merge(&work) }
    for symbol in work.symbols where symbol >= 0 { ids.append(symbol) }
  }

  private func appendCharacters(
    of word: UnsafeBufferPointer<UInt8>, spelledBy table: [Int32], to symbols: inout [Int32]
  ) {
    var pendingUnknown: Int32?
    var start = 0
    while start < word.count {
      let end = min(word.count, start + BPEModel.length(ofCharacterAt: word[start]))
      let character = UnsafeBufferPointer(rebasing: word[start..<end])
      start = end
      if let id = tokens.id(of: character) {
        if let unknown = pendingUnknown { symbols.append(unknown) }
        pendingUnknown = nil
        symbols.append(id)
      } else if !table.isEmpty, character.allSatisfy({ table[Int($0)] >= 0 }) {
        for byte in character { symbols.append(table[Int(byte)]) }
      } else if let unknownToken {
        if let unknown = pendingUnknown, !fusesUnknown { symbols.append(unknown) }
        pendingUnknown = unknownToken
      }
    }
    if let unknown = pendingUnknown { symbols.append(unknown) }
  }

  private static func length(ofCharacterAt byte: UInt8) -> Int {
    switch byte {
    case 0..<0xC0: 1
    case 0xC0..<0xE0: 2
    case 0xE0..<0xF0: 3
    default: 4
    }
  }

  // MARK: Merging

  private func merge(_ work: inout BPEWorkspace) {
    work.link()
    for at in 0..<work.symbols.count - 1 { push(at, &work) }
    while let candidate = work.heap.pop() {
      let at = Int(candidate.position)
      let right = Int(work.next[at])
      // A neighbour may have changed since the merge was found.
      guard work.symbols[at] >= 0, right >= 0,
        merges.find(work.symbols[at], work.symbols[right])?.result == candidate.result
      else { continue }
      work.symbols[at] = candidate.result
      work.unlink(right)
      if work.previous[at] >= 0 { push(Int(work.previous[at]), &work) }
      push(at, &work)
    }
  }

  /// Notes what a symbol and its right neighbour would become.
  private func push(_ at: Int, _ work: inout BPEWorkspace) {
    let right = Int(work.next[at])
    guard right >= 0, let found = merges.find(work.symbols[at], work.symbols[right]) else { return }
    work.heap.push(MergeHeap.Entry(rank: found.rank, position: Int32(truncatingIfNeeded: at), result: found.result))
  }
}

/// Memory that words are encoded in, one after the other.
struct BPEWorkspace {
  /// Ids; -1 where a symbol has gone into its left neighbour.
  var symbols: [Int32] = []
  /// Neighbours of symbols that are left; -1 at the ends.
  var previous: [Int32] = []
  var next: [Int32] = []
  var heap = MergeHeap()

  mutating func removeAll() {
    symbols.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    next.removeAll(keepingCapacity: true)
    heap.removeAll()
  }

  mutating func link() {
    for index in 0..<Int32(truncatingIfNeeded: symbols.count) {
      previous.append(index - 1)
      next.append(index + 1)
    }
    next[symbols.count - 1] = -1
  }

  mutating func unlink(_ at: Int) {
    symbols[at] = -1
    let (left, right) = (previous[at], next[at])
    next[Int(left)] = right
    if right >= 0 { previous[Int(right)] = left }
  }
}

/// Merges that are possible: the lowest rank first, of equal ranks the leftmost.
struct MergeHeap {
  struct Entry {
    let rank: Int32
    let position: Int32
    let result: Int32

    func precedes(_ other: Entry) -> Bool {
      rank != other.rank ? rank < other.rank : position < other.position
    }
  }

  private var entries: [Entry] = []

  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  mutating func push(_ entry: Entry) {
    entries.append(entry)
    var at = entries.count - 1
    while at > 0, entry.precedes(entries[(at - 1) / 2]) {
      entries[at] = entries[(at - 1) / 2]
      at = (at - 1) / 2
    }
    entries[at] = entry
  }

  mutating func pop() -> Entry? {
    guard let first = entries.first, let last = entries.popLast() else { return nil }
    guard !entries.isEmpty else { return first }
    var at = 0
    while true {
      var child = at * 2 + 1
      guard child < entries.count else { break }
      if child + 1 < entries.count, entries[child + 1].precedes(entries[child]) { child += 1 }
      guard entries[child].precedes(last) else { break }
      entries[at] = entries[child]
      at = child
    }
    entries[at] = last
    return first
  }
}

/// Merges by the two tokens that they join, in one open-addressed table.
struct MergeTable: Sendable {
  /// Key 0 marks a free slot; left tokens count from one in keys.
  private var keys: [UInt64]
  private var values: [(rank: Int32, result: Int32)]

  init(_ merges: [BPEMerge]) {
    var count = 64
    while count < merges.count * 2 { count *= 2 }
    keys = Array(repeating: 0, count: count)
    values = Array(repeating: (0, 0), count: count)
    for merge in merges {
      let key = MergeTable.key(merge.left, merge.right)
      var slot = firstSlot(key)
      while keys[slot] != 0, keys[slot] != key { slot = (slot + 1) & (count - 1) }
      keys[slot] = key
      values[slot] = (merge.rank, merge.result)
    }
  }

  func find(_ left: Int32, _ right: Int32) -> (rank: Int32, result: Int32)? {
    let key = MergeTable.key(left, right)
    var slot = firstSlot(key)
    while keys[slot] != 0 {
      if keys[slot] == key { return values[slot] }
      slot = (slot + 1) & (keys.count - 1)
    }
    return nil
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left) &+ 1) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// Fibonacci hashing: the upper bits of the product are the slot.
  private func firstSlot(_ key: UInt64) -> Int {
    Int((key &* 0x9E37_79B9_7F4A_7C15) >> (64 - UInt64(keys.count.trailingZeroBitCount)))
  }
}
