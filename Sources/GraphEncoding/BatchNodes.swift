/// The distinct nodes that a batch mentions, and where: losses and propagation work on one row for each of them.
///
/// Gradients are summed per node in the order of the mentions, so the bits do not depend on threads. One value serves all
/// steps: nothing of the size of the graph is made for a batch. Loops work on local arrays, because those of a class are
/// checked for exclusive access at every look.
public final class BatchNodes {
  /// The distinct nodes in ascending order, so that who visits the graph's rows in order visits those of the batch's
  /// matrices in order, too; the position in here is the node's slot.
  public private(set) var nodes: [Int32] = []
  /// The slot of each mention.
  public private(set) var slots: [Int32] = []
  private var offsets: [Int32] = []
  private var mentions: [Int32] = []
  /// -1 or a slot, at a fixed address: kernels ask for every node of the graph.
  let slotOfNode: UnsafeMutablePointer<Int32>
  private let graphNodes: Int

  /// Room for the nodes of a graph.
  public init(nodes: Int) {
    graphNodes = nodes
    slotOfNode = .allocate(capacity: nodes)
    slotOfNode.initialize(repeating: -1, count: nodes)
  }

  deinit { slotOfNode.deallocate() }

  /// Takes over the mentions of another batch.
  public func assign(_ mentioned: some Sequence<Int32>) {
    var (nodes, slots) = (take(\.nodes), take(\.slots))
    for node in nodes { slotOfNode[Int(node)] = -1 }
    nodes.removeAll(keepingCapacity: true)
    slots.removeAll(keepingCapacity: true)
    for node in mentioned {
      slots.append(node)
      slotOfNode[Int(node)] = 0
    }
    // A look at every node takes less time than sorting the batch's.
    for node in 0..<graphNodes where slotOfNode[node] == 0 {
      slotOfNode[node] = Int32(nodes.count)
      nodes.append(Int32(node))
    }
    for mention in slots.indices { slots[mention] = slotOfNode[Int(slots[mention])] }
    (self.nodes, self.slots) = (nodes, slots)
    indexMentions(nodes: nodes.count, slots)
  }

  /// The rows of the batch's matrices.
  public var count: Int { nodes.count }

  /// The slot of a node, or nil where the batch does not mention it.
  public func slot(of node: Int) -> Int? {
    let slot = slotOfNode[node]
    return slot < 0 ? nil : Int(slot)
  }

  /// How often the batch mentions the node of a slot.
  public func mentionCount(_ slot: Int) -> Int { Int(offsets[slot + 1] - offsets[slot]) }

  /// Calls `body` with the position of each mention of a slot, in order.
  public func forEachMention(_ slot: Int, _ body: (Int) -> Void) {
    for position in Int(offsets[slot])..<Int(offsets[slot + 1]) { body(Int(mentions[position])) }
  }

  /// An array of this, which loses it: whoever changes it then is its only owner.
  private func take(_ array: ReferenceWritableKeyPath<BatchNodes, [Int32]>) -> [Int32] {
    defer { self[keyPath: array] = [] }
    return self[keyPath: array]
  }

  private func indexMentions(nodes: Int, _ slots: [Int32]) {
    var (offsets, mentions) = (take(\.offsets), take(\.mentions))
    offsets.removeAll(keepingCapacity: true)
    offsets.append(contentsOf: repeatElement(0, count: nodes + 1))
    for slot in slots { offsets[Int(slot) + 1] += 1 }
    for slot in 0..<nodes { offsets[slot + 1] += offsets[slot] }
    var cursors = offsets
    mentions.removeAll(keepingCapacity: true)
    mentions.append(contentsOf: repeatElement(0, count: slots.count))
    for (position, slot) in slots.enumerated() {
      mentions[Int(cursors[Int(slot)])] = Int32(position)
      cursors[Int(slot)] += 1
    }
    (self.offsets, self.mentions) = (offsets, mentions)
  }
}
