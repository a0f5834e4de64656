import Tensors

/// How long the items' vectors are that users are multiplied with: what an item ranks with beside its direction.
public enum ItemLengths: Sendable, Equatable {
  /// As they were learned, for losses over dot products.
  case learned
  /// (1 + n)^power for an item with n edges, for losses over cosines: with 0, items rank by their cosine alone.
  case popularity(power: Float)

  /// - Parameters:
  ///   - items: |I| x d, left as they are; a row of zeros stays one.
  ///   - graph: whose edges count.
  /// - Returns: |I| x d, in memory of their own.
  func applied(to items: Matrix, of graph: NormalizedGraph, pool: ThreadPool) -> Matrix {
    guard case .popularity(let power) = self else { return items.copy() }
    let rows = UnitRows(items, pool: pool).values
    for item in 0..<rows.rows {
      let edges = Double(graph.edges.degree(graph.users + item))
      Accumulate.scale(rows.columns, rows.row(item), by: Float(powerOf(1 + edges, Double(power))))
    }
    return rows
  }
}
