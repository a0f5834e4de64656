/// A request of a client (gltp-1.md 10.5).
struct ClientRequest<Payload: ChunkPayload>: Sendable {
  enum State: Sendable {
    /// For a session with some gateway, until the connect deadline.
    case waiting(until: MonotonicTime)
    /// Before it is sent again.
    case pausing(until: MonotonicTime)
    case sent(LinkID, sessionID: UInt64)
  }

  let call: RankCall
  let deadline: MonotonicTime
  var state: State
  /// Sendings so far.
  var attempt: UInt16 = 0
  var receiver = StreamReceiver()
  var newest: (payload: Payload, isProvisional: Bool)?
  /// Gateways that had it, in order.
  var tried = ShortList<LinkID>()
  var failures: [GatewayFailure] = []
  /// Whether the one retry of INTERNAL and CORRUPT has been used.
  var hasRetriedOnce = false

  init(_ call: RankCall, connectLimit: MonotonicDuration, _ now: MonotonicTime) {
    self.call = call
    let budget = call.budget == .zero ? .seconds(10) : min(call.budget, .seconds(600))
    deadline = now + budget
    state = .waiting(until: now + connectLimit)
  }

  var link: LinkID? {
    if case .sent(let link, _) = state { link } else { nil }
  }

  /// A message's header for the gateway that has the request.
  func header(_ kind: MessageKind, _ now: MonotonicTime) -> MessageHeader {
    var sessionID: UInt64 = 0
    if case .sent(_, let session) = state { sessionID = session }
    return MessageHeader(
      kind, priority: call.priority, attempt: attempt, requestID: call.id, sessionID: sessionID,
      budgetMilliseconds: max(deadline.since(now).wholeMilliseconds, 1), bundle: call.bundle)
  }

  func matches(_ link: LinkID, _ header: MessageHeader) -> Bool {
    guard case .sent(link, header.sessionID) = state else { return false }
    return call.id == header.requestID && attempt == header.attempt && header.stage == .none
  }

  func nextTimer(grace: MonotonicDuration) -> MonotonicTime {
    switch state {
    case .waiting(let until), .pausing(let until): min(until, deadline)
    case .sent: deadline + grace
    }
  }
}
