/// A row-major array of any dtype and rank: what files and wires carry.
///
/// A tensor is a view: copying the struct copies the view, not the elements, as in NumPy and PyTorch. Products and
/// kernels work on `Matrix`, its f32 sibling of rank two.
public struct Tensor: Sendable {
  /// The memory that holds the elements; other views may share it.
  public let storage: Storage
  /// Where the first element lies in the storage, in bytes.
  public let byteOffset: Int
  /// The type of the elements.
  public let dtype: DType
  /// Extents, outermost first. A scalar has none.
  public let shape: [Int]

  /// A tensor of zeros.
  public init(_ dtype: DType, shape: [Int]) {
    self.init(
      storage: Storage(byteCount: shape.reduce(1, *) * dtype.byteCount), byteOffset: 0, dtype: dtype, shape: shape)
  }

  /// A view of bytes that are already there.
  ///
  /// - Precondition: the elements lie within the storage. Readers of files check this before they come here.
  public init(storage: Storage, byteOffset: Int, dtype: DType, shape: [Int]) {
    let byteCount = shape.reduce(1, *) * dtype.byteCount
    precondition(byteOffset >= 0 && byteCount >= 0 && byteOffset + byteCount <= storage.byteCount)
    self.storage = storage
    self.byteOffset = byteOffset
    self.dtype = dtype
    self.shape = shape
  }

  /// A tensor that holds a copy of `elements`.
  public init<Element: TensorElement>(_ elements: [Element], shape: [Int]? = nil) {
    self.init(Element.dtype, shape: shape ?? [elements.count])
    precondition(count == elements.count, "\(elements.count) elements do not fill \(self.shape)")
    elements.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { storage.base.copyMemory(from: base, byteCount: bytes.count) }
    }
  }

  /// The elements in all.
  public var count: Int { shape.reduce(1, *) }
  /// The bytes in all.
  public var byteCount: Int { count * dtype.byteCount }
  /// The elements as they lie in memory.
  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage.base + byteOffset, count: byteCount)
  }

  /// Lets go of the pages of a mapped file that hold the tensor: they are read again when they are wanted.
  package func releasePages() { storage.releasePages(byteOffset..<byteOffset + byteCount) }

  /// The same elements in another shape of the same count.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(shape.reduce(1, *) == count, "\(self.shape) does not reshape to \(shape)")
    return Tensor(storage: storage, byteOffset: byteOffset, dtype: dtype, shape: shape)
  }

  /// A view of the entries `range` of the outermost axis.
  public func slice(_ range: Range<Int>) -> Tensor {
    precondition(!shape.isEmpty && range.lowerBound >= 0 && range.upperBound <= shape[0])
    let stride = shape.dropFirst().reduce(1, *) * dtype.byteCount
    return Tensor(
      storage: storage, byteOffset: byteOffset + range.lowerBound * stride, dtype: dtype,
      shape: [range.count] + shape.dropFirst())
  }

  /// A copy of the elements. The element type must be that of the dtype.
  public func elements<Element: TensorElement>(_ type: Element.Type = Element.self) -> [Element] {
    precondition(Element.dtype == dtype, "\(dtype.rawValue) elements read as \(Element.dtype.rawValue)")
    return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
      initialized = count
    }
  }

  /// The elements as f32, whatever the dtype; i32 and i64 beyond 2^24 round.
  public func floats() -> [Float] {
    switch dtype {
    case .f32: elements(Float.self)
    case .f16: elements(Float16.self).map(Float.init)
    case .bf16: elements(BFloat16.self).map(\.float)
    case .i8: elements(Int8.self).map(Float.init)
    case .i32: elements(Int32.self).map(Float.init)
    case .i64: elements(Int64.self).map(Float.init)
    }
  }

  /// The elements as an f32 matrix whose columns are the innermost axis: the same memory where the dtype is f32 and
  /// its address allows, a converted copy otherwise.
  public func matrix() -> Matrix {
    let columns = shape.last ?? 1
    let rows = columns == 0 ? shape.dropLast().reduce(1, *) : count / columns
    let address = UInt(bitPattern: storage.base + byteOffset)
    if dtype == .f32, address % UInt(MemoryLayout<Float>.alignment) == 0 {
      return Matrix(storage: storage, byteOffset: byteOffset, rows: rows, columns: columns)
    }
    return Matrix(floats(), rows: rows, columns: columns)
  }
}
