import GLTP
import Testing

@Suite struct RoundTripTests {
  private let pool = BufferPool()

  @Test(arguments: WireDType.allCases)
  func everyDTypeByEveryCompression(_ dtype: WireDType) throws {
    var encoder = MessageEncoder(pool: pool)
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    var random = SplitMix(seed: UInt64(dtype.rawValue))
    for count in [0, 1, 7, 63, 64, 1000, 16_385, 300_001] {
      for compression in [WireTensor.Compression.automatic, .stored, .lz4, .shuffledLZ4] {
        var tensor = pool.tensor(TensorID(rawValue: 0xF123), dtype, WireShape(count))
        tensor.compression = compression
        tensor.withUnsafeMutableBytes { bytes in
          for index in bytes.indices {
            bytes[index] =
              index % dtype.byteCount == 0 ? UInt8(truncatingIfNeeded: random.next()) : UInt8(index / 1000 & 1)
          }
        }
        var parts = MessageParts()
        try encoder.encode(Message(header: MessageHeader(.ping), body: .ping), privateTensors: [tensor], into: &parts)
        let back = try decoder.decodeTensors(parts.arrays)
        #expect(back == [tensor])
        // The frame that was built around a tensor where it lies is not part of it.
        try encoder.encode(Message(header: MessageHeader(.ping), body: .ping), privateTensors: back, into: &parts)
        #expect(try decoder.decodeTensors(parts.arrays) == [tensor])
      }
    }
  }

  @Test func tensorsBeyondOneBlockAreStoredInSeveral() throws {
    var encoder = MessageEncoder(pool: pool)
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    for count in [1 << 20, 1 << 20 + 1, 3 << 20, 8 << 20] {
      let tensor = pool.tensor(TensorID(rawValue: 0xF123), .u8, WireShape(count))
      tensor.withUnsafeMutableBytes { bytes in
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 2_654_435_761 >> 13) }
      }
      for compression in [WireTensor.Compression.stored, .lz4] {
        var tensor = tensor
        tensor.compression = compression
        var parts = MessageParts()
        try encoder.encode(Message(header: MessageHeader(.ping), body: .ping), privateTensors: [tensor], into: &parts)
        #expect(try decoder.decodeTensors(parts.arrays) == [tensor])
      }
    }
  }

  @Test func aGatewayForwardsAChunkByItsHeaderAlone() throws {
    let vector = try #require(GoldenVector.valid.first { $0.name == "partial-candidates" })
    var header = try vector.parts[0].withUnsafeBytes { bytes throws(FrameError) in try MessageHeader(parsing: bytes) }
    header.kind = .input
    header.stage = .ranker
    header.attempt = 3
    header.sessionID = 42
    var parts = vector.parts
    parts[0].withUnsafeMutableBytes { header.write(to: $0) }
    #expect(parts[0][64...] == vector.parts[0][64...])
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    let message = try decoder.decode(parts)
    #expect(message.header == header)
    guard case .input(.candidates(let chunk)) = message.body else {
      Issue.record("not candidates")
      return
    }
    #expect(chunk.ids.array(of: Int32.self) == (0..<20).map { 7 * $0 + 3 })
  }

  @Test func aGatewayFindsDamageWithoutDecompressing() throws {
    let vector = try #require(GoldenVector.valid.first { $0.name == "input-prompt" })
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    let whole = ReceivedParts(vector.parts)
    try decoder.verify(whole.parts)
    withExtendedLifetime(whole) {}
    for part in 2..<vector.parts.count {
      var parts = vector.parts
      parts[part][20] ^= 0x10
      let received = ReceivedParts(parts)
      let error = #expect(throws: FrameError.self) { try decoder.verify(received.parts) }
      withExtendedLifetime(received) {}
      #expect(error?.rule == .payloadChecksum && error?.consequence == .failsRequest)
    }
  }

  @Test func anEncoderRefusesWhatADecoderWould() throws {
    var encoder = MessageEncoder(pool: pool)
    var parts = MessageParts()
    let messages: [(Message, FrameError.Rule)] = [
      (Message(header: MessageHeader(.ping, stage: .ranker), body: .ping), .stage),
      (Message(header: MessageHeader(.ping, flags: .stream), body: .ping), .flags),
      (Message(header: MessageHeader(.request), body: .rank(RankRequest(count: 1))), .contradiction),
      (Message(header: MessageHeader(.request), body: .rank(RankRequest(userID: "u", count: 0))), .tlvValue),
      (Message(header: MessageHeader(.request), body: .rank(RankRequest(userID: "", count: 1))), .tlvLength),
      (Message(header: MessageHeader(.end), body: .end(RunEnd())), .contradiction),
      (Message(header: MessageHeader(.hello), body: .hello(Hello(role: .ranker))), .contradiction),
      (
        Message(
          header: MessageHeader(.input, stage: .ranker, stream: .candidates),
          body: .input(
            .candidates(
              CandidateChunk(
                ids: pool.vector(.candidateIDs, [1, 2, 3] as [Int32]),
                prior: pool.vector(.candidatePrior, [1] as [Float]),
                total: 3)))), .tensorShape
      ),
    ]
    for (message, rule) in messages {
      let error = #expect(throws: FrameError.self) { try encoder.encode(message, into: &parts) }
      #expect(error?.rule == rule)
      #expect(parts.count == 0)
    }
  }

  @Test(arguments: [1, 2, 4, 8])
  func shuffleMatchesTheNaiveTwin(_ width: Int) {
    var random = SplitMix(seed: 9)
    for count in [1, 2, 3, 15, 16, 17, 63, 64, 65, 1000, 1003] {
      let bytes = (0..<count * width).map { _ in UInt8.random(in: 0...255, using: &random) }
      var planes = [UInt8](repeating: 0, count: bytes.count)
      var back = planes
      ByteShuffle.shuffle(bytes, into: &planes, count: count, width: width)
      ByteShuffle.unshuffle(planes, into: &back, count: count, width: width)
      let naive = (0..<width).flatMap { byte in (0..<count).map { bytes[$0 * width + byte] } }
      #expect(planes == naive && back == bytes)
    }
  }

  @Test func textsAndIdentifiers() throws {
    let hash = try #require(BundleHash(hexadecimal: "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210"))
    #expect(hash.prefix.description == "0011223344556677")
    #expect(hash.description.hasPrefix("0011") && BundleHash(hexadecimal: "00") == nil)
    var random = SplitMix(seed: 1)
    let id = RequestID(milliseconds: 0x0198_F3C2_A1B0, using: &random)
    #expect(id.description.hasPrefix("0198f3c2-a1b0-7"))
    let range = VersionRange(lowest: .init(major: 1, minor: 0), highest: .init(major: 1, minor: 2))
    let newer = VersionRange(lowest: .init(major: 1, minor: 1), highest: .init(major: 1, minor: 3))
    #expect(range.common(with: newer) == ProtocolVersion(major: 1, minor: 2))
    #expect(newer.common(with: .supported) == nil)
    let list = try pool.strings(.requestItems, ["a", "größer", "三"])
    #expect(list.strings == ["a", "größer", "三"] && list.count == 3)
    #expect(throws: FrameError.self) { try pool.strings(.requestItems, [""]) }
  }
}
