import GLTP

/// What the gateway remembers of a connection, attached to it.
final class GatewayPeer {
  let id: PeerID
  /// What the operator lets the connection's key be; nil without keys.
  let role: Role?
  var gate = LogGate()

  /// Refused messages since `since`.
  private var refusals = 0
  private var since = MonotonicTime.zero
  /// Sessions end at the first breach or the third damage within a minute. This is for those who never had a session.
  private static let limit = 64

  init(id: PeerID, role: Role?) {
    self.id = id
    self.role = role
  }

  /// Takes note of a message that the codec refused; true where a connection that sends only such must be cut.
  func noteRefusal(_ now: MonotonicTime) -> Bool {
    if now.since(since) >= .seconds(60) {
      since = now
      refusals = 0
    }
    refusals += 1
    return refusals == GatewayPeer.limit
  }
}

extension Role {
  init(_ role: PeerRole) {
    switch role {
    case .client: self = .client
    case .encoder: self = .encoder
    case .aligner: self = .aligner
    case .ranker: self = .ranker
    case .gateway: self = .gateway
    }
  }
}
