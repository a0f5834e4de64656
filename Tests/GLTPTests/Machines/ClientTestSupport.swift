import GLTP

/// A client's machine on a bench: events go in, and what it wants done comes out in few words.
struct ClientBench {
  var machine: ClientMachine<NamedBulk>
  var now = MonotonicTime(microseconds: 1_000_000)
  var lastSent: PeerMessage<NamedBulk>?
  var failure: RankFailure<NamedBulk>?
  var completions: [RequestID: Int] = [:]

  init(_ configuration: ClientConfiguration = ClientConfiguration()) { machine = ClientMachine(configuration) }

  mutating func happen(_ event: ClientEvent<NamedBulk>) -> [String] {
    var actions: [ClientAction<NamedBulk>] = []
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

  private mutating func describe(_ action: ClientAction<NamedBulk>) -> String? {
    switch action {
    case .send(let link, let message):
      lastSent = message
      return "\(link.rawValue) \(words(message))"
    case .dial(let link, let after): return "dial \(link.rawValue) after \(after.microseconds / 1000)"
    case .close(let link): return "close \(link.rawValue)"
    case .snapshot(let id, let payload, let isProvisional):
      return "snapshot \(id.low) \(payload.name)" + (isProvisional ? " provisional" : "")
    case .complete(let id, .ranked(let payload, _)):
      completions[id, default: 0] += 1
      return "ranked \(id.low) \(payload.name)"
    case .complete(let id, .failed(let failure)):
      completions[id, default: 0] += 1
      self.failure = failure
      return "failed \(id.low) \(failure.cause)" + (failure.status.map { " \($0)" } ?? "")
        + (failure.newest.map { " \($0.name)" } ?? "")
    case .report(let id, _): return "report \(id.low)"
    case .reportFailed(let id, let failure): return "no report \(id.low): \(failure)"
    case .notice: return nil
    case .closed: return "closed"
    }
  }

  /// Opens a session whose id is the link's number + 100.
  mutating func open(_ number: UInt32) -> [String] {
    var words = happen(.added(link(number), name: "tcp://g\(number)"))
    words += happen(.connected(link(number)))
    words += happen(.received(link(number), welcome(session: UInt64(number) + 100)))
    return words
  }

  mutating func rank(_ number: UInt64, budget: UInt64 = 1000, flags: MessageFlags = .stream) -> [String] {
    happen(
      .rank(
        RankCall(
          id: requestID(number), request: RankRequest(userID: "u", count: 10), budget: .milliseconds(budget),
          flags: flags)))
  }

  func header(
    _ kind: MessageKind, _ number: UInt64, on link: UInt32, attempt: UInt16 = 1, stream: StreamKind = .none,
    sequence: UInt32 = 0, status: Status = .ok, flags: MessageFlags = []
  ) -> MessageHeader {
    MessageHeader(
      kind, flags: flags, stream: stream, attempt: attempt, status: status, requestID: requestID(number),
      sessionID: UInt64(link) + 100, sequence: sequence)
  }

  mutating func snapshot(
    _ number: UInt64, _ sequence: UInt32, on link: UInt32 = 0, attempt: UInt16 = 1, flags: MessageFlags = []
  ) -> [String] {
    happen(
      .received(
        GLTPTests.link(link),
        PeerMessage(
          header(.partial, number, on: link, attempt: attempt, stream: .ranking, sequence: sequence, flags: flags),
          .chunk(NamedBulk("s\(sequence)")))))
  }

  mutating func end(
    _ number: UInt64, _ status: Status = .ok, on link: UInt32 = 0, attempt: UInt16 = 1, ranking: NamedBulk? = nil,
    retryAfter: UInt32? = nil, flags: MessageFlags = []
  ) -> [String] {
    happen(
      .received(
        GLTPTests.link(link),
        PeerMessage(
          header(.end, number, on: link, attempt: attempt, status: status, flags: flags),
          .end(RunEnd(retryAfterMilliseconds: retryAfter), ranking: status == .ok ? ranking ?? "best" : ranking))))
  }

  /// A message of the session alone.
  mutating func session(_ body: MessageBody, on number: UInt32 = 0, status: Status = .ok, session: UInt64? = nil)
    -> [String]
  {
    happen(
      .received(
        link(number),
        PeerMessage(
          MessageHeader(
            body.kind, status: status, requestID: requestID(99), sessionID: session ?? UInt64(number) + 100),
          .control(body))))
  }
}
