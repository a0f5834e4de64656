import GLTP
import SwiftProtobuf

/// Encoding and decoding of the same fields by GLTP and by swift-protobuf, in turns.
struct CodecComparison {
  var rounds: Int

  func run() throws -> [Report.CodecRow] {
    let fields = CodecFields()
    let header = ProtobufFields.header(fields.header)
    let gltpTensor = try GLTPRun(fields.tensorMessage, privateTensors: [fields.soft])
    let gltpChunk = try GLTPRun(fields.chunkMessage, privateTensors: [])
    let tensor = "bf16[64, 512], 64 KiB"
    return [
      try compare(
        "1,000 candidates", gltpChunk, "repeated int32 + float",
        ProtobufRun(ProtobufFields.candidates(fields, header)), target: 3),
      try compare(
        tensor, gltpTensor, "repeated float, the typed field",
        ProtobufRun(ProtobufFields.floats(fields, header)), target: 3),
      try compare(
        tensor, gltpTensor, "repeated uint32, the bits",
        ProtobufRun(ProtobufFields.integers(fields, header)), target: 3),
      try compare(
        tensor, gltpTensor, "note: bytes, no dtype and no checksum",
        ProtobufRun(ProtobufFields.opaque(fields, header)), target: nil),
    ]
  }

  private func compare(
    _ message: String, _ ours: some CodecRun, _ peer: String, _ theirs: some CodecRun, target: Double?
  ) throws -> Report.CodecRow {
    var times: (ours: [[Double]], theirs: [[Double]]) = ([], [])
    for _ in 0..<rounds {
      times.ours.append([try best { try ours.encode() }, try best { try ours.decode() }])
      times.theirs.append([try best { try theirs.encode() }, try best { try theirs.decode() }])
    }
    let ratios = zip(times.ours, times.theirs).map { ours, theirs in (theirs[0] + theirs[1]) / (ours[0] + ours[1]) }
    func middle(_ times: [[Double]]) -> [Double] { [0, 1].map { step in median(times.map { $0[step] }) } }
    return Report.CodecRow(
      message: message, peer: peer, ours: middle(times.ours), theirs: middle(times.theirs), ratio: median(ratios),
      target: target)
  }

  /// Nanoseconds of one call: the best of many short windows, since other work on the machine only ever adds.
  @inline(never)
  private func best(_ body: () throws -> Void) rethrows -> Double {
    var best = Duration.seconds(1)
    for _ in 0..<200 {
      best = min(best, try ContinuousClock().measure { for _ in 0..<20 { try body() } })
    }
    return Double(best.components.attoseconds) / 1e9 / 20
  }
}

/// Something that can be encoded and decoded over and over.
protocol CodecRun {
  func encode() throws
  func decode() throws
}

/// A message through GLTP, in its steady state: buffers come from a pool.
final class GLTPRun: CodecRun {
  private let message: GLTP.Message
  private let privateTensors: [WireTensor]
  private var encoder: MessageEncoder
  private var decoder: MessageDecoder
  private var parts = MessageParts()
  private var tensors: [WireTensor] = []

  init(_ message: GLTP.Message, privateTensors: [WireTensor]) throws {
    let pool = BufferPool()
    self.message = message
    self.privateTensors = privateTensors
    encoder = MessageEncoder(pool: pool)
    decoder = MessageDecoder(pool: pool, limits: .mesh)
    try encode()
  }

  func encode() throws { try encoder.encode(message, privateTensors: privateTensors, into: &parts) }

  func decode() throws {
    // A private tensor is dropped by `decode`; this keeps it.
    if privateTensors.isEmpty {
      _ = try decoder.decode(parts)
    } else {
      try decoder.decodeTensors(parts, into: &tensors)
    }
  }
}

/// A message through swift-protobuf, to and from an array of bytes.
final class ProtobufRun<Fields: SwiftProtobuf.Message>: CodecRun {
  private let message: Fields
  private var bytes: [UInt8] = []
  private var decoded = Fields()

  init(_ message: Fields) throws {
    self.message = message
    try encode()
  }

  func encode() throws { bytes = try message.serializedBytes() }
  func decode() throws { decoded = try Fields(serializedBytes: bytes) }
}
