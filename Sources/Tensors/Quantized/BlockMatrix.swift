/// A matrix as a file has it: rows of blocks one after another, left where they are and read when they are wanted.
package struct BlockMatrix: Sendable {
  /// How the numbers are stored.
  package let format: BlockFormat
  /// Rows.
  package let rows: Int
  /// Numbers of a row: whole blocks.
  package let columns: Int
  private let storage: Storage
  private let byteOffset: Int
  private let rowBytes: Int
  /// The row of the file that stands for each row; nil: the same.
  private let order: [Int32]?

  /// Bytes of the file.
  package var byteCount: Int { rows * rowBytes }

  /// A view of bytes of a file.
  ///
  /// - Parameter order: for each row of the matrix the row of the file that holds it.
  /// - Throws: `GLTAError.invalidFile` where rows are not whole blocks or lie beyond the storage; the caller says where.
  package init(
    _ format: BlockFormat, rows: Int, columns: Int, storage: Storage, byteOffset: Int, order: [Int32]? = nil
  ) throws(GLTAError) {
    guard let rowBytes = format.rowBytes(columns) else {
      throw GLTAError(
        .invalidFile, "rows of \(columns) numbers, expected a multiple of \(format.blockSize) for \(format.rawValue)")
    }
    let (bytes, overflow) = rowBytes.multipliedReportingOverflow(by: rows)
    guard rows >= 0, byteOffset >= 0, !overflow, byteOffset <= storage.byteCount,
      bytes <= storage.byteCount - byteOffset
    else {
      throw GLTAError(
        .invalidFile, "\(rows) rows of \(rowBytes) bytes at byte \(byteOffset) of \(storage.byteCount): truncated")
    }
    if let order {
      precondition(order.count == rows && order.allSatisfy { $0 >= 0 && Int($0) < rows })
    }
    self.format = format
    self.rows = rows
    self.columns = columns
    self.storage = storage
    self.byteOffset = byteOffset
    self.rowBytes = rowBytes
    self.order = order
  }

  /// A matrix of floats, f32, f16 or bf16, as blocks of one.
  ///
  /// - Throws: `GLTAError.unsupported` for integers and for another rank than two.
  package init(_ tensor: Tensor) throws(GLTAError) {
    guard let format = BlockFormat(rawValue: tensor.dtype.rawValue), tensor.shape.count == 2 else {
      throw GLTAError(
        .unsupported, "\(tensor.dtype.rawValue) of shape \(tensor.shape), expected a matrix of floats")
    }
    try self.init(
      format, rows: tensor.shape[0], columns: tensor.shape[1], storage: tensor.storage, byteOffset: tensor.byteOffset)
  }

  /// The same numbers, row `order[i]` in place of row i.
  package func reordered(_ order: [Int32]) throws(GLTAError) -> BlockMatrix {
    precondition(self.order == nil)
    return try BlockMatrix(
      format, rows: rows, columns: columns, storage: storage, byteOffset: byteOffset, order: order)
  }

  /// The blocks of a row.
  package func row(_ index: Int) -> UnsafeRawPointer {
    precondition(index >= 0 && index < rows)
    return UnsafeRawPointer(storage.base) + byteOffset + (order.map { Int($0[index]) } ?? index) * rowBytes
  }

  /// Writes a row as floats, `columns` of them.
  package func copyRow(_ index: Int, into out: UnsafeMutablePointer<Float>) {
    format.read(row(index), columns: columns, into: out)
  }

  /// The whole matrix as floats: the file's own memory where it has them.
  package func floats(pool: ThreadPool = .serial) -> Matrix {
    if format == .f32, order == nil, UInt(bitPattern: storage.base + byteOffset) % 4 == 0 {
      return Matrix(storage: storage, byteOffset: byteOffset, rows: rows, columns: columns)
    }
    let result = Matrix(rows: rows, columns: columns)
    pool.forEach(rows) { row, _ in copyRow(row, into: result.row(row)) }
    return result
  }

  /// Lets go of the pages of a mapped file that hold the matrix: they are read again when they are wanted.
  package func releasePages() { storage.releasePages(byteOffset..<byteOffset + rows * rowBytes) }
}
