/// A worker's side of GLTP (gltp-1.md 10.1 and 10.4): sessions with several gateways, and the runs that they give it.
///
/// A value without I/O, threads or clock. Its runtime hands in what happens, with the time, and carries out the actions
/// in their order, all on one thread; computation has threads of its own and speaks through events. Nothing that a
/// gateway sends makes it trap.
public struct WorkerMachine<Payload: ChunkPayload>: Sendable {
  /// What is handed in by `handle`.
  public typealias Event = WorkerEvent<Payload>
  /// What `handle` asks of the runtime.
  public typealias Action = WorkerAction<Payload>

  /// Why and until when the worker is on its way out.
  struct Leaving: Sendable {
    var limit: MonotonicTime
    var exit: WorkerExit
    var isDone = false
  }

  /// What the machine was made with; fixed for its life.
  public let configuration: WorkerConfiguration
  var links: [DialledLink] = []
  /// Links that are left as soon as their runs have ended.
  var removed: Set<LinkID> = []
  var damage = DamageCounter()
  var runs: [WorkerRun<Payload>] = []
  var credits: WorkerCredits
  var leaving: Leaving?
  var count = WorkerCounters()
  private var nextRun: UInt64 = 1
  /// When computation was last heard of.
  var lastComputation = MonotonicTime.zero

  /// A machine without gateways: hand in `added` for each.
  @_specialize(where Payload == MessageHandle)
  public init(_ configuration: WorkerConfiguration) {
    self.configuration = configuration
    credits = WorkerCredits(slots: configuration.slots)
  }

  /// Takes in what happened at `now`, and adds what is to be done to `actions`. Carry all of it out before the next event.
  @_specialize(where Payload == MessageHandle)
  public mutating func handle(_ event: Event, now: MonotonicTime, into actions: inout [Action]) {
    if event.isOfComputation { lastComputation = now }
    switch event {
    case .added(let id, let name): add(id, name, now, &actions)
    case .removed(let id): remove(id, now, &actions)
    case .connected(let id): connected(id, now, &actions)
    case .disconnected(let id, let reason): disconnected(id, reason, now, &actions)
    case .received(let id, let message): receive(id, message, now, &actions)
    case .refused(let id, let header, let consequence, let detail):
      receiveRefused(id, header, consequence, detail, now, &actions)
    case .computing(let id, let stream): computing(id, stream, now, &actions)
    case .idle(let id): withRun(id) { $0.computingSince = nil }
    case .output(let id, let stream, let payload, let flags): output(id, stream, payload, flags, now, &actions)
    case .finished(let id, let ranking, let timing): finished(id, ranking, timing, now, &actions)
    case .failed(let id, let failure): failed(id, failure, now, &actions)
    case .stopped(let id): stopped(id, now, &actions)
    case .drain(let limit): drain(until: now + limit, .drained, now, &actions)
    case .timer: checkTimers(now, &actions)
    }
    closeFinishedLinks(now, &actions)
    settleCredit(now, &actions)
  }

  /// When to hand in `.timer`, unless another event moves it. Hand in first what waits in the sockets.
  public var nextTimer: MonotonicTime {
    @_specialize(where Payload == MessageHandle)
    get {
      var time = leaving.map { $0.isDone ? .distantFuture : $0.limit } ?? .distantFuture
      for link in links { time = min(time, link.nextTimer) }
      for index in runs.indices {
        time = min(time, runs[index].nextTimer(stuckLimit: configuration.stuckLimit))
        if let since = unattendedSince(index) { time = min(time, since + configuration.stuckLimit) }
      }
      return time
    }
  }

  /// Whether the worker can be given runs: it has a session, and neither leaves nor is stuck.
  public var isReady: Bool {
    @_specialize(where Payload == MessageHandle)
    get { leaving == nil && links.contains { $0.phase == .open } }
  }

  /// Open sessions.
  public var sessionCount: Int {
    @_specialize(where Payload == MessageHandle)
    get { links.count { $0.isOpen } }
  }

  /// Whether nothing of any run is left.
  public var isIdle: Bool { runs.isEmpty }

  /// What the worker has done since the machine was made, and what it has in hand now.
  public var counters: WorkerCounters {
    var counters = count
    counters.creditTotal = credits.total
    counters.running = runs.count { $0.computingSince != nil }
    counters.queued = runs.count { !$0.isEnded && $0.computingSince == nil }
    return counters
  }

  mutating func newRunID() -> RunID {
    defer { nextRun += 1 }
    return RunID(rawValue: nextRun)
  }

  func linkIndex(_ id: LinkID) -> Int? { links.firstIndex { $0.id == id } }

  // Runs are looked at where they lie: the closures of `Sequence` would copy them, to the heap where the machine is not
  // specialised for its payload.

  func runIndex(_ id: RunID) -> Int? {
    for index in runs.indices where runs[index].id == id { return index }
    return nil
  }

  /// Runs of lost sessions that computation has not let go of.
  private var orphanCount: Int {
    var count = 0
    for index in runs.indices where !runs[index].holdsSlot { count += 1 }
    return count
  }

  private mutating func withRun(_ id: RunID, _ body: (inout WorkerRun<Payload>) -> Void) {
    if let index = runIndex(id) { body(&runs[index]) }
  }

  mutating func send(
    _ link: LinkID, _ header: MessageHeader, _ body: PeerMessage<Payload>.Body, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    if let index = linkIndex(link) { links[index].noteSent(now) }
    actions.append(.send(link, PeerMessage(header, body)))
  }

  private mutating func settleCredit(_ now: MonotonicTime, _ actions: inout [Action]) {
    guard leaving == nil else { return }
    credits.settle(orphans: orphanCount)
    while let (link, total) = credits.nextAnnouncement() {
      guard let index = linkIndex(link) else { continue }
      send(link, links[index].header(.credit), .control(.credit(total: total)), now, &actions)
    }
  }

  private mutating func checkTimers(_ now: MonotonicTime, _ actions: inout [Action]) {
    for link in links.map(\.id) { checkLink(link, now, &actions) }
    for id in runs.map(\.id) { checkRun(id, now, &actions) }
    if let leaving, !leaving.isDone, now >= leaving.limit { giveUp(now, &actions) }
  }
}
