import Foundation
import GLTP
import Testing

/// A golden message of Protocols/vectors: parts, and what they mean or which rule they break.
struct GoldenVector: CustomTestStringConvertible, Sendable {
  let name: String
  let parts: [[UInt8]]
  /// The JSON, flattened: "header.kind" -> "16", "tlvs.timing.0.stage" -> "1".
  let meaning: [String: String]

  var testDescription: String { name }
  var limits: CodecLimits {
    var limits = meaning["limits"] == "clientEdge" ? CodecLimits.clientEdge : .mesh
    limits.acceptsRawPayloads = meaning["raw_payloads"] == "1"
    return limits
  }
  /// Memory for the message's tensors, where the vector says how much there is.
  var pool: BufferPool { meaning["budget"].flatMap(Int.init).map { BufferPool(budget: $0) } ?? BufferPool() }
  var hasPrivateTensors: Bool { meaning["private"] == "1" }
  var isCanonical: Bool { meaning["canonical"] != "0" }

  static let folder =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path + "/Protocols/vectors/"
  static let valid = load("valid")
  static let invalid = load("invalid")

  private static func load(_ kind: String) -> [GoldenVector] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + kind)) ?? []
    return names.filter { $0.hasSuffix(".hex") }.sorted().compactMap { file in
      let name = String(file.dropLast(4))
      guard let hex = text(folder + kind + "/" + file),
        let data = FileManager.default.contents(atPath: folder + kind + "/" + name + ".json"),
        let json = try? JSONSerialization.jsonObject(with: data)
      else { return nil }
      var meaning: [String: String] = [:]
      flatten(json, "", &meaning)
      let lines = hex.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      return GoldenVector(name: name, parts: lines.map { bytes(hexadecimal: String($0)) }, meaning: meaning)
    }
  }

  /// Foundation leaks a buffer for an empty file, which AddressSanitizer reports.
  private static func text(_ path: String) -> String? {
    let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    return size == 0 ? "" : try? String(contentsOfFile: path, encoding: .utf8)
  }

  private static func flatten(_ json: Any, _ path: String, _ into: inout [String: String]) {
    let prefix = path.isEmpty ? "" : path + "."
    switch json {
    case let object as [String: Any]:
      for (key, value) in object { flatten(value, prefix + key, &into) }
    case let array as [Any]:
      for (index, value) in array.enumerated() { flatten(value, prefix + String(index), &into) }
    case let number as NSNumber: into[path] = number.stringValue
    default: into[path] = "\(json)"
    }
  }

  static func bytes(hexadecimal text: String) -> [UInt8] {
    let digits = Array(text.utf8)
    func value(_ digit: UInt8) -> UInt8 { digit < 0x3A ? digit - 0x30 : digit - 0x57 }
    return stride(from: 0, to: digits.count - 1, by: 2).map { value(digits[$0]) << 4 | value(digits[$0 + 1]) }
  }

  /// The raw bytes of a tensor, from plain or repeated hexadecimal.
  func rawBytes(_ index: Int) -> [UInt8] {
    if let unit = meaning["tensors.\(index).raw.repeat"], let times = meaning["tensors.\(index).raw.times"] {
      return (0..<Int(times)!).flatMap { _ in GoldenVector.bytes(hexadecimal: unit) }
    }
    return GoldenVector.bytes(hexadecimal: meaning["tensors.\(index).raw"] ?? "")
  }
}

/// Keeps bytes where a decoder sees them, at an odd address: nothing on the wire is aligned.
final class ReceivedParts {
  private let memory: [UnsafeMutableRawBufferPointer]
  let parts: MessageParts
  let fits: Bool

  init(_ bytes: [[UInt8]]) {
    var parts = MessageParts()
    var fits = true
    // Exactly as large as the part, so that AddressSanitizer sees a read beyond it.
    memory = bytes.map { part in
      let block = UnsafeMutableRawBufferPointer.allocate(byteCount: part.count + 1, alignment: 16)
      block[0] = 0
      UnsafeMutableRawBufferPointer(rebasing: block[1...]).copyBytes(from: part)
      fits = parts.append(MessagePart(owner: nil, bytes: UnsafeRawBufferPointer(rebasing: block[1...]))) && fits
      return block
    }
    self.parts = parts
    self.fits = fits
  }

  deinit { memory.forEach { $0.deallocate() } }
}

extension MessageDecoder {
  mutating func decode(_ bytes: [[UInt8]]) throws(FrameError) -> Message {
    let received = ReceivedParts(bytes)
    defer { withExtendedLifetime(received) {} }
    return try decode(received.parts)
  }

