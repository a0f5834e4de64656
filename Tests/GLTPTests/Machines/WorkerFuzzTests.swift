import GLTP
import Testing

/// A worker and a client whose gateways and computation do anything at all, in any order.
@Suite struct WorkerFuzzTests {
  /// What a gateway and a computation could know of a worker.
  private struct Watch {
    var credit: [UInt64: UInt64] = [:]
    /// Runs that were started and have not ended.
    var open: Set<String> = []
    /// Chunks sent, by stream.
    var sent: [String: UInt32] = [:]
    var started: Set<RunID> = []
    var exited = 0
  }

  @Test(arguments: 0..<60)
  func anythingGoes(seed: UInt64) {
    var random = SplitMix(seed: seed)
    let role = [Role.encoder, .aligner, .ranker][Int(seed % 3)]
    var machine = WorkerMachine<NamedBulk>(
      WorkerConfiguration(role: role, bundles: [bundleOne], slots: 3, inputRoom: 2, stuckLimit: .seconds(60)))
    var now = MonotonicTime(microseconds: 5_000_000)
    var watch = Watch()
    var session: UInt64 = 100
    var live: [RunID] = []
    for step in 0..<3000 {
      now += .microseconds(random.below(60_000))
      var event = randomEvent(&random, role, &session, live)
      if machine.nextTimer <= now, random.below(2) == 0 { event = .timer }
      if step == 2900 { event = .drain(limit: .seconds(1)) }
      var actions: [WorkerAction<NamedBulk>] = []
      machine.handle(event, now: now, into: &actions)
      var key = ""
      if case .received(_, let message) = event { key = name(message.header) }
      for action in actions { check(action, key, &watch, &live, seed) }
      if case .finished(let id, _, _) = event { live.removeAll { $0 == id } }
      if case .failed(let id, _) = event { live.removeAll { $0 == id } }
      if case .stopped(let id) = event { live.removeAll { $0 == id } }
      #expect(machine.counters.running + machine.counters.queued <= live.count + 1)
    }
    // Whatever is left goes in time.
    now += .seconds(700)
    var actions: [WorkerAction<NamedBulk>] = []
    machine.handle(.timer, now: now, into: &actions)
    for id in live { machine.handle(.stopped(id), now: now, into: &actions) }
    for action in actions { check(action, "", &watch, &live, seed) }
    #expect(machine.isIdle)
    #expect(machine.sessionCount == 0)
    #expect(watch.exited == 1)
    #expect(machine.nextTimer == .distantFuture)
  }

  private func name(_ header: MessageHeader) -> String {
    "\(header.sessionID) \(header.requestID.low) \(header.attempt) \(header.stage)"
  }

  private func check(
    _ action: WorkerAction<NamedBulk>, _ received: String, _ watch: inout Watch, _ live: inout [RunID], _ seed: UInt64
  ) {
    switch action {
    case .start(let start):
      #expect(watch.started.insert(start.id).inserted)
      #expect(watch.open.insert(received).inserted, "two runs of one name, seed \(seed)")
      live.append(start.id)
    case .exit: watch.exited += 1
    case .send(_, let message):
      let header = message.header
      let key = name(header)
      switch header.kind {
      case .credit:
        guard case .control(.credit(let total)) = message.body else { return }
        #expect(total > watch.credit[header.sessionID] ?? 0, "credit only grows, seed \(seed)")
        watch.credit[header.sessionID] = total
      case .partial:
        #expect(watch.open.contains(key), "PARTIAL of no run, seed \(seed)")
        let stream = key + " \(header.stream)"
        #expect(header.sequence == watch.sent[stream] ?? 0, "seed \(seed)")
        watch.sent[stream] = header.sequence + 1
      case .end:
        // One that ran ends once; after it the name may come again, and a refusal ends no run.
        if watch.open.remove(key) != nil {
          watch.sent = watch.sent.filter { !$0.key.hasPrefix(key + " ") }
        } else {
          #expect(key == received, "END of no run, seed \(seed)")
        }
      default: break
      }
    default: break
    }
  }

  private func randomEvent(
    _ random: inout SplitMix, _ role: Role, _ session: inout UInt64, _ live: [RunID]
  ) -> WorkerEvent<NamedBulk> {
    let link = LinkID(rawValue: UInt32(random.below(3)))
    let run = live.isEmpty ? nil : live[Int(random.below(UInt64(live.count)))]
    switch random.below(24) {
    case 0: return .added(link, name: "g")
    case 1: return random.below(10) == 0 ? .removed(link) : .added(link, name: "g")
    case 2, 3: return .connected(link)
    case 4: return random.below(4) == 0 ? .disconnected(link, reason: "x") : .connected(link)
    case 5, 6:
      session += 1
      return .received(link, welcome(session: session, window: UInt32(1 + random.below(4))))
    case 7:
      return .refused(
        link, random.below(2) == 0 ? nil : randomHeader(&random, .input, role, session),
        [.closesSession, .failsRequest, .overloaded][Int(random.below(3))], detail: "d")
    case 8, 9, 10, 11:
      if let run {
        let stream = StreamKind(rawValue: UInt8(random.below(4))) ?? .none
        switch random.below(6) {
        case 0: return .computing(run, stream)
        case 1: return .idle(run)
        case 2, 3: return .output(run, stream, "o", random.below(8) == 0 ? .final : [])
        case 4: return .finished(run, ranking: "r", timing: RunTiming(queue: 0, decode: 0, compute: 0, encode: 0))
        default: return random.below(2) == 0 ? .stopped(run) : .failed(run, RunFailure(.internal))
        }
      }
      return .connected(link)
    default:
      let kinds: [MessageKind] = [.request, .request, .request, .input, .input, .ack, .cancel, .ping, .bye, .reject]
      let kind = kinds[Int(random.below(UInt64(kinds.count)))]
      let header = randomHeader(&random, kind, role, session)
      let body: PeerMessage<NamedBulk>.Body
      switch kind {
      case .request:
        body = .control(
          role == .encoder ? .rank(RankRequest(userID: "u", count: 1)) : .run(RunRequest(count: 1, mode: .slots)))
      case .input: body = .chunk("i")
      case .ack: body = .control(.ack)
      case .cancel: body = .control(.cancel)
      case .bye: body = random.below(20) == 0 ? .control(.bye(detail: nil)) : .control(.status)
      case .reject: body = random.below(20) == 0 ? .control(.reject(Reject())) : .control(.pong)
      default: body = .control(.ping)
      }
      return .received(link, PeerMessage(header, body))
    }
  }

