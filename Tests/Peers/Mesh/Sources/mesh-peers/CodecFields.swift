import Foundation
import GLTP

/// The two messages that codecs are judged by.
struct CodecFields {
  let header = MessageHeader(.input, stage: .ranker, stream: .candidates, attempt: 1, sessionID: 7)
  let soft: WireTensor
  let chunk: CandidateChunk

  init() {
    let pool = BufferPool()
    var random = SplitMix(state: 1)
    soft = pool.tensor(TensorID(rawValue: 0xF000), .bf16, WireShape(64, 512))
    soft.withUnsafeMutableBytes { bytes in
      bytes.withMemoryRebound(to: UInt16.self) { elements in
        // Numbers between -4 and 4, as embeddings are.
        for index in elements.indices {
          elements[index] = UInt16(truncatingIfNeeded: random.float(in: -4...4).bitPattern >> 16)
        }
      }
    }
    let ids = (0..<1_000).map { Int32($0 * 19) + Int32(random.next() % 19) }
    chunk = CandidateChunk(
      ids: pool.vector(.candidateIDs, ids),
      prior: pool.vector(.candidatePrior, ids.map { _ in random.float(in: -3...3) }), total: 20_000)
  }

  var chunkMessage: Message { Message(header: header, body: .input(.candidates(chunk))) }
  var tensorMessage: Message { Message(header: MessageHeader(.ping, sessionID: 7), body: .ping) }
}

/// The same fields as protobuf messages.
enum ProtobufFields {
  static func header(_ header: MessageHeader) -> Glta_Peers_Header {
    .with {
      $0.kind = UInt32(header.kind.rawValue)
      $0.stage = UInt32(header.stage.rawValue)
      $0.stream = UInt32(header.stream.rawValue)
      $0.priority = UInt32(header.priority.rawValue)
      $0.attempt = UInt32(header.attempt)
      $0.requestID = Data(repeating: 0x5A, count: 16)
      $0.sessionID = header.sessionID
      $0.budgetMs = 9_000
      $0.bundlePrefix = 0x0102_0304_0506_0708
    }
  }

  static func candidates(_ fields: CodecFields, _ header: Glta_Peers_Header) -> Glta_Peers_Candidates {
    .with {
      $0.header = header
      $0.ids = fields.chunk.ids.array()
      $0.prior = fields.chunk.prior.array()
      $0.itemsTotal = fields.chunk.total
    }
  }

  static func floats(_ fields: CodecFields, _ header: Glta_Peers_Header) -> Glta_Peers_FloatTensor {
    .with {
      $0.header = header
      $0.tensorID = 7
      $0.dtype = 3
      $0.shape = [64, 512]
      $0.elements = fields.soft.array(of: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
    }
  }

  static func integers(_ fields: CodecFields, _ header: Glta_Peers_Header) -> Glta_Peers_IntegerTensor {
    .with {
      $0.header = header
      $0.tensorID = 7
      $0.dtype = 3
      $0.shape = [64, 512]
      $0.elements = fields.soft.array(of: UInt16.self).map { UInt32($0) }
    }
  }

  static func opaque(_ fields: CodecFields, _ header: Glta_Peers_Header) -> Glta_Peers_OpaqueTensor {
    .with {
      $0.header = header
      $0.tensorID = 7
      $0.dtype = 3
      $0.shape = [64, 512]
      $0.elements = fields.soft.withUnsafeBytes { Data($0) }
    }
  }
}

/// Sebastiano Vigna's SplitMix64: the same numbers in every run.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  mutating func float(in range: ClosedRange<Float>) -> Float {
    range.lowerBound + Float(next() >> 40) / Float(1 << 24) * (range.upperBound - range.lowerBound)
  }
}
