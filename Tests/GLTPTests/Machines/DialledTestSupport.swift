import GLTP

/// A payload that says what it is.
struct NamedBulk: ChunkPayload, Equatable, ExpressibleByStringLiteral {
  var name: String
  var byteCount: Int { 100 }
  init(stringLiteral value: String) { name = value }
  init(_ name: String) { self.name = name }
}

let bundleOne = BundleHash(words: [1, 2, 3, 4])
let bundleTwo = BundleHash(words: [5, 6, 7, 8])

func link(_ number: UInt32) -> LinkID { LinkID(rawValue: number) }
func requestID(_ number: UInt64) -> RequestID { RequestID(high: 7, low: number) }

/// A message in few words, as in "END 3 DEADLINE +incomplete".
func words(_ message: PeerMessage<NamedBulk>) -> String {
  let header = message.header
  var words = ["\(header.kind)".uppercased()]
  switch header.kind {
  case .request: words += ["\(header.requestID.low)", "attempt \(header.attempt)"]
  case .input, .partial, .ack: words += ["\(header.requestID.low)", "\(header.stream)", "\(header.sequence)"]
  case .end: words += ["\(header.requestID.low)", "\(header.status)"]
  case .cancel, .report, .status: words += ["\(header.requestID.low)"]
  case .bye, .reject: words += ["\(header.status)"]
  case .ping, .pong: words += ["\(header.sequence)"]
  default: break
  }
  if header.kind == .end, header.stream != .none { words += ["\(header.stream)", "\(header.sequence)"] }
  for (flag, name) in [
    (MessageFlags.final, "+final"), (.provisional, "+provisional"), (.incomplete, "+incomplete"), (.stream, "+stream"),
    (.retry, "+retry"),
  ] where header.flags.contains(flag) { words.append(name) }
  switch message.body {
  case .control(.credit(let total)): words.append("\(total)")
  case .chunk(let bulk): words.append(bulk.name)
  case .end(_, let ranking?): words.append(ranking.name)
  default: break
  }
  return words.joined(separator: " ")
}

func welcome(session: UInt64, window: UInt32 = 4) -> PeerMessage<NamedBulk> {
  var limits = PeerLimits.mesh
  limits.window = window
  return PeerMessage(
    MessageHeader(.welcome, sessionID: session), .control(.welcome(Welcome(limits: limits, peerID: "gateway"))))
}
