/// The best k of many scores by a partial selection: a heap of the best so far, its worst on top. Higher score first, ties
/// to the smaller index, so that a ranking does not depend on the order in which scores are seen.
public struct TopK: Sendable {
  private var heap: [(score: Float, index: Int32)] = []
  private let capacity: Int

  /// A selection that may be used again and again.
  ///
  /// - Parameter capacity: k; memory for it is allocated once.
  public init(capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    heap.reserveCapacity(capacity)
  }

  /// The indices of the best of `count` scores, best first, at most k. Scores of minus infinity and NaN are left out.
  public mutating func select(_ scores: UnsafePointer<Float>, count: Int) -> [Int32] {
    heap.removeAll(keepingCapacity: true)
    // Most scores are below the worst of the best: one comparison each.
    var threshold = -Float.infinity
    for index in 0..<count where scores[index] > threshold {
      offer(scores[index], Int32(index))
      if heap.count == capacity { threshold = heap[0].score }
    }
    return heap.sorted { TopK.precedes($0, $1) }.map(\.index)
  }

  private static func precedes(_ a: (score: Float, index: Int32), _ b: (score: Float, index: Int32)) -> Bool {
    a.score != b.score ? a.score > b.score : a.index < b.index
  }

  /// Indices come in ascending order, so a score that equals the worst never displaces it.
  private mutating func offer(_ score: Float, _ index: Int32) {
    if heap.count < capacity {
      heap.append((score, index))
      if heap.count == capacity { for start in stride(from: capacity / 2, through: 0, by: -1) { sink(start) } }
    } else {
      heap[0] = (score, index)
      sink(0)
    }
  }

  private mutating func sink(_ start: Int) {
    var at = start
    while true {
      var worst = at
      for child in (2 * at + 1)..<(2 * at + 3) where child < heap.count {
        if TopK.precedes(heap[worst], heap[child]) { worst = child }
      }
      if worst == at { return }
      heap.swapAt(at, worst)
      at = worst
    }
  }
}
