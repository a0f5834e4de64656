public import Tensors

/// One row per item of the closed set, ready to be scored against: the item tokens of a tied head, the weights of a
/// free one, or graph embeddings.
///
/// Scores go through `Product`, so an item has the same score, bit for bit, among all items or among a few candidates,
/// for one query or for many.
public struct ItemMatrix: Sendable {
  /// |I| x D.
  public let rows: Matrix
  private let packed: PackedMatrix

  /// Packs
  /// I
  /// x D vectors for products. The cost is paid once, here.
  public init(_ rows: Matrix) {
    self.rows = rows
    packed = PackedMatrix(transposing: rows)
  }

  /// The items.
  public var count: Int { rows.rows }
  /// The columns of an item, and of a query.
  public var columns: Int { rows.columns }

  /// The scores of all items: queries.rows x |I|.
  public func scores(_ queries: Matrix) -> Matrix { scores(queries, packed) }

  /// The scores of some items, in their order: queries.rows x candidates.count; all items where `candidates` is nil.
  ///
  /// - Precondition: every candidate is a row. Callers check ids that come from outside.
  public func scores(_ queries: Matrix, candidates: [Int32]?) -> Matrix {
    guard let candidates else { return scores(queries) }
    if candidates.count * ItemMatrix.packingCost >= count { return pick(candidates, of: scores(queries)) }
    let gathered = Matrix(rows: candidates.count, columns: columns)
    Embedding.forward(table: rows, ids: candidates, into: gathered.base)
    return scores(queries, PackedMatrix(transposing: gathered))
  }

  /// Packing the rows of candidates for one product takes about as long as scoring this many packed rows each.
  private static let packingCost = 4

  private func pick(_ candidates: [Int32], of scores: Matrix) -> Matrix {
    let result = Matrix(rows: scores.rows, columns: candidates.count)
    for query in 0..<scores.rows {
      let (row, all) = (result.row(query), scores.row(query))
      for (column, item) in candidates.enumerated() { row[column] = all[Int(item)] }
    }
    return result
  }

  private func scores(_ queries: Matrix, _ items: PackedMatrix) -> Matrix {
    precondition(queries.columns == columns)
    let result = Matrix(rows: queries.rows, columns: items.columns)
    Product.multiply(
      rows: queries.rows, a: queries.base, rowStride: columns, b: items, into: result.base, stride: items.columns)
    return result
  }
}
