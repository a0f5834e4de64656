/// What a client is, and how it behaves.
public struct ClientConfiguration: Sendable {
  /// How long a request may wait for a session with some gateway.
  public var connectLimit: MonotonicDuration
  /// How long after a request's deadline its END may still come.
  public var grace: MonotonicDuration
  /// How often a request is sent at most.
  public var attempts: UInt16
  public var limits: PeerLimits
  public var peerID: WireText?
  public var bootID: BootID?
  public var build: WireText?

  public init(
    connectLimit: MonotonicDuration = .seconds(5), grace: MonotonicDuration = .milliseconds(250), attempts: UInt16 = 3,
    limits: PeerLimits = .mesh, peerID: WireText? = nil, bootID: BootID? = nil, build: WireText? = nil
  ) {
    self.connectLimit = connectLimit
    self.grace = grace
    self.attempts = max(attempts, 1)
    self.limits = limits
    self.peerID = peerID
    self.bootID = bootID
    self.build = build
  }
}

/// What an application asks of a client.
public struct RankCall: Sendable {
  /// Names the request; not that of another one under way.
  public var id: RequestID
  public var request: RankRequest
  /// Time for all of it, retries included. Zero means 10 s; more than 600 s means 600 s.
  public var budget: MonotonicDuration
  public var priority: Priority
  /// STREAM, TITLES, CANARY.
  public var flags: MessageFlags
  /// The bundle to rank with; `none` for the gateway's current one.
  public var bundle: BundlePrefix

  public init(
    id: RequestID, request: RankRequest, budget: MonotonicDuration = .zero, priority: Priority = .normal,
    flags: MessageFlags = [], bundle: BundlePrefix = .none
  ) {
    self.id = id
    self.request = request
    self.budget = budget
    self.priority = priority
    self.flags = flags.intersection([.stream, .titles, .canary])
    self.bundle = bundle
  }
}

/// What happens to a client.
public enum ClientEvent<Payload: ChunkPayload>: Sendable {
  /// A gateway to use; the machine asks for the connection.
  case added(LinkID, name: String)
  /// A gateway to leave: what it has is finished first.
  case removed(LinkID)
  case connected(LinkID)
  /// The connection broke, or could not be made.
  case disconnected(LinkID, reason: String)
  case received(LinkID, PeerMessage<Payload>)
  /// A message that the codec refused. The header is there where the head could be read.
  case refused(LinkID, MessageHeader?, FrameError.Consequence, detail: String)

  case rank(RankCall)
  case cancel(RequestID)
  /// Ask a gateway for its REPORT.
  case status(RequestID, LinkID, limit: MonotonicDuration)
  /// Finish what is under way, or give it up, and leave.
  case close(cancelling: Bool)
  /// `nextTimer` has come.
  case timer
}

/// What a client's runtime is to do, in this order.
public enum ClientAction<Payload: ChunkPayload>: Sendable {
  case send(LinkID, PeerMessage<Payload>)
  /// Close the link's socket, if it has one, and dial with a new one after a while.
  case dial(LinkID, after: MonotonicDuration)
  /// Close the link's socket for good, once what was sent is out.
  case close(LinkID)
  /// A ranking that replaces the one before it.
  case snapshot(RequestID, Payload, isProvisional: Bool)
  /// The one and last word on a request.
  case complete(RequestID, RankOutcome<Payload>)
  case report(RequestID, StatusReport)
  case reportFailed(RequestID, LinkFailure)
  case notice(LinkID, SessionNotice)
  /// Everything asked for by `close` is done.
  case closed
}

/// How a request ended.
public enum RankOutcome<Payload: ChunkPayload>: Sendable {
  /// The final ranking, and what END says beside it.
  case ranked(Payload, RunEnd)
  case failed(RankFailure<Payload>)
}

/// Why there is no final ranking.
public struct RankFailure<Payload: ChunkPayload>: Sendable {
  public enum Cause: Sendable, Hashable {
    /// No session with any gateway came about in time; `gateways` says how each failed.
    case unreachable
    /// A gateway ended the request with `status`.
    case ended
    /// Its session was lost as often as it may be sent.
    case lost
    /// Nothing was heard within the deadline.
    case deadline
    /// The application cancelled it.
    case cancelled
    /// The client was closed.
    case closed
  }

  public var cause: Cause
  /// What the gateway said; DEADLINE and CANCELLED also where the client says so itself.
  public var status: Status?
  public var detail: String
  /// The best ranking so far.
  public var newest: Payload?
  /// Whether that is by prior alone.
  public var isProvisional = false
  /// Each gateway that was tried or waited for, and how it failed.
  public var gateways: [GatewayFailure] = []
  /// When a gateway would like to be asked again.
  public var retryAfterMilliseconds: UInt32?

  public init(
    cause: Cause, status: Status?, detail: String, newest: Payload? = nil, isProvisional: Bool = false,
    gateways: [GatewayFailure] = [], retryAfterMilliseconds: UInt32? = nil
  ) {
    self.cause = cause
    self.status = status
    self.detail = detail
    self.newest = newest
    self.isProvisional = isProvisional
    self.gateways = gateways
    self.retryAfterMilliseconds = retryAfterMilliseconds
  }
}

/// A gateway, and what went wrong with it.
public struct GatewayFailure: Sendable, Hashable, CustomStringConvertible {
  public var name: String
  public var failure: LinkFailure

  public init(name: String, failure: LinkFailure) {
    self.name = name
    self.failure = failure
  }

  public var description: String { "\(name): \(failure)" }
}

/// What a client has done since it started.
public struct ClientCounters: Sendable, Hashable {
  public var requests: UInt64 = 0
  /// Sendings beyond the first of each request.
  public var retries: UInt64 = 0
  public var snapshots: UInt64 = 0
  /// Messages that came too late, or twice.
  public var late: UInt64 = 0
}
