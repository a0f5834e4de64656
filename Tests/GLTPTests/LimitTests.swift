import GLTP
import Testing

@Suite struct LimitTests {
  private func vector(_ name: String) throws -> GoldenVector {
    try #require((GoldenVector.valid + GoldenVector.invalid).first { $0.name == name })
  }

  @Test func promisesBeyondTheLimitsTakeNoMemory() throws {
    for name in [
      "bomb", "tensor-too-large", "tensor-too-large-client", "message-too-large-client", "raw-bytes-overflow",
      "raw-bytes-wraps", "stored-too-large", "payload-size", "lz4-content-size", "tensor-count", "tlv-truncated-value",
      "payload-checksum",
    ] {
      let vector = try vector(name)
      let pool = BufferPool()
      var decoder = MessageDecoder(pool: pool, limits: vector.limits)
      #expect(throws: FrameError.self) { _ = try decoder.decode(vector.parts) }
      #expect(pool.statistics.allocations == 0, "\(name)")
    }
  }

  @Test func refusedMessagesGiveTheirMemoryBack() throws {
    let pool = BufferPool()
    // All but the one that only a budget of its own refuses.
    for vector in GoldenVector.invalid where vector.meaning["budget"] == nil {
      var decoder = MessageDecoder(pool: pool, limits: vector.limits)
      #expect(throws: FrameError.self) { _ = try decoder.decode(vector.parts) }
    }
    #expect(pool.bytesInUse == 0)
    // The largest tensor that any of them may decode is a list of 196,611 bytes.
    #expect(pool.statistics.peakBytes < 1 << 20)
  }

  @Test func anHonestBombIsDecodedOnlyWithinItsExactSize() throws {
    let pool = BufferPool()
    var encoder = MessageEncoder(pool: pool)
    var zeros = pool.tensor(TensorID(rawValue: 0xF000), .u8, WireShape(8 << 20))
    zeros.compression = .lz4
    zeros.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
    var parts = MessageParts()
    try encoder.encode(Message(header: MessageHeader(.ping), body: .ping), privateTensors: [zeros], into: &parts)
    #expect(parts[2].bytes.count < 40_000)

    let small = BufferPool(budget: 9 << 20)
    var decoder = MessageDecoder(pool: small, limits: .mesh)
    #expect(try decoder.decodeTensors(parts.arrays) == [zeros])
    #expect(small.statistics.peakBytes <= 9 << 20)
    var client = MessageDecoder(pool: small, limits: .clientEdge)
    let error = #expect(throws: FrameError.self) { _ = try client.decode(parts.arrays) }
    #expect(error?.rule == .tensorTooLarge)
  }

  @Test func theBudgetBoundsAllMessagesTogether() throws {
    let vector = try vector("input-prompt")
    let pool = BufferPool(budget: 8 << 10)
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    var kept: [Message] = []
    let error = #expect(throws: FrameError.self) {
      while kept.count < 100 { kept.append(try decoder.decode(vector.parts)) }
    }
    #expect(error?.rule == .decodeBudget && error?.consequence == .overloaded)
    #expect(kept.count >= 2 && pool.statistics.allocatedBytes <= 8 << 10 && pool.statistics.refusals == 1)
    kept.removeAll()
    #expect(pool.bytesInUse == 0)
    _ = try decoder.decode(vector.parts)
  }

  @Test func theBudgetMovesBetweenSizes() throws {
    let pool = BufferPool(budget: 1 << 20)
    var encoder = MessageEncoder(pool: BufferPool())
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    for count in [100, 900_000, 10, 500_000, 1000, 900_000] {
      var tensor = BufferPool().tensor(TensorID(rawValue: 0xF000), .u8, WireShape(count))
      tensor.compression = .stored
      tensor.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 1) }
      var parts = MessageParts()
      try encoder.encode(Message(header: MessageHeader(.ping), body: .ping), privateTensors: [tensor], into: &parts)
      if count > 800_000 {
        // 900,000 bytes are a buffer of 1 MiB and more, which the budget does not have.
        #expect(throws: FrameError.self) { _ = try decoder.decodeTensors(parts.arrays) }
      } else {
        _ = try decoder.decodeTensors(parts.arrays)
      }
      #expect(pool.statistics.allocatedBytes <= 1 << 20)
    }
  }

  @Test func steadyTrafficReusesItsBuffers() throws {
    let pool = BufferPool()
    var encoder = MessageEncoder(pool: pool)
    var decoder = MessageDecoder(pool: pool, limits: .mesh)
    let vectors = GoldenVector.valid.filter { !$0.hasPrivateTensors }
    var parts = MessageParts()
    func round() throws {
      for vector in vectors {
        let message = try decoder.decode(vector.parts)
        try encoder.encode(message, into: &parts)
      }
    }
    for _ in 0..<20 { try round() }
    let before = pool.statistics
    for _ in 0..<100 { try round() }
    #expect(pool.statistics.allocations == before.allocations)
    #expect(pool.statistics.reuses > before.reuses)
  }

  @Test func aBufferIsNotReusedWhileAnybodyHoldsIt() async throws {
    let pool = BufferPool()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<4 {
        group.addTask {
          var held: [WireTensor] = []
          for step in 0..<5000 {
            let value = UInt8(truncatingIfNeeded: task * 67 + step)
            let tensor = pool.tensor(TensorID(rawValue: 0xF000), .u8, WireShape(200))
            tensor.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: value) }
            held.append(tensor)
            if held.count == 20 {
              let oldest = held.removeFirst()
              let expected = UInt8(truncatingIfNeeded: task * 67 + step - 19)
              #expect(oldest.withUnsafeBytes { $0.allSatisfy { $0 == expected } })
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }

  @Test func aMessageHasAtMostTenParts() {
    var parts = MessageParts()
    let empty = MessagePart(owner: nil, bytes: UnsafeRawBufferPointer(start: nil, count: 0))
    let taken = (0..<12).map { _ in parts.append(empty) }
    #expect(taken == (0..<12).map { $0 < 10 })
    #expect(parts.count == 10)
    parts.removeAll()
    #expect(parts.count == 0 && parts.byteCount == 0)
  }
}
