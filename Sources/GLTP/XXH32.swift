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
    let stripes = bytes.count / 16
    var position = 0
    for stripe in 0..<stripes {
      var input = bytes.baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: position, as: Lanes.self)
      if offset >= 0 && offset / 16 == stripe { input[offset % 16 / 4] = 0 }
      lanes = round(lanes, input)
      position += 16
    }
    var accumulator = stripes == 0 ? prime5 : merge(lanes)
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
    var tail = Lanes()
    var tailCount = 0
    while leaf < leaves {
      let start = leaf * leafBytes
      tail[tailCount] = hash(bytes.slice(start, min(leafBytes, bytes.count - start)))
      tailCount += 1
      leaf += 1
      if tailCount == 4 {
        lanes = round(lanes, tail)
        tailCount = 0
      }
    }
    var accumulator = leaves < 4 ? prime5 : merge(lanes)
    accumulator &+= UInt32(truncatingIfNeeded: leaves * 4)
    for index in 0..<tailCount { accumulator = rotate(accumulator &+ tail[index] &* prime3, 17) &* prime4 }
    return avalanche(accumulator)
  }

  /// The hashes of eight whole leaves. One chain of dependent multiplications takes five cycles for 16 bytes; eight fill
  /// the gaps of one another.
  @inline(__always)
  private static func eightLeaves(_ base: UnsafeRawPointer) -> (Lanes, Lanes) {
    var a = initialLanes
    var b = initialLanes
    var c = initialLanes
    var d = initialLanes
    var e = initialLanes
    var f = initialLanes
    var g = initialLanes
    var h = initialLanes
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
    let length = UInt32(leafBytes)
    return (
      avalanche(Lanes(merge(a), merge(b), merge(c), merge(d)) &+ length),
      avalanche(Lanes(merge(e), merge(f), merge(g), merge(h)) &+ length)
    )
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
    rotate(lanes.x, 1) &+ rotate(lanes.y, 7) &+ rotate(lanes.z, 12) &+ rotate(lanes.w, 18)
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
