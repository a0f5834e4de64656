import GLTP

/// A worker's machine on a bench: events go in, and what it wants done comes out in few words.
struct WorkerBench {
  var machine: WorkerMachine<NamedBulk>
  var now = MonotonicTime(microseconds: 1_000_000)
  var notices: [SessionNotice] = []
  var lastSent: PeerMessage<NamedBulk>?
  var lastEnd: RunEnd?
  /// Number by the machine's id, in order of starting.
  var runs: [RunID] = []
  var starts: [RunStart] = []

  init(_ role: Role = .ranker, slots: Int = 2, inputRoom: UInt32 = 8) {
    machine = WorkerMachine(
      WorkerConfiguration(
        role: role, bundles: [bundleOne], slots: slots, inputRoom: inputRoom, stuckLimit: .seconds(20),
        stuckGrace: .seconds(3), peerID: "worker"))
  }

  mutating func happen(_ event: WorkerEvent<NamedBulk>) -> [String] {
    var actions: [WorkerAction<NamedBulk>] = []
    machine.handle(event, now: now, into: &actions)
    return actions.compactMap { describe($0) }
  }

  /// Lets time pass, timers firing when they are due.
  mutating func pass(_ duration: MonotonicDuration) -> [String] {
    let end = now + duration
    var words: [String] = []
    while machine.nextTimer <= end {
      now = max(now, machine.nextTimer)
      words += happen(.timer)
    }
    now = end
    return words
  }

  private mutating func describe(_ action: WorkerAction<NamedBulk>) -> String? {
    switch action {
    case .send(let link, let message):
      lastSent = message
      if case .end(let end, _) = message.body { lastEnd = end }
      return "\(link.rawValue) \(words(message))"
    case .dial(let link, let after): return "dial \(link.rawValue) after \(after.microseconds / 1000)"
    case .close(let link): return "close \(link.rawValue)"
    case .start(let start):
      runs.append(start.id)
      starts.append(start)
      return "start \(runs.count - 1)"
    case .deliver(let run, let stream, let payload, let sequence, let isFinal):
      return "deliver \(number(run)) \(stream) \(sequence) \(payload.name)" + (isFinal ? " +final" : "")
    case .release(let run, let stream, let chunks): return "release \(number(run)) \(stream) \(chunks)"
    case .cancel(let run): return "cancel \(number(run))"
    case .report(let link, let header): return "report \(link.rawValue) \(header.requestID.low)"
    case .notice(_, let notice):
      notices.append(notice)
      return nil
    case .exit(let exit): return "exit \(exit)"
    }
  }

  private func number(_ run: RunID) -> Int { runs.firstIndex(of: run) ?? -1 }

  /// Opens a session whose id is the link's number + 100.
  mutating func open(_ number: UInt32, window: UInt32 = 4) -> [String] {
    var words = happen(.added(link(number), name: "tcp://g\(number)"))
    words += happen(.connected(link(number)))
    words += happen(.received(link(number), welcome(session: UInt64(number) + 100, window: window)))
    return words
  }

  func header(
    _ kind: MessageKind, _ request: UInt64, on link: UInt32, stage: Stage? = nil, stream: StreamKind = .none,
    attempt: UInt16 = 1, sequence: UInt32 = 0, flags: MessageFlags = [], budget: UInt32 = 0,
    bundle: BundleHash = bundleOne
  ) -> MessageHeader {
    MessageHeader(
      kind, flags: flags, stage: stage ?? machine.configuration.role.stage, stream: stream, attempt: attempt,
      requestID: requestID(request), sessionID: UInt64(link) + 100, sequence: sequence, budgetMilliseconds: budget,
      bundle: bundle.prefix)
  }

  mutating func request(
    _ number: UInt64, on link: UInt32 = 0, attempt: UInt16 = 1, budget: UInt32 = 0, bundle: BundleHash = bundleOne,
    stage: Stage? = nil
  ) -> [String] {
    let body: MessageBody =
      machine.configuration.role == .encoder
      ? .rank(RankRequest(userID: "u", count: 10)) : .run(RunRequest(count: 10, mode: .slots))
    return happen(
      .received(
        GLTPTests.link(link),
        PeerMessage(
          header(.request, number, on: link, stage: stage, attempt: attempt, budget: budget, bundle: bundle),
          .control(body))))
  }

  mutating func input(
    _ number: UInt64, _ stream: StreamKind, _ sequence: UInt32, final: Bool = false, on link: UInt32 = 0,
    attempt: UInt16 = 1
  ) -> [String] {
    happen(
      .received(
        GLTPTests.link(link),
        PeerMessage(
          header(
            .input, number, on: link, stream: stream, attempt: attempt, sequence: sequence,
            flags: final ? .final : []),
          .chunk(NamedBulk("c\(sequence)")))))
  }

  mutating func ack(_ number: UInt64, _ stream: StreamKind, _ count: UInt32, on link: UInt32 = 0) -> [String] {
    happen(
      .received(
        GLTPTests.link(link),
        PeerMessage(header(.ack, number, on: link, stream: stream, sequence: count), .control(.ack))))
  }

  mutating func cancel(_ number: UInt64, on link: UInt32 = 0, attempt: UInt16 = 1) -> [String] {
    happen(
      .received(
        GLTPTests.link(link), PeerMessage(header(.cancel, number, on: link, attempt: attempt), .control(.cancel))))
  }

  /// A message of the session alone.
  mutating func session(
    _ body: MessageBody, on number: UInt32 = 0, status: Status = .ok, session: UInt64? = nil, sequence: UInt32 = 0
  ) -> [String] {
    happen(
      .received(
        link(number),
        PeerMessage(
          MessageHeader(
            body.kind, status: status, requestID: requestID(99), sessionID: session ?? UInt64(number) + 100,
            sequence: sequence),
          .control(body))))
  }

  mutating func finish(_ run: Int, ranking: NamedBulk? = "best") -> [String] {
    happen(
      .finished(runs[run], ranking: ranking, timing: RunTiming(queue: 0, decode: 1, compute: 2, encode: 3)))
  }
}
