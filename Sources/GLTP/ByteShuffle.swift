/// Puts bytes of equal weight side by side, so that LZ4 sees the runs in small or sorted integers (gltp-1.md 4.2).
package enum ByteShuffle {
  /// Byte j of element i moves to position j x count + i. Source and target do not overlap; neither need be aligned.
  package static func shuffle(_ source: UnsafeRawPointer, into target: UnsafeMutableRawPointer, count: Int, width: Int)
  {
    switch width {
    case 2: split(source, UInt16.self, target, count)
    case 4: split(source, UInt32.self, target, count)
    case 8: split(source, UInt64.self, target, count)
    default: target.copyMemory(from: source, byteCount: count * width)
    }
  }

  /// The first `planes` of the byte planes of elements of four bytes.
  static func shuffleLow(
    _ source: UnsafeRawPointer, into target: UnsafeMutableRawPointer, count: Int, planes: Int
  ) {
    for byte in 0..<planes {
      let plane = target + byte &* count
      let shift = UInt32(truncatingIfNeeded: 8 &* byte)
      for index in 0..<count {
        let value = source.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)
        plane.storeBytes(of: UInt8(truncatingIfNeeded: value &>> shift), toByteOffset: index, as: UInt8.self)
      }
    }
  }

  /// How many low bytes of elements of four bytes are not all zero.
  static func significantBytes(_ source: UnsafeRawPointer, count: Int) -> Int {
    var bits: UInt32 = 0
    for index in 0..<count { bits |= source.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self) }
    return (UInt32.bitWidth - bits.leadingZeroBitCount + 7) / 8
  }

  /// The inverse of `shuffle`.
  package static func unshuffle(
    _ source: UnsafeRawPointer, into target: UnsafeMutableRawPointer, count: Int, width: Int
  ) {
    switch width {
    case 2:
      for index in 0..<count {
        let low = UInt16(source.load(fromByteOffset: index, as: UInt8.self))
        let high = UInt16(source.load(fromByteOffset: index &+ count, as: UInt8.self))
        target.store(low | high &<< 8, index &* 2)
      }
    case 4:
      for index in 0..<count {
        let b0 = UInt32(source.load(fromByteOffset: index, as: UInt8.self))
        let b1 = UInt32(source.load(fromByteOffset: index &+ count, as: UInt8.self))
        let b2 = UInt32(source.load(fromByteOffset: index &+ 2 &* count, as: UInt8.self))
        let b3 = UInt32(source.load(fromByteOffset: index &+ 3 &* count, as: UInt8.self))
        target.store(b0 | b1 &<< 8 | b2 &<< 16 | b3 &<< 24, index &* 4)
      }
    case 8:
      for index in 0..<count {
        var value: UInt64 = 0
        for byte in 0..<8 {
          value |= UInt64(source.load(fromByteOffset: index &+ byte &* count, as: UInt8.self)) &<< UInt64(8 &* byte)
        }
        target.store(value, index &* 8)
      }
    default: target.copyMemory(from: source, byteCount: count * width)
    }
  }

  /// One pass for each byte: plain truncating loops are what the compiler turns into vector code.
  @inline(__always)
  private static func split<T: FixedWidthInteger & BitwiseCopyable>(
    _ source: UnsafeRawPointer, _: T.Type, _ target: UnsafeMutableRawPointer, _ count: Int
  ) {
    for byte in 0..<MemoryLayout<T>.size {
      let plane = target + byte &* count
      let shift = T(truncatingIfNeeded: 8 &* byte)
      for index in 0..<count {
        let value = source.loadUnaligned(fromByteOffset: index &* MemoryLayout<T>.size, as: T.self)
        plane.storeBytes(of: UInt8(truncatingIfNeeded: value &>> shift), toByteOffset: index, as: UInt8.self)
      }
    }
  }
}
