import Foundation
import GLTP
import Testing

/// Times of the codec on this machine, printed:
/// `GLTA_MEASURE=1 swift test -c release -Xswiftc -Xcc -Xswiftc -march=native --filter CodecSpeedTests`.
///
/// The best of many short windows, so that other work on the machine disturbs little.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["GLTA_MEASURE"] != nil), .serialized)
struct CodecSpeedTests {
  private let pool = BufferPool()

  private func measure(_ name: String, bytes: Int, _ body: () throws -> Void) rethrows {
    var best = Duration.seconds(1)
    for _ in 0..<500 {
      let time = try ContinuousClock().measure { for _ in 0..<50 { try body() } }
      best = min(best, time)
    }
    let nanoseconds = Double(best.components.attoseconds) / 1e9 / 50
    let rate = Double(bytes) / nanoseconds
    print("\(name): \(Int(nanoseconds)) ns, \((rate * 10).rounded() / 10) GB/s of raw bytes")
  }

  private func measure(_ name: String, _ message: Message, privateTensors: [WireTensor] = [], bytes: Int) throws {
    var encoder = MessageEncoder(pool: pool)
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    var parts = MessageParts()
    try encoder.encode(message, privateTensors: privateTensors, into: &parts)
    print("\(name): \(bytes) raw bytes in \(parts.byteCount)")
    try measure("  encode", bytes: bytes) { try encoder.encode(message, privateTensors: privateTensors, into: &parts) }
    try measure("  decode", bytes: bytes) { _ = try decoder.decode(parts) }
  }

  @Test func chunkOfOneThousandCandidates() throws {
    var random = SplitMix(seed: 1)
    let ids = pool.vector(.candidateIDs, (0..<1000).map { Int32($0 * 19) + Int32.random(in: 0..<19, using: &random) })
    let prior = pool.vector(.candidatePrior, (0..<1000).map { _ in Float.random(in: -3...3, using: &random) })
    let header = MessageHeader(.input, stage: .ranker, stream: .candidates, attempt: 1, sessionID: 7)
    let chunk = StreamChunk.candidates(CandidateChunk(ids: ids, prior: prior, total: 20_000))
    try measure("1,000 candidates", Message(header: header, body: .input(chunk)), bytes: 8000)
  }

  @Test func tensorOf64KiB() throws {
    var random = SplitMix(seed: 2)
    let soft = pool.tensor(TensorID(rawValue: 0xF000), .bf16, WireShape(64, 512))
    soft.withUnsafeMutableBytes { bytes in
      for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &random) }
    }
    let ping = Message(header: MessageHeader(.ping), body: .ping)
    try measure("bf16[64, 512]", ping, privateTensors: [soft], bytes: 65_536)
    soft.withUnsafeBytes { bytes in
      var sink: UInt32 = 0
      measure("xxh32, one chain", bytes: bytes.count) { sink &+= XXH32.hash(bytes) }
      measure("xxh32, tree", bytes: bytes.count) { sink &+= XXH32.tree(bytes) }
      #expect(sink != 1)
    }
  }

  @Test func controlMessage() throws {
    let header = MessageHeader(.credit, sessionID: 7)
    try measure("CREDIT", Message(header: header, body: .credit(total: 12)), bytes: 76)
  }
}
