import COpenBLAS

/// C = op(A) · op(B) over OpenBLAS: the products of training, whose operands change with every step.
///
/// Rows of C are cut into tiles of a fixed height and BLAS runs single-threaded on each, so the bits depend on the
/// operands' shapes and not on the number of threads. They do depend on the shapes: scores, which must not, go through
/// `Product`.
public enum Matmul {
  /// Rows of C that one call of BLAS computes.
  public static let tileRows = 256

  /// Computes C = scale * op(A) · op(B), or adds it to C.
  ///
  /// - Parameters:
  ///   - transposingA: op(A) is A's transpose.
  ///   - transposingB: op(B) is B's transpose.
  ///   - tileRows: another height of tiles, for measurements.
  public static func multiply(
    _ a: Matrix, transposingA: Bool = false, _ b: Matrix, transposingB: Bool = false, into c: Matrix,
    scale: Float = 1, accumulate: Bool = false, tileRows: Int = Matmul.tileRows, pool: ThreadPool
  ) {
    let depth = transposingA ? a.rows : a.columns
    precondition(c.rows == (transposingA ? a.columns : a.rows), "rows of op(A) and C differ")
    precondition(c.columns == (transposingB ? b.rows : b.columns), "columns of op(B) and C differ")
    precondition(depth == (transposingB ? b.columns : b.rows), "columns of op(A) and rows of op(B) differ")
    guard c.count > 0 else { return }
    _ = singleThreaded
    pool.forEach((c.rows + tileRows - 1) / tileRows) { tile, _ in
      let start = tile * tileRows
      cblas_sgemm(
        CblasRowMajor, transposingA ? CblasTrans : CblasNoTrans, transposingB ? CblasTrans : CblasNoTrans,
        blasint(min(tileRows, c.rows - start)), blasint(c.columns), blasint(depth), scale,
        transposingA ? a.base + start : a.base + start * a.columns, blasint(max(1, a.columns)), b.base,
        blasint(max(1, b.columns)), accumulate ? 1 : 0, c.base + start * c.columns, blasint(c.columns))
    }
  }

  /// Our threads call BLAS; BLAS must not start threads of its own beneath them.
  private static let singleThreaded: Void = openblas_set_num_threads(1)
}
