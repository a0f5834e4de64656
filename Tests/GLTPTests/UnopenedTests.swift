import GLTP
import Testing

/// Messages that are passed on without opening their payloads: what a gateway does.
@Suite struct UnopenedTests {
  /// What shows only in an opened payload.
  private static let hidden: Set<String> = [
    "payloadChecksum", "lz4Block", "lz4Output", "lz4Truncated", "lz4Trailing", "stringList", "decodeBudget",
  ]

  private func check(_ vector: GoldenVector, _ pool: BufferPool) -> Result<MessageHeader, FrameError> {
    let received = ReceivedParts(vector.parts)
    defer { withExtendedLifetime(received) {} }
    var decoder = MessageDecoder(pool: pool, limits: vector.limits)
    return Result { () throws(FrameError) in try decoder.check(received.parts) }
  }

  @Test(arguments: GoldenVector.valid)
  func validMessagesPass(_ vector: GoldenVector) throws {
    let pool = BufferPool()
    let header = try check(vector, pool).get()
    #expect(pool.statistics.allocations == 0)
    var decoder = MessageDecoder(pool: pool, limits: vector.limits)
    #expect(try decoder.decode(vector.parts).header == header)
  }

  @Test(arguments: GoldenVector.invalid)
  func brokenRulesShowUnlessTheyLieInPayloads(_ vector: GoldenVector) {
    let pool = BufferPool()
    let rule = vector.meaning["error"] ?? ""
    switch check(vector, pool) {
    case .success: #expect(Self.hidden.contains(rule), "\(rule) went unseen")
    case .failure(let error): #expect(error.rule.rawValue == rule)
    }
    #expect(pool.statistics.allocations == 0)
  }

  @Test func damageToAFrameIsToldFromAForgedOne() throws {
    let vector = try #require(GoldenVector.valid.first { $0.name == "input-candidates" })
    var parts = vector.parts
    parts[2][1] ^= 0x40
    let damaged = GoldenVector(name: "damaged", parts: parts, meaning: vector.meaning)
    guard case .failure(let error) = check(damaged, BufferPool()) else {
      Issue.record("the damage went unseen")
      return
    }
    #expect(error.rule == .payloadChecksum && error.consequence == .failsRequest)
  }

  @Test(arguments: GoldenVector.valid.filter { $0.meaning["header.kind"] == "19" })
  func endsAreReadWithoutTheirRanking(_ vector: GoldenVector) throws {
    let pool = BufferPool()
    var decoder = MessageDecoder(pool: pool, limits: vector.limits)
    let received = ReceivedParts(vector.parts)
    defer { withExtendedLifetime(received) {} }
    let (header, end) = try decoder.decodeUnopenedEnd(received.parts)
    let whole = try decoder.decode(vector.parts)
    guard case .end(var expected) = whole.body else { throw FrameErrorExpected() }
    #expect((expected.ranking != nil) == (header.tensorCount > 0))
    expected.ranking = nil
    #expect(header == whole.header && end == expected)
  }

  private struct FrameErrorExpected: Error {}
}
