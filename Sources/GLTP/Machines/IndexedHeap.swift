/// A binary heap of small integers by key, smallest key first, in which any of them can be moved or removed: timers,
/// queues and ready workers of the gateway. Every operation is O(log n); in steady state none allocates.
struct IndexedHeap<Key: Comparable & Sendable>: Sendable {
  struct Entry: Sendable {
    var key: Key
    var id: Int
  }

  private var entries = ContiguousArray<Entry>()
  /// Where each id stands in `entries`; -1 where it does not.
  private var positions = ContiguousArray<Int32>()

  var count: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }
  /// The entry with the smallest key.
  var first: Entry? { entries.first }
  /// All ids, in no order.
  var ids: [Int] { entries.map(\.id) }

  func contains(_ id: Int) -> Bool { id < positions.count && positions[id] >= 0 }

  /// Adds an id, or moves it to its new key.
  mutating func set(_ id: Int, _ key: Key) {
    while positions.count <= id { positions.append(-1) }
    var position = Int(positions[id])
    if position < 0 {
      position = entries.count
      entries.append(Entry(key: key, id: id))
      positions[id] = Int32(position)
    } else {
      entries[position].key = key
    }
    if !rise(position) { sink(position) }
  }

  /// Removes an id. Returns false where it was not there.
  @discardableResult
  mutating func remove(_ id: Int) -> Bool {
    guard contains(id) else { return false }
    let position = Int(positions[id])
    positions[id] = -1
    let last = entries.removeLast()
    guard position < entries.count else { return true }
    entries[position] = last
    positions[last.id] = Int32(position)
    if !rise(position) { sink(position) }
    return true
  }

  private mutating func rise(_ start: Int) -> Bool {
    var position = start
    while position > 0 {
      let parent = (position - 1) / 2
      guard entries[position].key < entries[parent].key else { break }
      swapEntries(position, parent)
      position = parent
    }
    return position != start
  }

  private mutating func sink(_ start: Int) {
    var position = start
    while true {
      var child = 2 * position + 1
      guard child < entries.count else { return }
      if child + 1 < entries.count, entries[child + 1].key < entries[child].key { child += 1 }
      guard entries[child].key < entries[position].key else { return }
      swapEntries(position, child)
      position = child
    }
  }

  private mutating func swapEntries(_ a: Int, _ b: Int) {
    entries.swapAt(a, b)
    positions[entries[a].id] = Int32(a)
    positions[entries[b].id] = Int32(b)
  }
}
