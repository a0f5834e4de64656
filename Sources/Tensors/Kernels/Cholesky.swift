import COpenBLAS

/// Inverses of symmetric positive definite matrices, by LAPACK.
public enum Cholesky {
  /// Replaces a symmetric positive definite matrix of `size` x `size` by its inverse, both triangles of it.
  ///
  /// - Returns: false where the matrix is not positive definite; its elements are then lost.
  public static func invert(_ matrix: UnsafeMutablePointer<Double>, size: Int) -> Bool {
    guard size > 0 else { return true }
    var order = Int32(size)
    var status: Int32 = 0
    // A row-major upper triangle is LAPACK's lower one.
    var triangle = Int8(UInt8(ascii: "L"))
    dpotrf_(&triangle, &order, matrix, &order, &status)
    guard status == 0 else { return false }
    dpotri_(&triangle, &order, matrix, &order, &status)
    guard status == 0 else { return false }
    let tile = 64
    for start in stride(from: 0, to: size, by: tile) {
      for row in start..<size {
        for column in start..<min(row, start + tile) { matrix[row * size + column] = matrix[column * size + row] }
      }
    }
    return true
  }
}
