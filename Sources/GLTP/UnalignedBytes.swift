#if _endian(big)
  #error("GLTP is little-endian, and so must be the processor")
#endif

extension UnsafeRawBufferPointer {
  /// The little-endian integer at an offset of any alignment. The caller has checked the bounds.
  @inline(__always)
  func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _: T.Type = T.self) -> T {
    assert(offset >= 0 && offset + MemoryLayout<T>.size <= count)
    return baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: offset, as: T.self)
  }

  /// The bytes of a range that lies within.
  @inline(__always)
  func slice(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
    assert(offset >= 0 && count >= 0 && offset + count <= self.count)
    guard let baseAddress else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(start: baseAddress + offset, count: count)
  }

  /// Whether all bytes of a range are zero.
  func isZero(_ range: Range<Int>) -> Bool {
    var all: UInt8 = 0
    for index in range { all |= load(index, UInt8.self) }
    return all == 0
  }

  private var isASCII: Bool {
    let high: UInt64 = 0x8080_8080_8080_8080
    guard count >= 8 else {
      var all: UInt8 = 0
      for index in 0..<count { all |= load(index, UInt8.self) }
      return all < 0x80
    }
    var index = 0
    while index + 8 <= count {
      guard load(index, UInt64.self) & high == 0 else { return false }
      index += 8
    }
    // The last word overlaps the one before.
    return load(count - 8, UInt64.self) & high == 0
  }

  /// Whether the bytes are UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing above U+10FFFF.
  package var isUTF8: Bool {
    // Ids and titles are ASCII, nearly all.
    if isASCII { return true }
    var index = 0
    while index < count {
      let first: UInt8 = load(index)
      if first < 0x80 {
        index += 1
        continue
      }
      let length: Int
      var lowest: UInt8 = 0x80
      var highest: UInt8 = 0xBF
      switch first {
      case 0xC2...0xDF: length = 2
      case 0xE0: (length, lowest) = (3, 0xA0)
      case 0xED: (length, highest) = (3, 0x9F)
      case 0xE1...0xEF: length = 3
      case 0xF0: (length, lowest) = (4, 0x90)
      case 0xF1...0xF3: length = 4
      case 0xF4: (length, highest) = (4, 0x8F)
      default: return false
      }
      guard count - index >= length else { return false }
      let second: UInt8 = load(index + 1)
      guard second >= lowest, second <= highest else { return false }
      for offset in 2..<length where load(index + offset, UInt8.self) & 0xC0 != 0x80 { return false }
      index += length
    }
    return true
  }
}

extension UnsafeMutableRawPointer {
  /// Stores a little-endian integer at an offset of any alignment.
  @inline(__always)
  func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ offset: Int) {
    storeBytes(of: value, toByteOffset: offset, as: T.self)
  }
}
