/// The frame around a payload (doc/lz4_Frame_format.md of lz4/lz4, version 1.6.1), as narrow as gltp-1.md 4.2 makes it.
package struct LZ4Frame {
  /// Bytes of a header with content size.
  static let headerBytes = 15
  /// Bytes around the content of one stored block: header, block size, end mark.
  static let storedOverhead = headerBytes + 4 + 4
  private static let magic: UInt32 = 0x184D_2204
  private static let flags: UInt8 = 0x68
  static let storedBit: UInt32 = 0x8000_0000
  /// The largest block that is allowed.
  static let largestBlock = 1 << 20

  /// Bytes of the largest block that the frame may have.
  let blockBytes: Int

  /// Reads and checks a frame's header.
  ///
  /// - Parameter rawBytes: what the frame must say that it holds.
  /// - Throws: `.lz4Magic` to `.lz4HeaderChecksum`, `.lz4Truncated` where there is no room for a header.
  init(parsing frame: UnsafeRawBufferPointer, rawBytes: Int) throws(FrameError) {
    guard frame.count >= 4, frame.load(0) == LZ4Frame.magic else { throw FrameError(.lz4Magic) }
    guard frame.count >= 5, frame.load(4) == LZ4Frame.flags else {
      throw FrameError(.lz4Flags, found: frame.count < 5 ? 0 : UInt64(frame.load(4, UInt8.self)), expected: 0x68)
    }
    guard frame.count >= LZ4Frame.headerBytes else { throw FrameError(.lz4Truncated, found: frame.count) }
    switch frame.load(5, UInt8.self) {
    case 0x40: blockBytes = 1 << 16
    case 0x50: blockBytes = 1 << 18
    case 0x60: blockBytes = 1 << 20
    default: throw FrameError(.lz4BlockSize, found: UInt64(frame.load(5, UInt8.self)))
    }
    guard frame.load(6, UInt64.self) == rawBytes else {
      throw FrameError(.lz4ContentSize, found: frame.load(6), expected: UInt64(rawBytes))
    }
    guard frame.load(14) == LZ4Frame.checkByte(frame.slice(4, 10)) else {
      throw FrameError(.lz4HeaderChecksum, found: UInt64(frame.load(14, UInt8.self)))
    }
  }

  /// The check byte of a frame descriptor: the second byte of its XXH32.
  package static func checkByte(_ descriptor: UnsafeRawBufferPointer) -> UInt8 {
    UInt8(truncatingIfNeeded: XXH32.hash(descriptor) >> 8)
  }

  /// The content of a frame of exactly one stored block, nil for any other frame.
  func storedContent(_ frame: UnsafeRawBufferPointer, rawBytes: Int) -> UnsafeRawBufferPointer? {
    guard rawBytes <= blockBytes, frame.count == rawBytes + LZ4Frame.storedOverhead,
      frame.load(LZ4Frame.headerBytes) == LZ4Frame.storedBit | UInt32(rawBytes),
      frame.load(frame.count - 4, UInt32.self) == 0
    else { return nil }
    return frame.slice(LZ4Frame.headerBytes + 4, rawBytes)
  }

  /// Writes a header.
  static func writeHeader(_ target: UnsafeMutableRawPointer, rawBytes: Int) {
    target.store(magic, 0)
    target.store(flags, 4)
    target.store(rawBytes <= 1 << 16 ? 0x40 : rawBytes <= 1 << 18 ? 0x50 : 0x60 as UInt8, 5)
    target.store(UInt64(rawBytes), 6)
    target.store(checkByte(UnsafeRawBufferPointer(start: target + 4, count: 10)), 14)
  }

  /// Bytes of a frame of stored blocks around so many bytes.
  static func storedBytes(_ rawBytes: Int) -> Int {
    headerBytes + (rawBytes + largestBlock - 1) / largestBlock * 4 + rawBytes + 4
  }

  /// Writes a frame of stored blocks of 1 MiB at most.
  static func writeStored(_ source: UnsafeRawPointer, _ rawBytes: Int, to target: UnsafeMutableRawPointer) {
    writeHeader(target, rawBytes: rawBytes)
    var written = headerBytes
    var position = 0
    while position < rawBytes {
      let length = min(largestBlock, rawBytes - position)
      target.store(storedBit | UInt32(length), written)
      (target + written + 4).copyMemory(from: source + position, byteCount: length)
      written += 4 + length
      position += length
    }
    target.store(UInt32(0), written)
  }

  /// The fewest zeros that `writeZeros` can say.
  static let fewestZeros = 25

  /// Bytes of the block that `writeZeros` writes, with its size.
  static func zerosBytes(_ count: Int) -> Int { 4 + 4 + (count - fewestZeros) / 255 + 1 + 6 }

  /// Writes a compressed block of so many zeros (doc/lz4_Block_format.md): one literal, a match at distance one over the
  /// rest but five bytes, which the format wants as literals. Returns its size.
  static func writeZeros(_ count: Int, to target: UnsafeMutableRawPointer) -> Int {
    let blockBytes = zerosBytes(count)
    target.store(UInt32(blockBytes - 4), 0)
    target.store(0x0001_001F as UInt32, 4)
    var written = 8
    var length = count - fewestZeros
    while length >= 255 {
      target.store(0xFF as UInt8, written)
      written += 1
      length -= 255
    }
    target.store(UInt8(length), written)
    target.store(0x50 as UInt64, written + 1)
    return blockBytes
  }
}
