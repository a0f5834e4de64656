internal import GLTP

/// Watches what the processes of a mesh send, and notes every breach of the rules that hold whatever goes wrong: credit,
/// windows, sequences, one END (gltp-1.md 6.5 to 6.7).
struct ProtocolReferee: Sendable {
  private struct StreamKey: Hashable {
    var session: UInt64
    var gateway: Int
    var fromGateway: Bool
    var request: RequestID
    var stage: Stage
    var attempt: UInt16
    var stream: StreamKind
  }

  private struct StreamState {
    var sent: UInt32 = 0
    var acknowledged: UInt32 = 0
    var isFinal = false
  }

  private struct SessionKey: Hashable {
    var session: UInt64
    var gateway: Int
  }

  private struct SessionState {
    var credit: UInt64 = 0
    var requests: UInt64 = 0
  }

  private(set) var breaches: [String] = []
  private var streams: [StreamKey: StreamState] = [:]
  private var sessions: [SessionKey: SessionState] = [:]
  /// Runs and requests whose END was sent.
  private var ended: Set<StreamKey> = []
  let window: UInt32 = StreamSender.defaultWindow

  /// A message that a process sends, before any fault touches it.
  mutating func watch(_ message: PeerMessage<MeshChunk>, from: MeshProcess, to: MeshProcess) {
    let header = message.header
    let fromGateway = from.role == .gateway
    let gateway = fromGateway ? from.index : to.index
    var key = StreamKey(
      session: header.sessionID, gateway: gateway, fromGateway: fromGateway, request: header.requestID,
      stage: header.stage, attempt: header.attempt, stream: header.stream)
    let session = SessionKey(session: header.sessionID, gateway: gateway)
    func breach(_ what: String) {
      breaches.append("\(from) to \(to), request \(header.requestID.low), attempt \(header.attempt): \(what)")
    }
    switch header.kind {
    case .credit:
      if case .control(.credit(let total)) = message.body {
        if total <= sessions[session]?.credit ?? 0 {
          breach(
            "credit does not grow: \(total) after \(sessions[session]?.credit ?? 0) in session \(header.sessionID)")
        }
        sessions[session, default: SessionState()].credit = total
      }
    case .request where fromGateway:
      sessions[session, default: SessionState()].requests += 1
      if let state = sessions[session], state.requests > state.credit { breach("REQUEST without credit") }
    case .input, .partial:
      var state = streams[key] ?? StreamState()
      if header.sequence != state.sent { breach("\(header.stream) \(header.sequence) sent, not \(state.sent)") }
      if state.isFinal { breach("\(header.stream) \(header.sequence) sent after FINAL") }
      state.sent += 1
      state.isFinal = header.flags.contains(.final)
      if state.sent - min(state.acknowledged, state.sent) > window { breach("window of \(header.stream) exceeded") }
      streams[key] = state
      key.stream = .none
      if ended.contains(key) { breach("\(header.kind) after END") }
    case .ack:
      key.fromGateway.toggle()
      let sent = streams[key]?.sent ?? 0
      if header.sequence > sent { breach("ACK of \(header.sequence), \(sent) were sent") }
      streams[key, default: StreamState()].acknowledged = max(
        streams[key]?.acknowledged ?? 0, header.sequence)
    case .end:
      key.stream = .none
      if !ended.insert(key).inserted { breach("second END") }
    default: break
    }
  }
}
