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
  private let neighbours: Int

  /// - Parameters:
  ///   - train: what users have, users x items.
  ///   - text: |I| x t embeddings, centred and of length one; zeros for items without text.
  ///   - neighbours: k; 0 = all.
  public init(train: CSRMatrix, text: Matrix, neighbours: Int = 0) {
    precondition(text.rows == train.columns && neighbours >= 0)
    self.train = train
    self.text = text
    self.neighbours = neighbours
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
    let likeness = Matrix(rows: 1, columns: text.rows)
    var nearest = TopK(capacity: neighbours)
    for item in items {
      for other in 0..<text.rows {
        likeness.base[other] = Accumulate.dot(columns, text.row(Int(item)), text.row(other))
      }
      likeness.base[Int(item)] = -.infinity
      for other in nearest.select(likeness.base, count: text.rows) { scores[Int(other)] += likeness.base[Int(other)] }
    }
  }
}
