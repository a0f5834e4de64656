public import Tensors

/// How slot logits become a ranking (paper, "prediction modes").
public enum PredictionMode: String, Sendable, Codable, CaseIterable {
  /// The t-th pick is the best item of slot t not yet picked; beyond the slots, by the mean over slots. The paper's GLTA.
  case slots
  /// The best items of the first slot. The paper's FL.
  case first
  /// One pick at a time, the picked item's token fed back. The paper's AR.
  case autoregressive
}

/// An item and its final score.
public struct RankedItem: Sendable, Equatable, Codable {
  /// Dense index of the item.
  public var item: Int32
  /// prior + w x GLLM logit.
  public var score: Float

  /// An item and its score.
  public init(item: Int32, score: Float) {
    self.item = item
    self.score = score
  }
}

/// Picks from scores. Ties go to the item with the smaller index, so a ranking does not depend on the candidates' order.
public enum Ranking {
  /// prior[i] + weight * logits[t, i], in place of the logits.
  public static func addPrior(_ prior: [Float], weight: Float, to logits: Matrix) {
    precondition(prior.count == logits.columns)
    prior.withUnsafeBufferPointer { prior in
      for slot in 0..<logits.rows {
        let row = logits.row(slot)
        for index in 0..<logits.columns { row[index] = prior[index].addingProduct(weight, row[index]) }
      }
    }
  }

  /// The ranking of `slots` and `first` from final scores.
  ///
  /// - Parameters:
  ///   - scores: slots x candidates.
  ///   - candidates: the item of each column.
  ///   - count: picks that are wanted; fewer come back where there are fewer candidates.
  public static func select(
    mode: PredictionMode, scores: Matrix, candidates: [Int32], count: Int
  ) -> [RankedItem] {
    let count = min(count, candidates.count)
    guard mode == .slots else { return best(count, scores.row(0), candidates) }
    var taken = [Bool](repeating: false, count: candidates.count)
    var picks: [RankedItem] = []
    picks.reserveCapacity(count)
    for slot in 0..<min(count, scores.rows) {
      guard let column = argmax(scores.row(slot), candidates, taken) else { break }
      taken[column] = true
      picks.append(RankedItem(item: candidates[column], score: scores[slot, column]))
    }
    if picks.count < count { picks += bestOfMean(count - picks.count, scores, candidates, taken) }
    return picks
  }

  /// The best column that is not taken.
  public static func argmax(
    _ scores: UnsafePointer<Float>, _ candidates: [Int32], _ taken: [Bool]
  ) -> Int? {
    var best: Int?
    for column in candidates.indices where !taken[column] {
      guard let current = best else {
        best = column
        continue
      }
      if precedes(scores, candidates, column, current) { best = column }
    }
    return best
  }

  private static func bestOfMean(
    _ count: Int, _ scores: Matrix, _ candidates: [Int32], _ taken: [Bool]
  ) -> [RankedItem] {
    let means = Matrix(rows: 1, columns: scores.columns)
    for slot in 0..<scores.rows { Accumulate.add(scores.columns, scores.row(slot), to: means.base) }
    Accumulate.scale(means.columns, means.base, by: 1 / Float(scores.rows))
    let rest = candidates.indices.filter { !taken[$0] }
    return best(count, means.base, candidates, among: rest)
  }

  private static func best(
    _ count: Int, _ scores: UnsafePointer<Float>, _ candidates: [Int32], among columns: [Int]? = nil
  ) -> [RankedItem] {
    // A heap of the best so far, its worst on top.
    var heap: [Int] = []
    heap.reserveCapacity(count)
    guard count > 0 else { return [] }
    func sink(_ start: Int) {
      var at = start
      while true {
        var worst = at
        for child in (2 * at + 1)..<(2 * at + 3) where child < heap.count {
          if precedes(scores, candidates, heap[worst], heap[child]) { worst = child }
        }
        if worst == at { return }
        heap.swapAt(at, worst)
        at = worst
      }
    }
    func offer(_ column: Int) {
      if heap.count < count {
        heap.append(column)
        if heap.count == count { for start in stride(from: count / 2, through: 0, by: -1) { sink(start) } }
      } else if precedes(scores, candidates, column, heap[0]) {
        heap[0] = column
        sink(0)
      }
    }
    if let columns { columns.forEach(offer) } else { candidates.indices.forEach(offer) }
    return heap.sorted { precedes(scores, candidates, $0, $1) }.map {
      RankedItem(item: candidates[$0], score: scores[$0])
    }
  }

  /// Higher score first; then the smaller item.
  @inline(__always)
  private static func precedes(
    _ scores: UnsafePointer<Float>, _ candidates: [Int32], _ left: Int, _ right: Int
  ) -> Bool {
    scores[left] != scores[right] ? scores[left] > scores[right] : candidates[left] < candidates[right]
  }
}
