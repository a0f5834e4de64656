/// A client's side of GLTP (gltp-1.md 10.1 and 10.5): sessions with several gateways, and requests that survive the
/// loss of one.
///
/// A value without I/O, threads or clock, as `WorkerMachine`. Each request handed in is completed exactly once, within
/// its budget and the grace, whatever gateways do.
public struct ClientMachine<Payload: ChunkPayload>: Sendable {
  /// What is handed in by `handle`.
  public typealias Event = ClientEvent<Payload>
  /// What `handle` asks of the runtime.
  public typealias Action = ClientAction<Payload>

  /// A question for a gateway's REPORT.
  struct Question: Sendable {
    let id: RequestID
    let link: LinkID
    let limit: MonotonicTime
    var isAsked = false
  }

  /// What the machine was made with; fixed for its life.
  public let configuration: ClientConfiguration
  var links: [DialledLink] = []
  var removed: Set<LinkID> = []
  var damage = DamageCounter()
  var requests: [RequestID: ClientRequest<Payload>] = [:]
  var questions: [Question] = []
  var isClosing = false
  var isClosed = false
  var turn = 0
  /// What the client has done since the machine was made.
  public internal(set) var counters = ClientCounters()

  /// A machine without gateways: hand in `added` for each.
  @_specialize(where Payload == RankingSnapshot)
  public init(_ configuration: ClientConfiguration = ClientConfiguration()) {
    self.configuration = configuration
  }

  /// Takes in what happened at `now`, and adds what is to be done to `actions`. Carry all of it out before the next event.
  @_specialize(where Payload == RankingSnapshot)
  public mutating func handle(_ event: Event, now: MonotonicTime, into actions: inout [Action]) {
    switch event {
    case .added(let id, let name): add(id, name, now, &actions)
    case .removed(let id): remove(id, now, &actions)
    case .connected(let id): connected(id, now, &actions)
    case .disconnected(let id, let reason): disconnected(id, reason, now, &actions)
    case .received(let id, let message): receive(id, message, now, &actions)
    case .refused(let id, let header, let consequence, let detail):
      receiveRefused(id, header, consequence, detail, now, &actions)
    case .rank(let call): rank(call, now, &actions)
    case .cancel(let id): cancel(id, now, &actions)
    case .status(let id, let link, let limit): ask(id, link, now + limit, now, &actions)
    case .close(let cancelling): close(cancelling: cancelling, now, &actions)
    case .timer: checkTimers(now, &actions)
    }
    closeFinishedLinks(now, &actions)
  }

  /// When to hand in `.timer`, unless another event moves it. Hand in first what waits in the sockets.
  public var nextTimer: MonotonicTime {
    @_specialize(where Payload == RankingSnapshot)
    get {
      var time = MonotonicTime.distantFuture
      for link in links { time = min(time, link.nextTimer) }
      for request in requests.values { time = min(time, request.nextTimer(grace: configuration.grace)) }
      for question in questions { time = min(time, question.limit) }
      return time
    }
  }

  /// Open sessions.
  public var sessionCount: Int {
    @_specialize(where Payload == RankingSnapshot)
    get { links.count { $0.isOpen } }
  }

  /// Whether no request and no question is under way.
  public var isIdle: Bool { requests.isEmpty && questions.isEmpty }

  func linkIndex(_ id: LinkID) -> Int? { links.firstIndex { $0.id == id } }

  mutating func send(
    _ link: LinkID, _ header: MessageHeader, _ body: PeerMessage<Payload>.Body, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    if let index = linkIndex(link) { links[index].noteSent(now) }
    actions.append(.send(link, PeerMessage(header, body)))
  }

  private mutating func checkTimers(_ now: MonotonicTime, _ actions: inout [Action]) {
    // What the application asked for is answered in the order of its deadlines, so that two runs give the same actions.
    let due = requests.values.filter { now >= $0.nextTimer(grace: configuration.grace) }
      .sorted { ($0.deadline, $0.call.id.high, $0.call.id.low) < ($1.deadline, $1.call.id.high, $1.call.id.low) }
    for request in due { checkRequest(request.call.id, now, &actions) }
    for question in questions where now >= question.limit {
      let failure = linkIndex(question.link).map { links[$0].standing } ?? .lost("the gateway is not known")
      actions.append(.reportFailed(question.id, failure))
    }
    questions.removeAll { now >= $0.limit }
    for link in links.map(\.id) { checkLink(link, now, &actions) }
  }
}
