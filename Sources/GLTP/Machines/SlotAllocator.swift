/// Hands out the smallest integers that are free, so that tables stay as small as their fullest hour and slots are reused.
struct SlotAllocator: Sendable {
  private var free = ContiguousArray<Int32>()
  /// Slots ever handed out: the size of the tables.
  private(set) var capacity = 0
  /// Slots in use.
  var count: Int { capacity - free.count }

  /// A slot; where it equals the old `capacity`, the tables must grow by one.
  mutating func take() -> Int {
    if let slot = free.popLast() { return Int(slot) }
    capacity += 1
    return capacity - 1
  }

  mutating func giveBack(_ slot: Int) { free.append(Int32(slot)) }
}
