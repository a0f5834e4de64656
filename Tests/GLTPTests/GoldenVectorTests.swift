import GLTP
import Testing

@Suite struct GoldenVectorTests {
  @Test(arguments: GoldenVector.valid)
  func validMessageHasItsMeaning(_ vector: GoldenVector) throws {
    var decoder = MessageDecoder(pool: BufferPool(), limits: vector.limits)
    let message = try decoder.decode(vector.parts)
    let said = vector.meaning.filter { $0.key.hasPrefix("header.") || $0.key.hasPrefix("tlvs.") }
    #expect(describe(message) == said)

    let tensors = try decoder.decodeTensors(vector.parts)
    #expect(tensors.count == max(vector.parts.count - 2, 0))
    for (index, tensor) in tensors.enumerated() {
      #expect("\(tensor.id.rawValue)" == vector.meaning["tensors.\(index).id"])
      #expect("\(tensor.dtype)".uppercased() == vector.meaning["tensors.\(index).dtype"])
      #expect(vector.parts[1][8 + 64 * index + 3] == vector.meaning["tensors.\(index).codec"].flatMap { UInt8($0) })
      let shape = (0..<tensor.shape.rank).map { "\(tensor.shape[$0])" }
      #expect(shape == (0..<tensor.shape.rank).map { vector.meaning["tensors.\(index).shape.\($0)"] })
      #expect(vector.meaning["tensors.\(index).shape.\(tensor.shape.rank)"] == nil)
      #expect(tensor.withUnsafeBytes { Array($0) } == vector.rawBytes(index))
      #expect(tensor.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) % 64 } == 0)
    }
  }

  @Test(arguments: GoldenVector.invalid)
  func invalidMessageBreaksItsRule(_ vector: GoldenVector) throws {
    var decoder = MessageDecoder(pool: vector.pool, limits: vector.limits)
    let error = #expect(throws: FrameError.self) { _ = try decoder.decode(vector.parts) }
    #expect(error?.rule.rawValue == vector.meaning["error"], "\(vector.meaning["description"] ?? "")")
    // A decoder is none the worse for what it refused.
    let ping = try #require(GoldenVector.valid.first { $0.name == "input-candidates" })
    _ = try decoder.decode(ping.parts)
  }

  @Test func vectorsCoverTheProtocol() {
    #expect(GoldenVector.valid.count >= 57 && GoldenVector.invalid.count >= 119)
    let rules = Set(GoldenVector.invalid.compactMap { $0.meaning["error"] })
    #expect(rules == Set(FrameError.Rule.allCases.map(\.rawValue)))
    let kinds = Set(GoldenVector.valid.compactMap { $0.meaning["header.kind"] })
    #expect(kinds == Set(MessageKind.allCases.map { "\($0.rawValue)" }))
  }

  @Test(arguments: GoldenVector.valid)
  func encodingGivesTheSameHeadAndTable(_ vector: GoldenVector) throws {
    let pool = BufferPool()
    var encoder = MessageEncoder(pool: pool)
    var decoder = MessageDecoder(pool: pool, limits: vector.limits)
    let message = try decoder.decode(vector.parts)
    let tensors = vector.hasPrivateTensors ? try decoder.decodeTensors(vector.parts) : []
    var parts = MessageParts()
    try encoder.encode(message, privateTensors: tensors, into: &parts)
    let bytes = parts.arrays
    var expected = message
    if vector.isCanonical {
      #expect(bytes[0] == vector.parts[0])
    } else {
      expected.header = try MessageHeader(parsing: parts[0].bytes)
    }
    for index in 0..<max(bytes.count - 2, 0) {
      // All of a descriptor but codec, stored_bytes and payload_xxh32 is the content's.
      for range in [0..<3, 4..<40, 48..<64] {
        let range = range.lowerBound + 8 + 64 * index..<range.upperBound + 8 + 64 * index
        #expect(bytes[1][range] == vector.parts[1][range])
      }
    }
    #expect(try decoder.decode(bytes) == expected)
    if vector.hasPrivateTensors { #expect(try decoder.decodeTensors(bytes) == tensors) }
  }
}
