/// An address that a peer dials, as its runtime numbers it. It stays the same over reconnections.
public struct LinkID: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  /// The runtime's number for the address.
  public let rawValue: UInt32
  /// From a number that the runtime gives to one address only.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// As in "link 3", for logs.
  public var description: String { "link \(rawValue)" }
}

/// Why a link has no session.
public enum LinkFailure: Sendable, Hashable, CustomStringConvertible {
  /// No connection came about, or it broke before HELLO was answered; the transport says why.
  case noConnection(String)
  /// Connected, and HELLO was not answered within 5 s.
  case noAnswer
  /// REJECT.
  case refused(Status, detail: String)
  /// A session that was open is over.
  case lost(String)

  /// One line for people, with the reason.
  public var description: String {
    switch self {
    case .noConnection(let reason): "no connection: \(reason)"
    case .noAnswer: "connected, but HELLO was not answered within 5 s"
    case .refused(let status, let detail): "refused with \(status)" + (detail.isEmpty ? "" : ": \(detail)")
    case .lost(let reason): "session lost: \(reason)"
    }
  }
}

/// What became of a session: for logs and metrics.
public enum SessionNotice: Sendable, Hashable {
  /// WELCOME has come. `peer` is the gateway's name, for logs.
  case opened(sessionID: UInt64, peer: String)
  /// The session, or the attempt at one, failed.
  case failed(LinkFailure)
  /// Nothing but an operator can help: the versions do not meet, or the key may not play this role.
  case needsOperator(Status, detail: String)
  /// The gateway finishes what it has and takes nothing new.
  case draining
}

/// The state of a session on the side that dials (gltp-1.md 10.1), shared by workers and clients.
struct DialledLink: Sendable {
  enum Phase: Sendable, Hashable {
    /// Waiting for the transport, which waits for the back-off.
    case dialling
    case greeting
    case open
    /// DRAIN has been sent; what runs is finished.
    case draining
    /// Over for good: removed, or shut down.
    case closed
  }

  /// What a message means for the session.
  enum Reaction: Sendable {
    /// Late or meaningless: counted and dropped.
    case late
    /// Dealt with.
    case handled
    /// Send this in the session.
    case answer(MessageBody, sequence: UInt32)
    case opened(Welcome)
    /// The gateway takes nothing new.
    case drains
    /// REJECT of HELLO, or a WELCOME that makes no sense.
    case refused(Status, retryAfter: UInt32?, detail: String)
    /// The gateway has forgotten the session: say HELLO again on the same connection.
    case forgotten
    case bye(Status, detail: String)
    /// A message of the open session that is not about the session.
    case belongsToRun
  }

  /// What a timer means for the session.
  enum Due: Sendable {
    case nothing
    case ping(sequence: UInt32)
    case failed(LinkFailure)
  }

  static let answerLimit = MonotonicDuration.seconds(5)
  static let firstBackOff = MonotonicDuration.milliseconds(100)
  static let longestBackOff = MonotonicDuration.seconds(5)

  let id: LinkID
  /// The address, for people.
  let name: String
  private(set) var phase = Phase.dialling
  private(set) var sessionID: UInt64 = 0
  /// Chunks of a stream that the gateway lets us send without ACK.
  private(set) var window = StreamSender.defaultWindow
  /// Whether the gateway takes nothing new.
  private(set) var isGatewayDraining = false
  private(set) var lastFailure: LinkFailure?
  private var liveness: Liveness?
  private var openedAt = MonotonicTime.zero
  private var backOff = DialledLink.firstBackOff
  /// When dialling or greeting has taken too long.
  private var timer: MonotonicTime

  init(_ id: LinkID, name: String, now: MonotonicTime) {
    self.id = id
    self.name = name
    timer = now + DialledLink.answerLimit
  }

  var isOpen: Bool { phase == .open || phase == .draining }

  /// A header of the session.
  func header(
    _ kind: MessageKind, status: Status = .ok, sequence: UInt32 = 0, requestID: RequestID = .none
  ) -> MessageHeader {
    MessageHeader(kind, status: status, requestID: requestID, sessionID: sessionID, sequence: sequence)
  }

  /// How things stand, for an error that says why no session was there.
  var standing: LinkFailure {
    switch phase {
    case .dialling: lastFailure ?? .noConnection("still connecting")
    case .greeting: lastFailure ?? .noConnection("connected, HELLO not answered yet")
    case .open where isGatewayDraining: .refused(.draining, detail: "the gateway takes nothing new")
    case .open, .draining: .lost("the request has not been answered")
    case .closed: .lost("closed")
    }
  }

  mutating func noteSent(_ now: MonotonicTime) { liveness?.noteSent(now) }

  /// The transport is connected; the caller sends HELLO.
  ///
  /// - Returns: false where no connection was waited for.
  mutating func connected(_ now: MonotonicTime) -> Bool {
    guard phase == .dialling else { return false }
    greet(now)
    return true
  }

