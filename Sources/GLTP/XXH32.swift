/// The 32-bit xxHash with seed 0 (doc/xxhash_spec.md of Cyan4973/xxHash, version 0.1.1), and the tree of it that covers
/// payloads (gltp-1.md 3.7).
public enum XXH32 {
  private typealias Lanes = SIMD4<UInt32>

  private static let prime1: UInt32 = 0x9E37_79B1
  private static let prime2: UInt32 = 0x85EB_CA77
  private static let prime3: UInt32 = 0xC2B2_AE3D
  private static let prime4: UInt32 = 0x27D4_EB2F
  private static let prime5: UInt32 = 0x1656_67B1

  /// Bytes of a leaf of the payload tree.
  public static let leafBytes = 512

  /// The hash of the bytes.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt32 { hash(bytes, zeroingWordAt: -1) }

  /// The hash of the bytes with the four at `offset` taken as zero: where a checksum lies inside what it covers.
  ///
  /// - Parameter offset: a multiple of 4 inside one of the whole 16-byte stripes, or negative for none.
  static func hash(_ bytes: UnsafeRawBufferPointer, zeroingWordAt offset: Int) -> UInt32 {
    var lanes = initialLanes
    var position = 0
    if offset >= 0 {
      while position <= offset, position + 16 <= bytes.count {
        var input = bytes.baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: position, as: Lanes.self)
        if offset - position < 16 { input[(offset - position) / 4] = 0 }
        lanes = round(lanes, input)
        position += 16
      }
    }
    return finish(lanes, bytes, from: position)
  }

  /// The hash of bytes whose first `start`, whole stripes, are already in the lanes.
  private static func finish(_ lanes: Lanes, _ bytes: UnsafeRawBufferPointer, from start: Int) -> UInt32 {
    var lanes = lanes
    var position = start
    while position + 16 <= bytes.count {
      lanes = round(lanes, bytes.baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      position += 16
    }
    var accumulator = bytes.count < 16 ? prime5 : merge(lanes)
    accumulator &+= UInt32(truncatingIfNeeded: bytes.count)
    while position + 4 <= bytes.count {
      accumulator = rotate(accumulator &+ bytes.load(position, UInt32.self) &* prime3, 17) &* prime4
      position += 4
    }
    while position < bytes.count {
      accumulator = rotate(accumulator &+ UInt32(bytes.load(position, UInt8.self)) &* prime5, 11) &* prime1
      position += 1
    }
    return avalanche(accumulator)
  }

  /// The checksum of a payload: the hash of the hashes of its 512-byte leaves; of at most one leaf, its hash.
  public static func tree(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    guard bytes.count > leafBytes else { return hash(bytes) }
    // The digests are themselves hashed as they come, 16 bytes or four leaves at a time.
    var lanes = initialLanes
    let leaves = (bytes.count + leafBytes - 1) / leafBytes
    var leaf = 0
    var rest = Lanes()
    while leaf < leaves {
      let group = min(8, leaves - leaf)
      let start = leaf * leafBytes
      let (first, second) = digests(bytes.slice(start, min(group * leafBytes, bytes.count - start)), group)
      if group >= 4 { lanes = round(lanes, first) }
      if group == 8 { lanes = round(lanes, second) }
      rest = group > 4 ? second : first
      leaf += group
    }
    var accumulator = (leaves < 4 ? prime5 : merge(lanes)) &+ UInt32(truncatingIfNeeded: leaves * 4)
    for index in 0..<leaves % 4 { accumulator = rotate(accumulator &+ rest[index] &* prime3, 17) &* prime4 }
    return avalanche(accumulator)
  }

  private typealias EightLanes = (Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes)

  /// The hashes of one to eight leaves, of which the last may be short.
  private static func digests(_ bytes: UnsafeRawBufferPointer, _ count: Int) -> (Lanes, Lanes) {
    let start = initialLanes
    var lanes: EightLanes = (start, start, start, start, start, start, start, start)
    let base = bytes.baseAddress.unsafelyUnwrapped
    let lastOffset = (count - 1) * leafBytes
    let last = bytes.slice(lastOffset, bytes.count - lastOffset)
    // All chains go as far as the last leaf, then the others to their end. A chain without a leaf repeats another's.
    let common = last.count & ~15
    run(base, count, lastOffset, 0..<common, &lanes)
    let lastLanes = withUnsafePointer(to: &lanes) { pointer in
      UnsafeRawPointer(pointer).load(fromByteOffset: (count - 1) * MemoryLayout<Lanes>.stride, as: Lanes.self)
    }
    if count > 1, common < leafBytes { run(base, count, lastOffset - leafBytes, common..<leafBytes, &lanes) }
    let length = UInt32(leafBytes)
    var first = avalanche(Lanes(merge(lanes.0), merge(lanes.1), merge(lanes.2), merge(lanes.3)) &+ length)
    guard count > 4 else {
      if last.count < leafBytes { first[count - 1] = finish(lastLanes, last, from: common) }
      return (first, Lanes())
    }
    var second = avalanche(Lanes(merge(lanes.4), merge(lanes.5), merge(lanes.6), merge(lanes.7)) &+ length)
    if last.count < leafBytes { second[count - 5] = finish(lastLanes, last, from: common) }
    return (first, second)
  }

  @inline(__always)
  private static func run(
    _ base: UnsafeRawPointer, _ count: Int, _ lastOffset: Int, _ range: Range<Int>, _ lanes: inout EightLanes
  ) {
    count > 4 ? eightChains(base, lastOffset, range, &lanes) : fourChains(base, lastOffset, range, &lanes)
  }

  /// The rounds of eight leaves over a range of their bytes. One chain of dependent multiplications takes five cycles for
  /// 16 bytes; eight fill the gaps of one another. Not inlined: beside `merge` the compiler transposes all lanes in every
  /// round, at half the speed.
  @inline(never)
  private static func eightChains(
    _ base: UnsafeRawPointer, _ lastOffset: Int, _ range: Range<Int>, _ lanes: inout EightLanes
  ) {
    let leaf0 = base
    let leaf1 = base + min(1 * leafBytes, lastOffset)
    let leaf2 = base + min(2 * leafBytes, lastOffset)
    let leaf3 = base + min(3 * leafBytes, lastOffset)
    let leaf4 = base + min(4 * leafBytes, lastOffset)
    let leaf5 = base + min(5 * leafBytes, lastOffset)
    let leaf6 = base + min(6 * leafBytes, lastOffset)
    let leaf7 = base + min(7 * leafBytes, lastOffset)
    var (a, b, c, d, e, f, g, h) = lanes
    var position = range.lowerBound
    while position < range.upperBound {
      a = round(a, leaf0.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      b = round(b, leaf1.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      c = round(c, leaf2.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      d = round(d, leaf3.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      e = round(e, leaf4.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      f = round(f, leaf5.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      g = round(g, leaf6.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      h = round(h, leaf7.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      position += 16
    }
    lanes = (a, b, c, d, e, f, g, h)
  }

  /// The rounds of four leaves; see `eightChains`.
  @inline(never)
  private static func fourChains(
    _ base: UnsafeRawPointer, _ lastOffset: Int, _ range: Range<Int>, _ lanes: inout EightLanes
  ) {
    let leaf0 = base
    let leaf1 = base + min(1 * leafBytes, lastOffset)
    let leaf2 = base + min(2 * leafBytes, lastOffset)
    let leaf3 = base + min(3 * leafBytes, lastOffset)
    var (a, b, c, d) = (lanes.0, lanes.1, lanes.2, lanes.3)
    var position = range.lowerBound
    while position < range.upperBound {
      a = round(a, leaf0.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      b = round(b, leaf1.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      c = round(c, leaf2.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      d = round(d, leaf3.loadUnaligned(fromByteOffset: position, as: Lanes.self))
      position += 16
    }
    (lanes.0, lanes.1, lanes.2, lanes.3) = (a, b, c, d)
  }

  private static var initialLanes: Lanes {
    @inline(__always) get { Lanes(prime1 &+ prime2, prime2, 0, 0 &- prime1) }
  }

  @inline(__always)
  private static func round(_ lanes: Lanes, _ input: Lanes) -> Lanes {
    let sum = lanes &+ input &* prime2
    return (sum &<< 13 | sum &>> 19) &* prime1
  }

  @inline(__always)
  private static func merge(_ lanes: Lanes) -> UInt32 {
    (lanes &<< Lanes(1, 7, 12, 18) | lanes &>> Lanes(31, 25, 20, 14)).wrappedSum()
  }

  @inline(__always)
  private static func rotate(_ value: UInt32, _ bits: UInt32) -> UInt32 { value &<< bits | value &>> (32 &- bits) }

  @inline(__always)
  private static func avalanche(_ value: UInt32) -> UInt32 {
    var hash = value
    hash = (hash ^ hash &>> 15) &* prime2
    hash = (hash ^ hash &>> 13) &* prime3
    return hash ^ hash &>> 16
  }

  @inline(__always)
  private static func avalanche(_ values: Lanes) -> Lanes {
    var hash = values
    hash = (hash ^ hash &>> 15) &* prime2
    hash = (hash ^ hash &>> 13) &* prime3
    return hash ^ hash &>> 16
  }
}