  mutating func decodeTensors(_ bytes: [[UInt8]]) throws(FrameError) -> [WireTensor] {
    let received = ReceivedParts(bytes)
    defer { withExtendedLifetime(received) {} }
    var tensors: [WireTensor] = []
    try decodeTensors(received.parts, into: &tensors)
    return tensors
  }
}

extension MessageParts {
  var arrays: [[UInt8]] { (0..<count).map { Array(self[$0].bytes) } }
}

/// What a decoded message says, in the words of the vectors' JSON.
func describe(_ message: Message) -> [String: String] {
  var fields: [String: String] = [:]
  let header = message.header
  fields["header.kind"] = "\(header.kind.rawValue)"
  fields["header.flags"] = "\(header.flags.rawValue)"
  fields["header.stage"] = "\(header.stage.rawValue)"
  fields["header.stream"] = "\(header.stream.rawValue)"
  fields["header.priority"] = "\(header.priority.rawValue)"
  fields["header.attempt"] = "\(header.attempt)"
  fields["header.status"] = "\(header.status.rawValue)"
  fields["header.request_id"] = header.requestID.description.filter { $0 != "-" }
  fields["header.session_id"] = BundlePrefix(bits: header.sessionID).description
  fields["header.sequence"] = "\(header.sequence)"
  fields["header.budget_ms"] = "\(header.budgetMilliseconds)"
  fields["header.bundle_prefix"] = header.bundle.description

  func set(_ name: String, _ value: Any?) { if let value { fields["tlvs.\(name)"] = "\(value)" } }
  func set(_ name: String, all values: [Any]) {
    for (index, value) in values.enumerated() { set("\(name).\(index)", value) }
  }
  func set(_ range: VersionRange?) {
    guard let range else { return }
    set("version_range", all: [range.lowest.major, range.lowest.minor, range.highest.major, range.highest.minor])
  }
  func set(_ id: BootID?) {
    guard let id else { return }
    set("boot_id", BundlePrefix(bits: id.high).description + BundlePrefix(bits: id.low).description)
  }
  func set(_ limits: PeerLimits) { set("limits", all: [limits.partBytes, limits.messageBytes, limits.window]) }
  func set(_ ranking: RankingSnapshot?) {
    set("items_seen", ranking?.itemsSeen)
    set("items_total", ranking?.itemsTotal)
  }
  func set(_ chunk: StreamChunk) {
    if case .ranking(let ranking) = chunk { set(ranking) }
    if case .candidates(let chunk) = chunk { set("items_total", chunk.total) }
  }

  switch message.body {
  case .hello(let hello):
    set(hello.versions)
    if hello.features != 0 { set("features", hello.features) }
    set("peer_id", hello.peerID)
    set("role", hello.role.rawValue)
    set(hello.bootID)
    set("build", hello.build)
    set("slots", hello.slots)
    set("bundle", all: hello.bundles)
    set(hello.limits)
  case .welcome(let welcome):
    set("version", all: [welcome.version.major, welcome.version.minor])
    set("peer_id", welcome.peerID)
    set("role", welcome.role.rawValue)
    set(welcome.bootID)
    set("build", welcome.build)
    set("bundle", all: welcome.bundles)
    set("intervals", all: [welcome.heartbeatMilliseconds, welcome.expiryMilliseconds])
    set(welcome.limits)
  case .reject(let reject):
    set(reject.versions)
    set("retry_after_ms", reject.retryAfterMilliseconds)
    set("detail", reject.detail)
  case .credit(let total): set("credit_total", total)
  case .drain(let detail), .bye(let detail): set("detail", detail)
  case .rank(let request):
    set("user_id", request.userID)
    set("count", request.count)
    set("mode", request.mode.rawValue)
    set("retrieve", request.retrieve)
    if request.exclusion != .trainAndValidation { set("exclusion", request.exclusion.rawValue) }
  case .run(let run):
    set("user_id", run.userID)
    set("count", run.count)
    set("mode", run.mode.rawValue)
  case .input(let chunk), .partial(let chunk): set(chunk)
  case .end(let end):
    let timings = [Stage.encoder, .aligner, .ranker].compactMap { stage in end[timing: stage].map { (stage, $0) } }
    for (index, (stage, timing)) in timings.enumerated() {
      set("timing.\(index).stage", stage.rawValue)
      set("timing.\(index).attempt", timing.attempt)
      set("timing.\(index).queue", timing.queue)
      set("timing.\(index).decode", timing.decode)
      set("timing.\(index).compute", timing.compute)
      set("timing.\(index).encode", timing.encode)
    }
    set("retry_after_ms", end.retryAfterMilliseconds)
    set("detail", end.detail)
    set(end.ranking)
  case .ping, .pong, .cancel, .ack, .status, .report: break
  }
  return fields
}