  private mutating func greet(_ now: MonotonicTime) {
    phase = .greeting
    sessionID = 0
    liveness = nil
    isGatewayDraining = false
    timer = now + DialledLink.answerLimit
  }

  mutating func receive(_ header: MessageHeader, _ body: MessageBody?, _ now: MonotonicTime) -> Reaction {
    switch phase {
    case .dialling, .closed: return .late
    case .greeting: return receiveGreeting(header, body, now)
    case .open, .draining: break
    }
    liveness?.noteReceived(now)
    if case .reject? = body {
      // Sessions that we have forgotten too may be meant, and only one status is meant for a session at all.
      guard header.status == .unknownSession, header.sessionID == sessionID || header.sessionID == 0 else {
        return .late
      }
      return .forgotten
    }
    guard header.sessionID == sessionID else { return .late }
    switch body {
    case .ping?: return .answer(.pong, sequence: header.sequence)
    case .pong?: return .handled
    case .drain?:
      isGatewayDraining = true
      return .drains
    case .bye(let detail)?: return .bye(header.status, detail: detail?.string ?? "")
    case .hello?, .welcome?, .credit?: return .late
    default: return .belongsToRun
    }
  }

  private mutating func receiveGreeting(
    _ header: MessageHeader, _ body: MessageBody?, _ now: MonotonicTime
  ) -> Reaction {
    switch body {
    case .welcome(let welcome)?:
      guard header.sessionID != 0, welcome.role == .gateway,
        VersionRange.supported.common(with: VersionRange(lowest: welcome.version, highest: welcome.version)) != nil
      else { return .refused(.version, retryAfter: nil, detail: "WELCOME to version \(welcome.version)") }
      phase = .open
      sessionID = header.sessionID
      window = min(welcome.limits.window, StreamSender.defaultWindow)
      openedAt = now
      lastFailure = nil
      liveness = Liveness(
        heartbeat: .milliseconds(UInt64(welcome.heartbeatMilliseconds)),
        expiry: .milliseconds(UInt64(welcome.expiryMilliseconds)), now: now)
      return .opened(welcome)
    case .reject(let reject)?:
      // One that answers what we sent in the session before this HELLO.
      guard header.status != .unknownSession else { return .late }
      return .refused(
        header.status, retryAfter: reject.retryAfterMilliseconds, detail: reject.detail?.string ?? "")
    default: return .late
    }
  }

  /// Any sign of life that is not a message we can read.
  mutating func noteReceived(_ now: MonotonicTime) { liveness?.noteReceived(now) }

  mutating func drain() {
    if phase == .open { phase = .draining }
  }

  mutating func close() {
    phase = .closed
    liveness = nil
    sessionID = 0
  }

  /// The gateway has forgotten the session; the caller sends HELLO on the same connection.
  mutating func greetAgain(_ now: MonotonicTime) {
    lastFailure = .lost("the gateway does not know the session any more")
    greet(now)
  }

  /// The session or the attempt at one has failed.
  ///
  /// - Parameter atLeast: back off for no less.
  /// - Returns: how long to wait before dialling with a new socket.
  mutating func fail(
    _ failure: LinkFailure, atLeast: MonotonicDuration = .zero, _ now: MonotonicTime
  ) -> MonotonicDuration {
    // Only a session that lasted shows that the trouble before it is over.
    if isOpen, now.since(openedAt) >= DialledLink.longestBackOff { backOff = DialledLink.firstBackOff }
    let wait = max(backOff, min(atLeast, DialledLink.longestBackOff))
    backOff = min(backOff * 2, DialledLink.longestBackOff)
    phase = .dialling
    sessionID = 0
    liveness = nil
    isGatewayDraining = false
    lastFailure = failure
    timer = now + wait + DialledLink.answerLimit
    return wait
  }

  var nextTimer: MonotonicTime {
    switch phase {
    case .dialling, .greeting: timer
    case .open, .draining: liveness?.nextTimer ?? .distantFuture
    case .closed: .distantFuture
    }
  }

  mutating func check(_ now: MonotonicTime) -> Due {
    switch phase {
    case .closed: return .nothing
    case .dialling:
      guard now >= timer else { return .nothing }
      // The transport's last word says more than our impatience.
      if let lastFailure, case .noConnection = lastFailure { return .failed(lastFailure) }
      return .failed(.noConnection("not within 5 s"))
    case .greeting: return now >= timer ? .failed(.noAnswer) : .nothing
    case .open, .draining:
      switch liveness?.check(now) {
      case .ping(let sequence)?: return .ping(sequence: sequence)
      case .expired?: return .failed(.lost("the gateway has been silent for its expiry"))
      case nil: return .nothing
      }
    }
  }
}
