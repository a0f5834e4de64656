import CLZ4
import GLTP
import Testing

@Suite struct XXH32Tests {
  /// XXH32 as its specification tells it, one lane after the other.
  private func naive(_ bytes: some Collection<UInt8>) -> UInt32 {
    let bytes = Array(bytes)
    let (p1, p2, p3, p4, p5) = (
      0x9E37_79B1 as UInt32, 0x85EB_CA77 as UInt32, 0xC2B2_AE3D as UInt32, 0x27D4_EB2F as UInt32, 0x1656_67B1 as UInt32
    )
    func rotate(_ x: UInt32, _ n: UInt32) -> UInt32 { x << n | x >> (32 - n) }
    func word(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) } }
    var at = 0
    var hash = p5
    if bytes.count >= 16 {
      var lanes = [p1 &+ p2, p2, 0, 0 &- p1]
      while bytes.count - at >= 16 {
        for lane in 0..<4 { lanes[lane] = rotate(lanes[lane] &+ word(at + 4 * lane) &* p2, 13) &* p1 }
        at += 16
      }
      hash = rotate(lanes[0], 1) &+ rotate(lanes[1], 7) &+ rotate(lanes[2], 12) &+ rotate(lanes[3], 18)
    }
    hash &+= UInt32(bytes.count)
    while bytes.count - at >= 4 {
      hash = rotate(hash &+ word(at) &* p3, 17) &* p4
      at += 4
    }
    for byte in bytes[at...] { hash = rotate(hash &+ UInt32(byte) &* p5, 11) &* p1 }
    hash = (hash ^ hash >> 15) &* p2
    hash = (hash ^ hash >> 13) &* p3
    return hash ^ hash >> 16
  }

  private func naiveTree(_ bytes: [UInt8]) -> UInt32 {
    guard bytes.count > 512 else { return naive(bytes) }
    let digests = stride(from: 0, to: bytes.count, by: 512).map { naive(bytes[$0..<min($0 + 512, bytes.count)]) }
    return naive(digests.flatMap { digest in (0..<4).map { UInt8(truncatingIfNeeded: digest >> UInt32(8 * $0)) } })
  }

  @Test func knownValues() {
    // The reference implementation's: xxhsum -H0 of these texts.
    for (text, hash): (String, UInt32) in [
      ("", 0x02CC_5D05), ("a", 0x550D_7456), ("abc", 0x32D1_53FF),
      ("Nobody inspects the spammish repetition", 0xE229_3B2F),
    ] {
      #expect(Array(text.utf8).withUnsafeBytes { XXH32.hash($0) } == hash, "\(text)")
    }
  }

  @Test func matchesTheNaiveTwin() {
    var random = SplitMix(seed: 3)
    var counts = Array(0...130) + Array(500...530) + Array(stride(from: 1000, through: 9300, by: 23))
    for leaves in 1...20 { counts += [512 * leaves - 1, 512 * leaves, 512 * leaves + 1] }
    for count in counts {
      let bytes = (0..<count + 1).map { _ in UInt8.random(in: 0...255, using: &random) }
      bytes.withUnsafeBytes { all in
        let odd = UnsafeRawBufferPointer(rebasing: all[1...])
        #expect(XXH32.hash(odd) == naive(bytes[1...]), "\(count) bytes")
        #expect(XXH32.tree(odd) == naiveTree(Array(bytes[1...])), "\(count) bytes")
      }
    }
  }

  @Test func matchesTheCheckByteOfLZ4sOwnHeaders() {
    for size in [1, 2, 255, 256, 65_535, 65_536, 1_000_000, 3_000_001] {
      var preferences = LZ4F_preferences_t()
      preferences.frameInfo.contentSize = UInt64(size)
      preferences.frameInfo.blockMode = LZ4F_blockIndependent
      let source = [UInt8](repeating: 7, count: size)
      var frame = [UInt8](repeating: 0, count: LZ4F_compressFrameBound(size, &preferences))
      let count = LZ4F_compressFrame(&frame, frame.count, source, size, &preferences)
      #expect(LZ4F_isError(count) == 0)
      #expect(frame[4..<14].withUnsafeBytes { LZ4Frame.checkByte($0) } == frame[14])
    }
  }
}

/// Numbers that are the same everywhere: SplitMix64 of Steele, Lea and Flood (OOPSLA 2014).
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
