/// One entry of the descriptor table (gltp-1.md 3.5).
struct TensorDescriptor {
  static let byteCount = 64
  /// Bytes of the table before its entries.
  static let tableHeaderBytes = 8
  private static let tableChecksumOffset = 4

  var id: TensorID
  var dtype: WireDType
  var codec: WireCodec
  var shape: WireShape
  var rawBytes: Int
  var storedBytes: Int
  var checksum: UInt32

  /// Checks a table as a whole, not its entries.
  ///
  /// - Throws: `.tableSize` to `.tableReserved`.
  static func checkTable(_ table: UnsafeRawBufferPointer, count: Int) throws(FrameError) {
    guard table.count == tableHeaderBytes + byteCount * count else {
      throw FrameError(.tableSize, found: table.count, expected: tableHeaderBytes + byteCount * count)
    }
    let checksum = XXH32.hash(table, zeroingWordAt: tableChecksumOffset)
    guard table.load(tableChecksumOffset) == checksum else {
      throw FrameError(
        .tableChecksum, found: UInt64(table.load(tableChecksumOffset, UInt32.self)), expected: UInt64(checksum))
    }
    let stated: UInt16 = table.load(0)
    guard stated == count else { throw FrameError(.tableCount, found: Int(stated), expected: count) }
    guard table.load(2, UInt16.self) == 0 else { throw FrameError(.tableReserved) }
  }

  /// Completes a table whose entries are written.
  static func sealTable(_ table: UnsafeMutableRawBufferPointer, count: Int) {
    let base = table.baseAddress.unsafelyUnwrapped
    base.store(UInt16(count), 0)
    base.store(UInt16(0), 2)
    base.store(XXH32.hash(UnsafeRawBufferPointer(table), zeroingWordAt: tableChecksumOffset), tableChecksumOffset)
  }

  init(tensor: WireTensor, codec: WireCodec, storedBytes: Int, checksum: UInt32) {
    id = tensor.id
    dtype = tensor.dtype
    self.codec = codec
    shape = tensor.shape
    rawBytes = tensor.byteCount
    self.storedBytes = storedBytes
    self.checksum = checksum
  }

  /// Reads the entry of 64 bytes.
  ///
  /// - Parameter payloadBytes: the size of the part that it describes.
  /// - Throws: `.dtype` to `.payloadSize`.
  init(
    parsing entry: UnsafeRawBufferPointer, payloadBytes: Int, limits: CodecLimits
  ) throws(FrameError) {
    id = TensorID(rawValue: entry.load(0))
    guard let dtype = WireDType(rawValue: entry.load(2)) else {
      throw FrameError(.dtype, found: UInt64(entry.load(2, UInt8.self)))
    }
    guard let codec = WireCodec(rawValue: entry.load(3)) else {
      throw FrameError(.codec, found: UInt64(entry.load(3, UInt8.self)))
    }
    guard codec != .shuffledLZ4 || dtype.byteCount > 1 else {
      throw FrameError(.codecDtype, found: UInt64(dtype.rawValue))
    }
    let rank = Int(entry.load(4, UInt8.self))
    guard rank >= 1, rank <= CodecLimits.rank else {
      throw FrameError(.rank, found: rank, expected: CodecLimits.rank)
    }
    guard entry.isZero(5..<8), entry.isZero(48..<64) else { throw FrameError(.descriptorReserved) }
    shape = WireShape()
    for dimension in 0..<rank { shape.append(entry.load(8 + 4 * dimension)) }
    guard entry.isZero(8 + 4 * rank..<32) else { throw FrameError(.shapeTail) }
    let stated: UInt64 = entry.load(32)
    guard let byteCount = shape.byteCount(dtype), stated == byteCount else {
      throw FrameError(.rawBytes, found: stated)
    }
    self.dtype = dtype
    self.codec = codec
    rawBytes = byteCount
    storedBytes = Int(entry.load(40, UInt32.self))
    checksum = entry.load(44)
    if rawBytes == 0 {
      guard storedBytes == 0, codec == .raw else { throw FrameError(.emptyTensor, found: storedBytes) }
    } else {
      guard codec != .raw || limits.acceptsRawPayloads else { throw FrameError(.codecRefused) }
    }
    guard rawBytes <= limits.tensorBytes else {
      throw FrameError(.tensorTooLarge, found: rawBytes, expected: limits.tensorBytes)
    }
    let largest = rawBytes == 0 ? 0 : rawBytes + rawBytes / 64 + 64
    guard storedBytes <= largest else { throw FrameError(.storedTooLarge, found: storedBytes, expected: largest) }
    guard rawBytes <= 255 * storedBytes else {
      throw FrameError(.expansion, found: rawBytes, expected: 255 * storedBytes)
    }
    guard storedBytes == payloadBytes else {
      throw FrameError(.payloadSize, found: payloadBytes, expected: storedBytes)
    }
  }

  /// Writes the entry's 64 bytes.
  func write(to entry: UnsafeMutableRawPointer) {
    entry.initializeMemory(as: UInt8.self, repeating: 0, count: TensorDescriptor.byteCount)
    entry.store(id.rawValue, 0)
    entry.store(dtype.rawValue, 2)
    entry.store(codec.rawValue, 3)
    entry.store(UInt8(shape.rank), 4)
    for dimension in 0..<shape.rank { entry.store(UInt32(shape[dimension]), 8 + 4 * dimension) }
    entry.store(UInt64(rawBytes), 32)
    entry.store(UInt32(storedBytes), 40)
    entry.store(checksum, 44)
  }
}
