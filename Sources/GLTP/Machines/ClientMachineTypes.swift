/// What a client is, and how it behaves.
public struct ClientConfiguration: Sendable {
  /// How long a request may wait for a session with some gateway.
  public var connectLimit: MonotonicDuration
  /// How long after a request's deadline its END may still come.
  public var grace: MonotonicDuration
  /// How often a request is sent at most.
  public var attempts: UInt16
  /// What gateways may send us, offered in HELLO.
  public var limits: PeerLimits
  /// A name for gateways' logs, 1 to 128 bytes.
  public var peerID: WireText?
  /// Names this process, so that a gateway can tell a reconnection from a restart.
  public var bootID: BootID?
  /// Software and version for gateways' logs, 1 to 128 bytes.
  public var build: WireText?

  /// `attempts` is held to 1 at least; gltp-1.md 10.5 allows at most 3.
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
  /// What is to be ranked for whom.
  public var request: RankRequest
  /// Time for all of it, retries included. Zero means 10 s; more than 600 s means 600 s.
  public var budget: MonotonicDuration
  /// The request's place in a gateway's queue (gltp-1.md 7.1).
  public var priority: Priority
  /// STREAM, TITLES, CANARY.
  public var flags: MessageFlags
  /// The bundle to rank with; `none` for the gateway's current one.
  public var bundle: BundlePrefix

  /// Keeps of `flags` only STREAM, TITLES and CANARY; the machine sets RETRY itself.
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
  /// The transport is connected: the machine sends HELLO.
  case connected(LinkID)
  /// The connection broke, or could not be made.
  case disconnected(LinkID, reason: String)
  /// A message of a gateway that the codec took.
  case received(LinkID, PeerMessage<Payload>)
  /// A message that the codec refused. The header is there where the head could be read.
  case refused(LinkID, MessageHeader?, FrameError.Consequence, detail: String)

  /// Rank this; answered by snapshots and exactly one `complete`.
  case rank(RankCall)
  /// Stop a request. It still completes, as cancelled.
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
  /// Encode and send by the link's socket.
  case send(LinkID, PeerMessage<Payload>)
  /// Close the link's socket, if it has one, and dial with a new one after a while.
  case dial(LinkID, after: MonotonicDuration)
  /// Close the link's socket for good, once what was sent is out.
  case close(LinkID)
  /// A ranking that replaces the one before it.
  case snapshot(RequestID, Payload, isProvisional: Bool)
  /// The one and last word on a request.
  case complete(RequestID, RankOutcome<Payload>)
  /// A gateway's answer to `status`.
  case report(RequestID, StatusReport)
  /// No REPORT came within the limit, for this reason.
  case reportFailed(RequestID, LinkFailure)
  /// Something about a session for logs and metrics.
  case notice(LinkID, SessionNotice)
  /// Everything asked for by `close` is done.
  case closed
}

/// How a request ended.
public enum RankOutcome<Payload: ChunkPayload>: Sendable {
  /// The final ranking, and what END says beside it.
  case ranked(Payload, RunEnd)
  /// No final ranking came.
  case failed(RankFailure<Payload>)
}

/// Why there is no final ranking.
public struct RankFailure<Payload: ChunkPayload>: Sendable {
  /// What put an end to the request, seen from the client.
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

  /// What put an end to the request.
  public var cause: Cause
  /// What the gateway said; DEADLINE and CANCELLED also where the client says so itself.
  public var status: Status?
  /// Text for people and logs, the gateway's where it gave one.
  public var detail: String
  /// The best ranking so far.
  public var newest: Payload?
  /// Whether that is by prior alone.
  public var isProvisional = false
  /// Each gateway that was tried or waited for, and how it failed.
  public var gateways: [GatewayFailure] = []
  /// When a gateway would like to be asked again.
  public var retryAfterMilliseconds: UInt32?

  /// `newest` and `isProvisional` go together: the ranking that there is, and whether it is by prior alone.
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
  /// The name that the gateway was added by.
  public var name: String
  /// Why there was no session, or no answer, when it was tried.
  public var failure: LinkFailure

  /// A gateway's name and its failure.
  public init(name: String, failure: LinkFailure) {
    self.name = name
    self.failure = failure
  }

  /// "NAME: FAILURE", for messages.
  public var description: String { "\(name): \(failure)" }
}

/// What a client has done since it started.
public struct ClientCounters: Sendable, Hashable {
  /// Requests handed in by `rank`.
  public var requests: UInt64 = 0
  /// Sendings beyond the first of each request.
  public var retries: UInt64 = 0
  /// Snapshots handed to the application.
  public var snapshots: UInt64 = 0
  /// Messages that came too late, or twice.
  public var late: UInt64 = 0
}
