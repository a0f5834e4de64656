public import Tensors

/// InfoNCE (van den Oord et al., 2018) between two views of the same things: row i of one has to be nearer to row i of the
/// other than to its other rows,
///
///     -mean over i of log( e^(cos(a_i, b_i) / t) / sum over j of e^(cos(a_i, b_j) / t) )
public enum ContrastiveLoss {
  /// The loss of n rows and both gradients, in memory of their own.
  ///
  /// - Parameters:
  ///   - a, b: n x d.
  ///   - temperature: t, above zero.
  public static func forwardBackward(
    _ a: Matrix, _ b: Matrix, temperature: Float, pool: ThreadPool
  ) -> (loss: Double, a: Matrix, b: Matrix) {
    precondition(a.rows == b.rows && a.columns == b.columns && temperature > 0)
    let (da, db) = (Matrix(rows: a.rows, columns: a.columns), Matrix(rows: b.rows, columns: b.columns))
    guard a.rows > 0 else { return (0, da, db) }
    let (left, right) = (UnitRows(a, pool: pool), UnitRows(b, pool: pool))
    let logits = Matrix(rows: a.rows, columns: a.rows)
    Matmul.multiply(left.values, right.values, transposingB: true, into: logits, scale: 1 / temperature, pool: pool)
    let share = 1 / Float(a.rows)
    let losses = CrossEntropy.forwardBackward(
      logits: logits, targets: (0..<Int32(a.rows)).map { $0 }, scale: share, pool: pool)
    Matmul.multiply(logits, right.values, into: da, scale: 1 / temperature, pool: pool)
    Matmul.multiply(logits, transposingA: true, left.values, into: db, scale: 1 / temperature, pool: pool)
    left.backward(da, pool: pool)
    right.backward(db, pool: pool)
    return (losses.reduce(0) { $0 + Double($1) } * Double(share), da, db)
  }
}