  private func randomHeader(
    _ random: inout SplitMix, _ kind: MessageKind, _ role: Role, _ session: UInt64
  ) -> MessageHeader {
    let stage = random.below(20) == 0 ? Stage(rawValue: UInt8(random.below(4))) ?? .none : role.stage
    return MessageHeader(
      kind, flags: kind == .input && random.below(6) == 0 ? .final : [], stage: stage,
      stream: kind == .input || kind == .ack ? StreamKind(rawValue: UInt8(1 + random.below(3))) ?? .none : .none,
      attempt: UInt16(random.below(3)), status: random.below(2) == 0 ? .unknownSession : .overloaded,
      requestID: requestID(random.below(6)), sessionID: session - random.below(3), sequence: UInt32(random.below(5)),
      budgetMilliseconds: UInt32(random.below(3)) * 200,
      bundle: random.below(10) == 0 ? bundleTwo.prefix : bundleOne.prefix)
  }

  @Test(arguments: 0..<60)
  func aClientBearsAnything(seed: UInt64) {
    var random = SplitMix(seed: seed &+ 1000)
    var machine = ClientMachine<NamedBulk>()
    var now = MonotonicTime(microseconds: 5_000_000)
    var session: UInt64 = 100
    var asked: [RequestID: MonotonicTime] = [:]
    var completed: [RequestID: Int] = [:]
    var next: UInt64 = 0
    func check(_ actions: [ClientAction<NamedBulk>]) {
      for action in actions {
        switch action {
        case .complete(let id, _): completed[id, default: 0] += 1
        case .snapshot(let id, _, _): #expect(completed[id] == nil, "a snapshot after the end, seed \(seed)")
        default: break
        }
      }
    }
    for _ in 0..<3000 {
      now += .microseconds(random.below(40_000))
      var actions: [ClientAction<NamedBulk>] = []
      let link = LinkID(rawValue: UInt32(random.below(3)))
      let event: ClientEvent<NamedBulk>
      switch random.below(16) {
      case 0: event = .added(link, name: "g")
      case 1: event = random.below(10) == 0 ? .removed(link) : .connected(link)
      case 2: event = .connected(link)
      case 3: event = random.below(4) == 0 ? .disconnected(link, reason: "x") : .connected(link)
      case 4, 5:
        session += 1
        event = .received(link, welcome(session: session))
      case 6, 7, 8:
        next += 1
        asked[requestID(next)] = now
        event = .rank(
          RankCall(
            id: requestID(next), request: RankRequest(userID: "u", count: 1),
            budget: .milliseconds(1 + random.below(2000))))
      case 9: event = .cancel(requestID(next &- random.below(5)))
      case 10: event = .status(requestID(9000 + random.below(5)), link, limit: .milliseconds(random.below(500)))
      default:
        let kinds: [MessageKind] = [.partial, .partial, .partial, .end, .end, .ping, .drain, .bye, .reject]
        let kind = kinds[Int(random.below(UInt64(kinds.count)))]
        let header = MessageHeader(
          kind, stream: kind == .partial ? .ranking : .none, attempt: UInt16(1 + random.below(3)),
          status: Status(rawValue: UInt16(random.below(18))), requestID: requestID(next &- random.below(4)),
          sessionID: session - random.below(3), sequence: UInt32(random.below(3)))
        let body: PeerMessage<NamedBulk>.Body
        switch kind {
        case .partial: body = .chunk("s")
        case .end:
          body = .end(
            RunEnd(retryAfterMilliseconds: UInt32(random.below(900))), ranking: random.below(2) == 0 ? "r" : nil)
        case .drain: body = random.below(20) == 0 ? .control(.drain(detail: nil)) : .control(.pong)
        case .bye: body = random.below(20) == 0 ? .control(.bye(detail: nil)) : .control(.pong)
        case .reject: body = .control(.reject(Reject()))
        default: body = .control(.ping)
        }
        event =
          random.below(30) == 0
          ? .refused(link, header, .failsRequest, detail: "d") : .received(link, PeerMessage(header, body))
      }
      machine.handle(event, now: now, into: &actions)
      while machine.nextTimer <= now { machine.handle(.timer, now: now, into: &actions) }
      check(actions)
    }
    var actions: [ClientAction<NamedBulk>] = []
    machine.handle(.close(cancelling: false), now: now, into: &actions)
    let end = now + .seconds(10)
    while machine.nextTimer <= end {
      now = max(now, machine.nextTimer)
      machine.handle(.timer, now: now, into: &actions)
    }
    check(actions)
    #expect(machine.isIdle)
    #expect(completed.count == asked.count, "each has an answer, seed \(seed)")
    #expect(completed.values.allSatisfy { $0 == 1 })
    #expect(machine.nextTimer == .distantFuture)
  }
}

extension SplitMix {
  /// 0 to `bound` - 1.
  fileprivate mutating func below(_ bound: UInt64) -> UInt64 { next() % max(bound, 1) }
}
