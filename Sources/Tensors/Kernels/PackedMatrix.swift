/// The right-hand side B (`depth` x `columns`) of a product, laid out in the order in which the product reads it.
///
/// Columns are cut into panels of sixteen; a panel holds its `depth` rows of sixteen floats one after another, and the
/// last panel is filled up with zeros. A frozen weight is packed once and used for ever, so no product pays for it
/// again: this, and results that do not depend on the shape of the call, is why products with frozen weights do not go
/// through BLAS (see `Product`).
public struct PackedMatrix: Sendable {
  /// The columns of one panel.
  public static let panelColumns = 16

  /// Rows of B: the length of the sums.
  public let depth: Int
  /// Columns of B.
  public let columns: Int
  let panels: Matrix

  /// The panels that B is cut into.
  public var panelCount: Int { panels.rows }

  /// Bytes that a packed matrix of a shape takes.
  package static func byteCount(depth: Int, columns: Int) -> Int {
    packedCount(depth: depth, columns: columns) * MemoryLayout<Float>.stride
  }

  /// Bytes that it takes.
  package var byteCount: Int { PackedMatrix.byteCount(depth: depth, columns: columns) }

  /// Packs B where B[k, j] = source[k * rowStride + j * columnStride].
  public init(
    depth: Int, columns: Int, source: UnsafePointer<Float>, rowStride: Int, columnStride: Int
  ) {
    self.depth = depth
    self.columns = columns
    let width = PackedMatrix.panelColumns
    panels = Matrix(rows: (columns + width - 1) / width, columns: depth * width)
    PackedMatrix.pack(
      depth: depth, columns: columns, source: source, rowStride: rowStride, columnStride: columnStride,
      into: panels.base)
  }

  /// Packs B = matrix.
  public init(_ matrix: Matrix) {
    self.init(
      depth: matrix.rows, columns: matrix.columns, source: matrix.base, rowStride: matrix.columns, columnStride: 1)
  }

  /// Packs B = the transpose of `matrix`. A PyTorch linear layer's weight is `[out, in]`, so this is its forward product
  /// and `init(_:)` its backward one.
  public init(transposing matrix: Matrix) {
    self.init(
      depth: matrix.columns, columns: matrix.rows, source: matrix.base, rowStride: 1, columnStride: matrix.columns)
  }

  /// The transpose of B, `columns` x `depth`, as an ordinary matrix.
  public func transposed() -> Matrix {
    let result = Matrix(rows: columns, columns: depth)
    let width = PackedMatrix.panelColumns
    for column in 0..<columns {
      let (source, target) = (panels.row(column / width) + column % width, result.row(column))
      for k in 0..<depth { target[k] = source[k * width] }
    }
    return result
  }

  /// Floats that a packed matrix of this shape takes.
  static func packedCount(depth: Int, columns: Int) -> Int {
    (columns + panelColumns - 1) / panelColumns * panelColumns * depth
  }

  /// Packs into memory of the caller's: for right-hand sides that live for one product, such as the keys of a head.
  static func pack(
    depth: Int, columns: Int, source: UnsafePointer<Float>, rowStride: Int, columnStride: Int,
    into panels: UnsafeMutablePointer<Float>
  ) {
    let width = panelColumns
    var target = panels
    for start in stride(from: 0, to: columns, by: width) {
      let used = min(width, columns - start)
      let first = source + start * columnStride
      if columnStride == 1 && used == width {
        for k in 0..<depth {
          store8(target, load8(first + k * rowStride))
          store8(target + 8, load8(first + k * rowStride + 8))
          target += width
        }
      } else if rowStride == 1 && used == width {
        packTransposed(depth: depth, source: first, stride: columnStride, into: target)
        target += depth * width
      } else {
        // Reading along the source's contiguous direction matters more than writing in order.
        for j in 0..<used {
          let column = first + j * columnStride
          for k in 0..<depth { target[k * width + j] = column[k * rowStride] }
        }
        for j in used..<width { for k in 0..<depth { target[k * width + j] = 0 } }
        target += depth * width
      }
    }
  }

  /// A whole panel of the transpose of rows that lie `stride` floats apart: the keys of a head, above all.
  private static func packTransposed(
    depth: Int, source: UnsafePointer<Float>, stride: Int, into panel: UnsafeMutablePointer<Float>
  ) {
    let width = panelColumns
    let whole = depth / 4 * 4
    for j in Swift.stride(from: 0, to: width, by: 4) {
      let (row0, row1) = (source + j * stride, source + (j + 1) * stride)
      let (row2, row3) = (source + (j + 2) * stride, source + (j + 3) * stride)
      for k in Swift.stride(from: 0, to: whole, by: 4) {
        // Four by four: what is even and odd among the columns of two rows, and of the four rows once more.
        let upper = SIMD8(lowHalf: load4(row0 + k), highHalf: load4(row1 + k))
        let lower = SIMD8(lowHalf: load4(row2 + k), highHalf: load4(row3 + k))
        let even = SIMD8(lowHalf: upper.evenHalf, highHalf: lower.evenHalf)
        let odd = SIMD8(lowHalf: upper.oddHalf, highHalf: lower.oddHalf)
        let target = panel + k * width + j
        store4(target, even.evenHalf)
        store4(target + width, odd.evenHalf)
        store4(target + 2 * width, even.oddHalf)
        store4(target + 3 * width, odd.oddHalf)
      }
      for k in whole..<depth { store4(panel + k * width + j, SIMD4(row0[k], row1[k], row2[k], row3[k])) }
    }
  }
}
