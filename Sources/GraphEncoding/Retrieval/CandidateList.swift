import CProcessor

/// Items with bounds on their scores: all that may still be among the best of those that were seen.
final class CandidateList {
  private let wanted: Int
  private let block: Int
  private let limit: Int
  private var capacity: Int
  private var entries: UnsafeMutablePointer<glta_candidate>
  /// Entries; whoever writes behind them counts them.
  var count = 0
  /// The wanted-th best lower bound of those that were looked at: what is below it with its upper one is out.
  private(set) var threshold = -Float.infinity
  /// Whether the bounds leave too many: the list is then worth nothing.
  private(set) var isOverfull = false

  /// - Parameters:
  ///   - wanted: how many best, at least one.
  ///   - items: indices in all.
  ///   - block: the most entries that are written at a time.
  init(wanted: Int, items: Int, block: Int) {
    self.wanted = wanted
    self.block = block
    // Beyond, bounds save too little: the whole catalogue is scored by floats instead.
    limit = max(64 * wanted, min(items / 8, 1 << 14)) + block
    capacity = RunningBest.room(wanted: wanted, items: items) + block
    entries = .allocate(capacity: capacity)
  }

  deinit { entries.deallocate() }

  /// Where the entries of the next block go.
  func makeRoom() -> UnsafeMutablePointer<glta_candidate> {
    if capacity - count < block && !isOverfull {
      shrink()
      if capacity - count < block { grow() }
    }
    return entries + count
  }

  /// The items that are left of several lists about one query; nil where one of them is overfull.
  static func items(of lists: [CandidateList]) -> [Int32]? {
    if lists.contains(where: \.isOverfull) { return nil }
    let all = lists.flatMap { UnsafeBufferPointer(start: $0.entries, count: $0.count) }
    let threshold = lists[0].worstOfBest(all.count) { all[$0].lower }
    return all.filter { $0.upper >= threshold }.map(\.item)
  }

  private func shrink() {
    threshold = worstOfBest(count) { entries[$0].lower }
    var kept = 0
    for position in 0..<count where entries[position].upper >= threshold {
      entries[kept] = entries[position]
      kept += 1
    }
    count = kept
  }

  private func grow() {
    guard 2 * capacity <= limit else { return isOverfull = true }
    let larger = UnsafeMutablePointer<glta_candidate>.allocate(capacity: 2 * capacity)
    larger.update(from: entries, count: count)
    entries.deallocate()
    (entries, capacity) = (larger, 2 * capacity)
  }

  /// The wanted-th greatest of some bounds; minus infinity where there are fewer.
  private func worstOfBest(_ count: Int, _ bound: (Int) -> Float) -> Float {
    guard count >= wanted else { return -.infinity }
    return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: count) { keys in
      guard let base = keys.baseAddress else { return -.infinity }
      for position in 0..<count { base[position] = glta_selection_key(bound(position), UInt32(position)) }
      KeySelection.moveGreatest(wanted, of: base, count: count)
      return RetrievedItem(key: base[wanted - 1]).score
    }
  }
}
