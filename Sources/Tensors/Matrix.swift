/// An f32 array of `rows` x `columns`, row-major and dense: what kernels read and write.
///
/// A matrix is a view, as `Tensor` is: copying it copies no elements. Writing through it needs no `mutating`, so a
/// function that changes a matrix says so in its name or its documentation.
public struct Matrix: Sendable {
  /// The memory that holds the elements; other views may share it.
  public let storage: Storage
  /// Where the first element lies in the storage, in bytes.
  public let byteOffset: Int
  /// The extent of the outer axis; may be zero.
  public let rows: Int
  /// The extent of the inner axis, which is also the distance from row to row in elements; may be zero.
  public let columns: Int

  /// A matrix of zeros.
  public init(rows: Int, columns: Int) {
    self.init(
      storage: Storage(byteCount: rows * columns * MemoryLayout<Float>.stride), byteOffset: 0, rows: rows,
      columns: columns)
  }

  /// A view of floats that are already there.
  ///
  /// - Precondition: the elements lie within the storage, at an address that is a multiple of four.
  public init(storage: Storage, byteOffset: Int, rows: Int, columns: Int) {
    precondition(rows >= 0 && columns >= 0 && byteOffset >= 0 && byteOffset % 4 == 0)
    precondition(byteOffset + rows * columns * MemoryLayout<Float>.stride <= storage.byteCount)
    self.storage = storage
    self.byteOffset = byteOffset
    self.rows = rows
    self.columns = columns
  }

  /// A matrix that holds a copy of `elements`.
  public init(_ elements: [Float], rows: Int, columns: Int) {
    precondition(elements.count == rows * columns, "\(elements.count) elements do not fill \(rows) x \(columns)")
    self.init(rows: rows, columns: columns)
    for (index, element) in elements.enumerated() { base[index] = element }
  }

  /// The elements in all.
  public var count: Int { rows * columns }

  /// The first element. Valid while the matrix, or another view of its storage, lives.
  @inlinable public var base: UnsafeMutablePointer<Float> {
    (storage.base + byteOffset).assumingMemoryBound(to: Float.self)
  }

  /// The first element of a row.
  @inlinable public func row(_ index: Int) -> UnsafeMutablePointer<Float> {
    assert(index >= 0 && index < rows)
    return base + index * columns
  }

  /// The elements as they lie in memory.
  public var buffer: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: base, count: count) }

  /// One element.
  public subscript(row: Int, column: Int) -> Float {
    get {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      return base[row * columns + column]
    }
    nonmutating set {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      base[row * columns + column] = newValue
    }
  }

  /// A view of some rows: range.count x columns, the same memory.
  public func slice(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows)
    return Matrix(
      storage: storage, byteOffset: byteOffset + range.lowerBound * columns * MemoryLayout<Float>.stride,
      rows: range.count, columns: columns)
  }

  /// A matrix of its own storage with the first `count` columns.
  public func firstColumns(_ count: Int) -> Matrix {
    precondition(count >= 0 && count <= columns)
    let result = Matrix(rows: rows, columns: count)
    for index in 0..<rows { result.row(index).update(from: row(index), count: count) }
    return result
  }

  /// A matrix of its own storage with the same elements.
  public func copy() -> Matrix {
    let result = Matrix(rows: rows, columns: columns)
    result.assign(self)
    return result
  }

  /// Overwrites the elements with those of a matrix of the same shape.
  public func assign(_ other: Matrix) {
    precondition(rows == other.rows && columns == other.columns)
    base.update(from: other.base, count: count)
  }

  /// Overwrites every element with `value`.
  public func fill(_ value: Float) { base.update(repeating: value, count: count) }

  /// A copy of the elements, row after row.
  public var elements: [Float] { Array(UnsafeBufferPointer(start: base, count: count)) }

  /// The same memory as a tensor of shape `[rows, columns]`.
  public var tensor: Tensor {
    Tensor(storage: storage, byteOffset: byteOffset, dtype: .f32, shape: [rows, columns])
  }

  /// Whether every element is a finite number.
  public var isFinite: Bool {
    // A sum of `x * 0` is zero only where every x is finite; unlike a search it vectorises.
    var sums = SIMD16<Float>.zero
    let vectors = count / 16
    for index in 0..<vectors { sums += UnsafeRawPointer(base + index * 16).loadUnaligned(as: SIMD16<Float>.self) * 0 }
    var sum = sums.sum()
    for index in (vectors * 16)..<count { sum += base[index] * 0 }
    return sum == 0
  }
}
