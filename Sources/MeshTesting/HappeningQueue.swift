internal import GLTP

/// What is to happen, by time, then by the order of adding.
struct HappeningQueue: Sendable {
  private struct Entry: Sendable {
    var time: MonotonicTime
    var number: UInt64
    var happening: InMemoryMesh.Happening
  }

  /// The next one last.
  private var entries: [Entry] = []
  private var number: UInt64 = 0

  mutating func add(_ happening: InMemoryMesh.Happening, at time: MonotonicTime) {
    number += 1
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      // An entry of the same time that was added before comes out before, so it lies behind.
      if entries[middle].time > time { low = middle + 1 } else { high = middle }
    }
    entries.insert(Entry(time: time, number: number, happening: happening), at: low)
  }

  var nextTime: MonotonicTime { entries.last?.time ?? .distantFuture }

  mutating func next(at time: MonotonicTime) -> InMemoryMesh.Happening? {
    guard nextTime <= time else { return nil }
    return entries.popLast()?.happening
  }
}
