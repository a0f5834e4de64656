import CProcessor

/// The best items of a stream of scores. Higher score first, ties to the smaller index; minus infinity and NaN are left
/// out. Indices come in ascending order, and may be shared out over several streams that are joined in the end.
///
/// Scores above the worst of the best known so far are put aside, one comparison each; only when the room for them is
/// full are the best picked from among them. A heap, which knows the worst at once, takes fewer scores in, but pays its
/// depth for each of them.
final class RunningBest {
  private let wanted: Int
  private let capacity: Int
  private let keys: UnsafeMutablePointer<UInt64>
  private var count = 0
  private var threshold = -Float.infinity

  private static let isWide: Int32 = glta_cpu_has_avx512()

  /// - Parameters:
  ///   - wanted: how many, at least one.
  ///   - items: indices in all.
  ///   - block: the most scores that are offered at a time.
  init(wanted: Int, items: Int, block: Int) {
    self.wanted = wanted
    capacity = RunningBest.room(wanted: wanted, items: items) + block
    keys = .allocate(capacity: capacity)
  }

  deinit { keys.deallocate() }

  /// Keys that are put aside beside those of a block.
  static func room(wanted: Int, items: Int) -> Int { min(wanted < items ? 4 * wanted : items, items) }

  /// Takes in the scores of the items from `first` on.
  ///
  /// - Parameter allowed: a bit for each of these items; nil: all are allowed.
  func offer(_ scores: UnsafePointer<Float>, count: Int, allowed: UnsafePointer<UInt16>?, first: Int) {
    if capacity - self.count < count { shrink() }
    self.count += glta_collect_above(
      RunningBest.isWide, scores, count, threshold, allowed, UInt32(first), keys + self.count)
  }

  /// Takes in what another stream found among other items.
  func join(_ other: RunningBest) {
    shrink()
    other.shrink()
    (keys + count).update(from: other.keys, count: other.count)
    count += other.count
  }

  /// The best, best first: at most as many as are wanted.
  func sorted() -> [RetrievedItem] {
    shrink()
    var best = UnsafeMutableBufferPointer(start: keys, count: count)
    best.sort(by: >)
    return best.map(RetrievedItem.init(key:))
  }

  private func shrink() {
    guard count > wanted else { return }
    KeySelection.moveGreatest(wanted, of: keys, count: count)
    count = wanted
    threshold = RetrievedItem(key: keys[wanted - 1]).score
  }
}

/// An item and its score for a query.
public struct RetrievedItem: Sendable, Equatable, Codable {
  /// Dense index of the item.
  public var item: Int32
  /// The dot product of query and item.
  public var score: Float

  /// An item and its score.
  public init(item: Int32, score: Float) {
    self.item = item
    self.score = score
  }

  /// From what `glta_selection_key` made of them.
  init(key: UInt64) {
    let ordered = UInt32(truncatingIfNeeded: key >> 32)
    let bits = ordered & 0x8000_0000 != 0 ? ordered ^ 0x8000_0000 : ~ordered
    self.init(item: Int32(truncatingIfNeeded: ~key & 0xFFFF_FFFF), score: Float(bitPattern: bits))
  }
}
