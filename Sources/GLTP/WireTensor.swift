/// The extents of a tensor, row-major: one to six dimensions held without allocation.
public struct WireShape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
  private var extents = SIMD8<UInt32>()
  /// Dimensions, 1 to 6.
  public private(set) var rank = 0

  /// - Precondition: one to six extents.
  public init(arrayLiteral elements: Int...) {
    precondition((1...CodecLimits.rank).contains(elements.count))
    for element in elements { append(UInt32(element)) }
  }

  /// One dimension.
  public init(_ count: Int) { append(UInt32(count)) }

  /// Two dimensions.
  public init(_ rows: Int, _ columns: Int) {
    append(UInt32(rows))
    append(UInt32(columns))
  }

  init() {}

  mutating func append(_ extent: UInt32) {
    extents[rank] = extent
    rank += 1
  }

  /// The extent of a dimension below `rank`.
  public subscript(_ dimension: Int) -> Int { Int(extents[dimension]) }

  /// Bytes of a tensor of this shape, nil where the number does not fit.
  func byteCount(_ dtype: WireDType) -> Int? {
    var product = dtype.byteCount
    for dimension in 0..<rank {
      let (next, overflow) = product.multipliedReportingOverflow(by: self[dimension])
      if overflow { return nil }
      product = next
    }
    return product
  }

  /// As in "[2, 768]".
  public var description: String { "[" + (0..<rank).map { "\(self[$0])" }.joined(separator: ", ") + "]" }
}

/// A tensor of a message: its identity, and its bytes in pooled memory, 64-byte aligned.
///
/// Copies share the bytes. Fill a tensor before it goes anywhere; afterwards it is read only.
public struct WireTensor: @unchecked Sendable {
  /// How an encoder stores a tensor.
  public enum Compression: Sendable, Hashable {
    /// Floats stored, wide integers shuffled and compressed, bytes compressed.
    case automatic
    /// In an LZ4 frame of stored blocks: no search, no copy.
    case stored
    /// One LZ4 frame of the bytes as they are.
    case lz4
    /// Only for elements of more than one byte.
    case shuffledLZ4
  }

  /// Bytes kept before a tensor, so that the LZ4 frame's header is written in place.
  static let headroom = 64
  /// Bytes kept behind it, for the frame's end mark.
  static let tailroom = 4

  /// What the tensor is; not twice in a message.
  public let id: TensorID
  /// The type of its elements.
  public let dtype: WireDType
  /// Its extents, row-major.
  public let shape: WireShape
  /// Raw bytes: the product of the shape times the size of the dtype.
  public let byteCount: Int
  /// How the encoder is to store it. Does not travel.
  public var compression = Compression.automatic
  let buffer: PooledBuffer

  init(id: TensorID, dtype: WireDType, shape: WireShape, byteCount: Int, buffer: PooledBuffer) {
    self.id = id
    self.dtype = dtype
    self.shape = shape
    self.byteCount = byteCount
    self.buffer = buffer
  }

  /// Elements in all.
  public var count: Int { byteCount / dtype.byteCount }

  var base: UnsafeMutableRawPointer { buffer.base + WireTensor.headroom }

  /// `base` for what is inlined elsewhere: generic code that is not runs unspecialised, and takes microseconds an element.
  @usableFromInline var start: UnsafeMutableRawPointer { base }

  /// The bytes, for reading.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(buffer) {} }
    return try body(UnsafeRawBufferPointer(start: base, count: byteCount))
  }

  /// The bytes, for filling a tensor that nobody else has seen.
  public func withUnsafeMutableBytes<Result, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(buffer) {} }
    return try body(UnsafeMutableRawBufferPointer(start: base, count: byteCount))
  }

  /// The elements, for reading.
  ///
  /// - Precondition: `Element` has the size of the dtype.
  @inlinable
  public func withElements<Element: BitwiseCopyable, Result, Failure: Error>(
    as _: Element.Type = Element.self, _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(MemoryLayout<Element>.stride == dtype.byteCount, "elements of another size")
    defer { withExtendedLifetime(self) {} }
    let elements = start.assumingMemoryBound(to: Element.self)
    return try body(UnsafeBufferPointer(start: elements, count: count))
  }

  /// The elements as an array.
  ///
  /// - Precondition: `Element` has the size of the dtype.
  @inlinable
  public func array<Element: BitwiseCopyable>(of _: Element.Type = Element.self) -> [Element] {
    withElements { Array($0) }
  }
}

extension WireTensor: Equatable {
  /// Whether identity, dtype, shape and all bytes are equal.
  public static func == (a: WireTensor, b: WireTensor) -> Bool {
    guard a.id == b.id, a.dtype == b.dtype, a.shape == b.shape else { return false }
    return a.withUnsafeBytes { a in b.withUnsafeBytes { b in a.elementsEqual(b) } }
  }
}

extension BufferPool {
  /// A tensor with undefined contents, to be filled by `withUnsafeMutableBytes`.
  ///
  /// - Precondition: the tensor has less than 1 GiB.
  public func tensor(_ id: TensorID, _ dtype: WireDType, _ shape: WireShape) -> WireTensor {
    guard let byteCount = shape.byteCount(dtype), byteCount < 1 << 30 else { preconditionFailure("a tensor too large") }
    let buffer = take(WireTensor.headroom + byteCount + WireTensor.tailroom)
    return WireTensor(id: id, dtype: dtype, shape: shape, byteCount: byteCount, buffer: buffer)
  }

  /// A vector with the elements of a collection, whose type has the size of the dtype.
  @inlinable
  public func vector<Element: BitwiseCopyable>(
    _ id: TensorID, _ dtype: WireDType, _ elements: some Collection<Element>
  ) -> WireTensor {
    precondition(MemoryLayout<Element>.stride == dtype.byteCount, "elements of another size")
    let tensor = tensor(id, dtype, WireShape(elements.count))
    let target = UnsafeMutableRawBufferPointer(start: tensor.start, count: tensor.byteCount)
    _ = target.bindMemory(to: Element.self).initialize(from: elements)
    withExtendedLifetime(tensor) {}
    return tensor
  }

  /// An i32 vector.
  @inlinable
  public func vector(_ id: TensorID, _ elements: some Collection<Int32>) -> WireTensor { vector(id, .i32, elements) }

  /// An f32 vector.
  @inlinable
  public func vector(_ id: TensorID, _ elements: some Collection<Float>) -> WireTensor { vector(id, .f32, elements) }
}
