import Foundation
import GLTP
import Testing

/// Damaged messages through the decoder: it may refuse or accept them, but never trap, over-read or keep memory.
///
/// `GLTA_FUZZ_MESSAGES` sets how many (100,000 by default). Under AddressSanitizer, which sees over-reads because each
/// part has exactly the memory of its bytes:
/// `swift test -c release --sanitize=address --scratch-path .build-asan --disable-xctest --filter GLTPTests`
/// (XCTest's runner, which has no tests here, leaks 144 bytes of its own).
@Suite struct MutationTests {
  @Test func mutatedMessagesNeverTrap() throws {
    let total = ProcessInfo.processInfo.environment["GLTA_FUZZ_MESSAGES"].flatMap { Int($0) } ?? 100_000
    let seeds = (GoldenVector.valid + GoldenVector.invalid).filter { $0.parts.reduce(0) { $0 + $1.count } < 20_000 }
    let pool = BufferPool(budget: 64 << 20)
    var mesh = MessageDecoder(pool: pool, limits: .mesh)
    var edge = MessageDecoder(pool: pool, limits: .clientEdge)
    var encoder = MessageEncoder(pool: pool)
    var random = SplitMix(seed: 20_260_101)
    var accepted = 0
    var rules: [FrameError.Rule: Int] = [:]
    for index in 0..<total {
      var parts = seeds[Int.random(in: 0..<seeds.count, using: &random)].parts
      for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&parts, &random) }
      // Most mutants get right checksums, so that what lies behind them is reached.
      if Int.random(in: 0..<8, using: &random) > 0 { reseal(&parts) }
      let received = ReceivedParts(parts)
      guard received.fits else { continue }
      do throws(FrameError) {
        let message = try index % 2 == 0 ? mesh.decode(received.parts) : edge.decode(received.parts)
        accepted += 1
        // What a decoder accepts, an encoder can say, and it means the same.
        var parts = MessageParts()
        try encoder.encode(message, into: &parts)
        var again = try mesh.decode(parts)
        again.header.attempt = message.header.attempt
        if again.body != message.body { Issue.record("mutant \(index) changes its meaning") }
      } catch {
        rules[error.rule, default: 0] += 1
      }
      withExtendedLifetime(received) {}
    }
    #expect(pool.bytesInUse == 0)
    if total >= 100_000 {
      #expect(accepted > total / 100)
      // Nearly every rule is met by chance alone.
      #expect(rules.count > FrameError.Rule.allCases.count * 8 / 10)
    }
  }

  private func mutate(_ parts: inout [[UInt8]], _ random: inout SplitMix) {
    guard !parts.isEmpty else { return }
    let part = Int.random(in: 0..<parts.count, using: &random)
    let count = parts[part].count
    switch Int.random(in: 0..<12, using: &random) {
    case 0: parts.remove(at: part)
    case 1: parts.insert(parts[Int.random(in: 0..<parts.count, using: &random)], at: part)
    case 2: parts.swapAt(part, Int.random(in: 0..<parts.count, using: &random))
    case 3 where count > 0: parts[part].removeLast(Int.random(in: 1...count, using: &random))
    case 4:
      parts[part] += (0..<Int.random(in: 1...70, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    case 5 where count > 4:
      // Lengths and counts like to be extreme.
      let extremes: [UInt32] = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]
      let value = extremes[Int.random(in: 0..<extremes.count, using: &random)]
      let offset = Int.random(in: 0...count - 4, using: &random)
      for byte in 0..<4 { parts[part][offset + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte)) }
    default:
      guard count > 0 else { return }
      let offset = Int.random(in: 0..<count, using: &random)
      parts[part][offset] =
        Bool.random(using: &random)
        ? parts[part][offset] ^ (1 << UInt8.random(in: 0..<8, using: &random))
        : UInt8.random(in: 0...255, using: &random)
    }
  }

  private func reseal(_ parts: inout [[UInt8]]) {
    func put(_ value: UInt32, _ part: Int, _ offset: Int) {
      for byte in 0..<4 { parts[part][offset + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte)) }
    }
    if parts.count > 2 {
      for index in 2..<parts.count where parts[1].count >= 8 + 64 * (index - 1) {
        put(parts[index].withUnsafeBytes { XXH32.tree($0) }, 1, 8 + 64 * (index - 2) + 44)
        if index % 2 == 0 { put(UInt32(parts[index].count), 1, 8 + 64 * (index - 2) + 40) }
      }
    }
    if parts.count > 1, parts[1].count >= 16 {
      put(0, 1, 4)
      put(parts[1].withUnsafeBytes { XXH32.hash($0) }, 1, 4)
    }
    if let head = parts.first, head.count >= 64 {
      put(0, 0, 60)
      put(parts[0].withUnsafeBytes { XXH32.hash($0) }, 0, 60)
    }
  }
}
