#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Random numbers that are a function of (seed, stream, position): Philox4x32-10 of Salmon et al., *Parallel random
/// numbers: as easy as 1, 2, 3* (SC 2011).
///
/// There is no hidden state to save: a checkpoint that knows its epoch and step knows its random numbers. Threads draw
/// from streams or positions of their own, so their order does not matter.
public struct Philox: Sendable {
  private let key: SIMD2<UInt32>
  private let stream: SIMD2<UInt32>

  /// The stream of one seed, purpose and index.
  ///
  /// - Parameters:
  ///   - seed: chosen by the user.
  ///   - purpose: what the numbers are for; different purposes draw independent numbers from one seed.
  ///   - index: an epoch, a user or a step, where a purpose needs many streams.
  public init(seed: UInt64, purpose: String, index: UInt64 = 0) {
    // FNV-1a keeps the purpose readable at the call and stable between versions.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    self.init(key: seed ^ hash, stream: index)
  }

  /// The generator with its raw parameters, as the reference vectors of Random123 state them: `stream` is the upper
  /// half of the counter.
  public init(key: UInt64, stream: UInt64) {
    self.key = SIMD2(UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
    self.stream = SIMD2(UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32))
  }

  /// Four random words for a position.
  public func words(at position: UInt64) -> SIMD4<UInt32> {
    var counter = SIMD4(
      UInt32(truncatingIfNeeded: position), UInt32(truncatingIfNeeded: position >> 32), stream.x, stream.y)
    var key = key
    for _ in 0..<10 {
      let low = UInt64(0xD251_1F53) &* UInt64(counter.x)
      let high = UInt64(0xCD9E_8D57) &* UInt64(counter.z)
      counter = SIMD4(
        UInt32(truncatingIfNeeded: high >> 32) ^ counter.y ^ key.x, UInt32(truncatingIfNeeded: high),
        UInt32(truncatingIfNeeded: low >> 32) ^ counter.w ^ key.y, UInt32(truncatingIfNeeded: low))
      key = key &+ SIMD2(0x9E37_79B9, 0xBB67_AE85)
    }
    return counter
  }

  /// The numbers in order of position, for code that draws them one after another.
  public func sequence() -> Sequence { Sequence(generator: self) }

  /// A cursor over a stream.
  public struct Sequence: RandomNumberGenerator, Sendable {
    private let generator: Philox
    private var position: UInt64 = 0
    private var block = SIMD4<UInt32>()
    private var used = 4

    fileprivate init(generator: Philox) { self.generator = generator }

    /// 32 random bits.
    public mutating func nextWord() -> UInt32 {
      if used == 4 {
        block = generator.words(at: position)
        position += 1
        used = 0
      }
      defer { used += 1 }
      return block[used]
    }

    /// 64 random bits: two words of the stream, the first of them the lower half.
    public mutating func next() -> UInt64 {
      let low = UInt64(nextWord())
      return low | UInt64(nextWord()) << 32
    }

    /// A number in [0, 1), a multiple of 2^-24.
    public mutating func uniform() -> Float { Float(nextWord() >> 8) * 0x1p-24 }

    /// An index in 0..<bound, without bias (Lemire, *Fast random integer generation in an interval*, 2019).
    public mutating func index(below bound: Int) -> Int {
      precondition(bound > 0 && bound <= Int(UInt32.max))
      let bound = UInt64(bound)
      var product = UInt64(nextWord()) &* bound
      if product & 0xFFFF_FFFF < bound {
        let threshold = (0x1_0000_0000 &- bound) % bound
        while product & 0xFFFF_FFFF < threshold { product = UInt64(nextWord()) &* bound }
      }
      return Int(product >> 32)
    }

    /// A draw from N(0, 1) by the Box-Muller transform.
    public mutating func normal() -> Float {
      let radius = (-2 * logf(1 - uniform())).squareRoot()
      return radius * cosf(2 * .pi * uniform())
    }

    /// Puts the elements in random order (Fisher-Yates). The standard library does not promise its own order between
    /// versions; bundles need it.
    public mutating func shuffle<Element>(_ elements: inout [Element]) {
      for last in stride(from: elements.count - 1, to: 0, by: -1) {
        elements.swapAt(last, index(below: last + 1))
      }
    }
  }
}
