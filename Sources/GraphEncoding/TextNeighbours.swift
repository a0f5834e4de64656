public import Interactions
import RankingEvaluation
public import Tensors

/// Text-kNN: items like those that a user has, by their texts alone; the cold-start rule of thumb that graphs are measured
/// against (content-based filtering, Lops et al., 2011).
///
/// score(u, j) = the sum over the user's items i of cos(s_i, s_j), over those j that are among the k nearest of i, s being
/// text embeddings with the mean of the catalogue taken off. With k = 0 all items count.
public struct TextNeighbours: PreferenceModel {
  private let train: CSRMatrix
  private let text: Matrix
  /// The k nearest items of each, and their likeness: k of each, item after item. Empty for k = 0.
  private let nearest: (items: [Int32], likeness: [Float])
  private let neighbours: Int

  /// - Parameters:
  ///   - train: what users have, users x items.
  ///   - text: |I| x t embeddings, centred and of length one; zeros for items without text.
  ///   - neighbours: k; 0 = all.
  public init(train: CSRMatrix, text: Matrix, neighbours: Int = 0, pool: ThreadPool = .serial) {
    precondition(text.rows == train.columns && neighbours >= 0)
    self.train = train
    self.text = text
    self.neighbours = min(neighbours, max(0, text.rows - 1))
    nearest = self.neighbours > 0 ? TextNeighbours.nearest(self.neighbours, text, pool: pool) : ([], [])
  }

  private static func nearest(
    _ count: Int, _ text: Matrix, pool: ThreadPool
  ) -> (items: [Int32], likeness: [Float]) {
    var items = [Int32](repeating: 0, count: text.rows * count)
    var values = [Float](repeating: 0, count: text.rows * count)
    var best = TopK(capacity: count)
    let block = 256
    let likeness = Matrix(rows: min(block, text.rows), columns: text.rows)
    for start in stride(from: 0, to: text.rows, by: block) {
      let rows = start..<min(text.rows, start + block)
      Matmul.multiply(text.slice(rows), text, transposingB: true, into: likeness.slice(0..<rows.count), pool: pool)
      for item in rows {
        let row = likeness.row(item - start)
        row[item] = -.infinity
        for (rank, other) in best.select(row, count: text.rows).enumerated() {
          items[item * count + rank] = other
          values[item * count + rank] = row[Int(other)]
        }
      }
    }
    return (items, values)
  }

  /// |I|.
  public var itemCount: Int { text.rows }

  /// Likeness to the texts of each user's items.
  public func score(users: ArraySlice<Int>, into scores: Matrix) {
    for (row, user) in users.enumerated() { score(items: train[user], into: scores.row(row)) }
  }

  /// The scores of somebody with these items: |I| floats, zeros before.
  public func score(items: some Collection<Int32>, into scores: UnsafeMutablePointer<Float>) {
    let columns = text.columns
    guard neighbours > 0 else {
      let sum = Matrix(rows: 1, columns: columns)
      for item in items { Accumulate.add(columns, text.row(Int(item)), to: sum.base) }
      for item in 0..<text.rows { scores[item] += Accumulate.dot(columns, sum.base, text.row(item)) }
      return
    }
    for item in items {
      for place in Int(item) * neighbours..<(Int(item) + 1) * neighbours {
        scores[Int(nearest.items[place])] += nearest.likeness[place]
      }
    }
  }
}
