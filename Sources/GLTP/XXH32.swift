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
  public static let leafBytes = 1024

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

  /// The checksum of a payload: the hash of the hashes of its 1,024-byte leaves; of at most one leaf, its hash.
  public static func tree(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    guard bytes.count > leafBytes, let base = bytes.baseAddress else { return hash(bytes) }
    // The digests are themselves hashed as they come, 16 bytes or four leaves at a time.
    var lanes = initialLanes
    let leaves = (bytes.count + leafBytes - 1) / leafBytes
    var leaf = 0
    while (leaf + 8) * leafBytes <= bytes.count {
      let (first, second) = eightLeaves(base + leaf * leafBytes)
      lanes = round(round(lanes, first), second)
      leaf += 8
    }
    var accumulator: UInt32?
    while leaf < leaves {
      let group = min(4, leaves - leaf)
      let digests = fewLeaves(bytes.slice(leaf * leafBytes, min(4 * leafBytes, bytes.count - leaf * leafBytes)), group)
      leaf += group
      if group == 4 {
        lanes = round(lanes, digests)
      } else {
        var last = (leaves < 4 ? prime5 : merge(lanes)) &+ UInt32(truncatingIfNeeded: leaves * 4)
        for index in 0..<group { last = rotate(last &+ digests[index] &* prime3, 17) &* prime4 }
        accumulator = last
      }
    }
    return avalanche(accumulator ?? merge(lanes) &+ UInt32(truncatingIfNeeded: leaves * 4))
  }

  /// The hashes of one to four leaves, of which the last may be short: side by side as far as all go.
  private static func fewLeaves(_ bytes: UnsafeRawBufferPointer, _ count: Int) -> Lanes {
    let common = count == 1 ? 0 : (bytes.count - (count - 1) * leafBytes) & ~15
    let start = initialLanes
    var lanes: FourLanes = (start, start, start, start)
    if common > 0 {
      // Chains without a leaf of their own repeat the last one's and are not looked at.
      let last = (count - 1) * leafBytes
      fourChains(
        bytes.baseAddress.unsafelyUnwrapped, (min(leafBytes, last), min(2 * leafBytes, last), last), common, &lanes)
    }
    var digests = Lanes()
    digests[0] = finish(lanes.0, bytes.slice(0, min(leafBytes, bytes.count)), from: common)
    if count > 1 { digests[1] = finish(lanes.1, leaf(1, bytes), from: common) }
    if count > 2 { digests[2] = finish(lanes.2, leaf(2, bytes), from: common) }
    if count > 3 { digests[3] = finish(lanes.3, leaf(3, bytes), from: common) }
    return digests
  }

  private static func leaf(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    bytes.slice(index * leafBytes, min(leafBytes, bytes.count - index * leafBytes))
  }

  private typealias FourLanes = (Lanes, Lanes, Lanes, Lanes)

  @inline(never)
  private static func fourChains(
    _ base: UnsafeRawPointer, _ offsets: (Int, Int, Int), _ byteCount: Int, _ lanes: inout FourLanes
  ) {
    var (a, b, c, d) = lanes
    var position = 0
    while position < byteCount {
      let stripe = base + position
      a = round(a, stripe.loadUnaligned(as: Lanes.self))
      b = round(b, stripe.loadUnaligned(fromByteOffset: offsets.0, as: Lanes.self))
      c = round(c, stripe.loadUnaligned(fromByteOffset: offsets.1, as: Lanes.self))
      d = round(d, stripe.loadUnaligned(fromByteOffset: offsets.2, as: Lanes.self))
      position += 16
    }
    lanes = (a, b, c, d)
  }

  private typealias EightLanes = (Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes)

  /// The hashes of eight whole leaves.
  private static func eightLeaves(_ base: UnsafeRawPointer) -> (Lanes, Lanes) {
    let start = initialLanes
    var lanes: EightLanes = (start, start, start, start, start, start, start, start)
    eightChains(base, &lanes)
    let length = UInt32(leafBytes)
    return (
      avalanche(Lanes(merge(lanes.0), merge(lanes.1), merge(lanes.2), merge(lanes.3)) &+ length),
      avalanche(Lanes(merge(lanes.4), merge(lanes.5), merge(lanes.6), merge(lanes.7)) &+ length)
    )
  }

  /// All rounds of eight leaves. One chain of dependent multiplications takes five cycles for 16 bytes; eight fill the
  /// gaps of one another. Not inlined: beside `merge` the compiler transposes all lanes in every round, at half the speed.
  @inline(never)
  private static func eightChains(_ base: UnsafeRawPointer, _ lanes: inout EightLanes) {
    var (a, b, c, d, e, f, g, h) = lanes
    var position = 0
    while position < leafBytes {
      let stripe = base + position
      a = round(a, stripe.loadUnaligned(fromByteOffset: 0 * leafBytes, as: Lanes.self))
      b = round(b, stripe.loadUnaligned(fromByteOffset: 1 * leafBytes, as: Lanes.self))
      c = round(c, stripe.loadUnaligned(fromByteOffset: 2 * leafBytes, as: Lanes.self))
      d = round(d, stripe.loadUnaligned(fromByteOffset: 3 * leafBytes, as: Lanes.self))
      e = round(e, stripe.loadUnaligned(fromByteOffset: 4 * leafBytes, as: Lanes.self))
      f = round(f, stripe.loadUnaligned(fromByteOffset: 5 * leafBytes, as: Lanes.self))
      g = round(g, stripe.loadUnaligned(fromByteOffset: 6 * leafBytes, as: Lanes.self))
      h = round(h, stripe.loadUnaligned(fromByteOffset: 7 * leafBytes, as: Lanes.self))
      position += 16
    }
    lanes = (a, b, c, d, e, f, g, h)
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
