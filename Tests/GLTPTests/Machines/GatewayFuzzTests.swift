import GLTP
import Testing

/// Peers that mostly keep to the protocol and sometimes do anything at all, for 200,000 events.
@Suite struct GatewayFuzzTests {
  @Test(arguments: [UInt64(1), 2, 3, 4])
  func whateverPeersDoThePromisesHold(_ seed: UInt64) {
    var fuzz = GatewayFuzz(seed: seed)
    for _ in 0..<50_000 where fuzz.failures.isEmpty { fuzz.step() }
    fuzz.finish()
    #expect(fuzz.failures == [])
    // Enough of everything has happened for that to mean something.
    #expect(fuzz.machine.counters.accepted > 1000 && fuzz.machine.counters.replacements > 100)
    #expect(fuzz.machine.counters.retries > 50 && fuzz.machine.counters.late > 100)
    for status in [Status.ok, .deadline, .cancelled, .overloaded, .poisoned, .internal, .bundleGone, .unknownUser] {
      #expect(fuzz.machine.counters.endsByStatus[Int(status.rawValue)] > 0, "no END(\(status))")
    }
  }
}

/// The peers, and what they were promised.
private struct GatewayFuzz {
  /// A stream that the gateway sends, as its receiver sees it.
  struct Incoming {
    var received: UInt32 = 0
    var acknowledged: UInt32 = 0
    var isFinished = false
  }

  struct Run {
    var header: MessageHeader
    var made: (UInt32, UInt32) = (0, 0)
    var isFinished: (Bool, Bool) = (false, false)
    var instruction = Incoming()
    var candidates = Incoming()
  }

  struct Open {
    var id: RequestID
    var snapshots = Incoming()
  }

  struct Peer {
    var id: PeerID
    var session: UInt64
    var role: Role
    var window: UInt32
    // Workers
    var granted: UInt64 = 0
    var requests: UInt64 = 0
    var runs: [Run] = []
    // Clients: requests without END, and their snapshots
    var open: [Open] = []
  }

  var machine: GatewayMachine<GatewayTestPayload>
  var failures: [String] = []
  private var random: SplitMix
  private var now = MonotonicTime(microseconds: 5_000_000)
  private var actions: [GatewayAction<GatewayTestPayload>] = []
  private var peers: [Peer] = []
  private var tickets: [UInt64] = []
  private var peerNumber: UInt64 = 0
  private var requestNumber: UInt64 = 0
  private static let bundles = (1...3).map { BundleHash(words: [UInt64($0), 0, 0, 0]) }
  private static let maximumPeers = 24

  init(seed: UInt64) {
    random = SplitMix(seed: seed)
    var configuration = GatewayConfiguration()
    configuration.queueLimit = 12
    configuration.replayBytes = 4000
    configuration.maximumRequestsPerClient = 20
    configuration.maximumBundles = 4
    configuration.maximumDone = 500
    machine = GatewayMachine(configuration: configuration)
  }

  // MARK: Chance

  private mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
  private mutating func chance(_ one: Int) -> Bool { below(one) == 0 }
  private mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

  // MARK: Steps

  mutating func step() {
    if chance(4) { now += .microseconds(UInt64(below(20_000))) }
    if chance(300) { now += .milliseconds(UInt64(below(2500))) }
    if machine.nextTimer <= now, !chance(20) { handle(.timer) }
    if !tickets.isEmpty, chance(3) {
      handle(.verified(ticket: tickets.removeFirst(), isIntact: chance(2)))
    }
    guard peers.count >= 8, !chance(60) else { return connect() }
    let index = below(peers.count)
    switch below(1000) {
    case 0..<3: leave(index)
    case 3..<10: misbehave(index)
    case 10..<40: send(MessageHeader(.ping), .ping, index)
    default: if peers[index].role == .client { actAsClient(index) } else { actAsWorker(index) }
    }
  }

  /// Everybody behaves until all requests are over; then nothing must be left.
  mutating func finish() {
    for _ in 0..<700 {
      for peer in peers {
        guard let index = index(of: peer.id), index < peers.count else { continue }
        send(MessageHeader(.pong), .pong, index)
      }
      now += .seconds(1)
      handle(.timer)
    }
    while let ticket = tickets.popLast() { handle(.verified(ticket: ticket, isIntact: true)) }
    for peer in peers where !peer.open.isEmpty { fail("client \(peer.id) waits for \(peer.open.count) ENDs") }
    let footprint = machine.footprint
    if footprint.requests + footprint.waitingRequests + footprint.waitingRuns + footprint.heldBytes > 0
      || footprint.done + footprint.strangers + footprint.pendingStatuses > 0
    {
      fail("left over: \(footprint)")
    }
    if footprint.sessions != peers.count { fail("\(footprint.sessions) sessions of \(peers.count) peers") }
    for session in machine.report().sessions where session.role == .client && session.inFlight != 0 {
      fail("a client's list of requests is not empty")
    }
  }

  private mutating func connect() {
    guard peers.count < GatewayFuzz.maximumPeers else { return leave(below(peers.count)) }
    peerNumber += 1
    let role: Role = chance(4) ? .client : pick([.encoder, .aligner, .ranker])
    let id = PeerID(role == .client ? .clients : .workers, peerNumber)
    var limits = PeerLimits.mesh
    limits.window = UInt32(1 + below(5))
    let first = below(3)
    let bundles =
      role == .client ? [] : chance(3) ? [Self.bundles[first], Self.bundles[(first + 1) % 3]] : [Self.bundles[0]]
    let hello = Hello(
      role: role, limits: limits, bootID: chance(2) ? nil : BootID(high: 0, low: UInt64(below(4))),
      slots: role == .client ? nil : UInt32(1 + below(4)), bundles: bundles)
    peers.append(Peer(id: id, session: 0, role: role, window: min(limits.window, 4)))
    handle(.received(PeerMessage(MessageHeader(.hello), .control(.hello(hello))), from: id, authenticatedAs: nil))
  }

  private mutating func leave(_ index: Int) {
    let id = peers[index].id
    if chance(3) { send(MessageHeader(.bye), .bye(detail: nil), index) }
    peers.removeAll { $0.id == id }
    handle(.disconnected(id))
  }

  /// Something that no honest peer does.
  private mutating func misbehave(_ index: Int) {
    let id = peers[index].id
    switch below(8) {
    case 0: handle(.refused(.closesSession, randomHeader(index), from: id))
    case 1: handle(.refused(.failsRequest, chance(2) ? nil : randomHeader(index), from: id))
    case 2: handle(.refused(.overloaded, nil, from: id))
    case 3:
      handle(
        .received(randomMessage(index), from: PeerID(.workers, 1_000_000 + UInt64(below(3))), authenticatedAs: nil))
    case 4: handle(.verified(ticket: UInt64(below(100_000)), isIntact: chance(2)))
    default: handle(.received(randomMessage(index), from: id, authenticatedAs: nil))
    }
  }

  private mutating func randomHeader(_ index: Int) -> MessageHeader {
    let known = peers[index].runs.last?.header.requestID ?? peers[index].open.first?.id
    var header = MessageHeader(
      pick(MessageKind.allCases), flags: MessageFlags(rawValue: UInt8(below(128))), stage: pick(Stage.allCases),
      stream: pick(StreamKind.allCases), attempt: UInt16(below(4)), status: Status(rawValue: UInt16(below(40))),
      requestID: known ?? RequestID(high: 1, low: UInt64(below(1000))), sessionID: peers[index].session,
      sequence: chance(2) ? UInt32(below(6)) : .max, budgetMilliseconds: .max)
    if let run = peers[index].runs.last?.header, chance(2) {
      header.stage = run.stage
      header.attempt = run.attempt
      header.bundle = run.bundle
    }
    return header
  }

  private mutating func randomMessage(_ index: Int) -> GatewayTestMessage {
    let header = randomHeader(index)
    let payload = GatewayTestPayload(name: 0, byteCount: below(5000))
    switch header.kind {
    case .input, .partial: return PeerMessage(header, .chunk(payload))
    case .end: return PeerMessage(header, .end(RunEnd(), ranking: chance(2) ? payload : nil))
    case .credit: return PeerMessage(header, .control(.credit(total: peers[index].granted)))
    case .drain: return PeerMessage(header, .control(.drain(detail: nil)))
    case .ack: return PeerMessage(header, .control(.ack))
    case .cancel: return PeerMessage(header, .control(.cancel))
    case .request: return PeerMessage(header, .control(.run(RunRequest(count: 1, mode: .slots))))
    default: return PeerMessage(header, .control(.ping))
    }
  }

  // MARK: Clients

  private mutating func actAsClient(_ index: Int) {
    switch below(10) {
    case 0..<4: request(index)
    case 4:
      guard chance(4), let id = peers[index].open.randomElement(using: &random)?.id else { return }
      send(MessageHeader(.cancel, requestID: id), .cancel, index)
    case 5: send(MessageHeader(.status, requestID: RequestID(high: 9, low: 9)), .status, index)
    default:
      guard let open = peers[index].open.indices.randomElement(using: &random), !chance(3) else { return }
      let (id, count) = (peers[index].open[open].id, peers[index].open[open].snapshots.received)
      peers[index].open[open].snapshots.acknowledged = count
      let header = MessageHeader(.ack, stream: .ranking, attempt: 1, requestID: id, sequence: count)
      send(header, .ack, index)
    }
  }

  private mutating func request(_ index: Int) {
    var id = RequestID(high: 7, low: requestNumber + 1)
    if chance(10), let known = peers[index].open.randomElement(using: &random)?.id {
      id = known
    } else {
      requestNumber += 1
      peers[index].open.append(Open(id: id))
    }
    let header = MessageHeader(
      .request, flags: pick([[], .stream, [.stream, .canary]]), priority: pick(Priority.allCases), attempt: 1,
      requestID: id, budgetMilliseconds: pick([0, 1, 50, 2000, 40_000]),
      bundle: chance(8) ? pick(Self.bundles).prefix : .none)
    send(header, .rank(RankRequest(userID: "u", count: 5)), index)
  }

  // MARK: Workers

  private mutating func actAsWorker(_ index: Int) {
    if peers[index].granted < peers[index].requests + 3, chance(3) {
      peers[index].granted += UInt64(1 + below(2))
      return send(MessageHeader(.credit), .credit(total: peers[index].granted), index)
    }
    if chance(300) { return send(MessageHeader(.drain), .drain(detail: nil), index) }
    guard !peers[index].runs.isEmpty else { return }
    let run = chance(5) ? below(peers[index].runs.count) : peers[index].runs.count - 1
    switch below(12) {
    case 0..<6: make(run, index)
    case 6..<9: acknowledge(run, index)
    case 9: if chance(6) { end(run, index, pick((0...17).map { Status(rawValue: $0) })) }
    default: endIfComplete(run, index)
    }
  }

  private mutating func make(_ run: Int, _ index: Int) {
    let header = peers[index].runs[run].header
    let stream: StreamKind =
      header.stage == .ranker ? .ranking : header.stage == .encoder && !chance(3) ? .candidates : .instruction
    let isSecond = stream == .candidates
    let made = isSecond ? peers[index].runs[run].made.1 : peers[index].runs[run].made.0
    let isOver = isSecond ? peers[index].runs[run].isFinished.1 : peers[index].runs[run].isFinished.0
    guard !isOver || chance(200) else { return }
    let isFinal = stream == .instruction || isSecond && chance(3)
    if isSecond {
      peers[index].runs[run].made.1 += 1
      peers[index].runs[run].isFinished.1 = isFinal
    } else {
      peers[index].runs[run].made.0 += 1
      peers[index].runs[run].isFinished.0 = isFinal
    }
    let sequence = chance(100) ? UInt32(below(5)) : made
    var out = MessageHeader(
      .partial, flags: isFinal ? .final : [], stage: header.stage, stream: stream, attempt: header.attempt,
      requestID: header.requestID, sequence: sequence, bundle: header.bundle)
    out.sessionID = peers[index].session
    let payload = GatewayTestPayload(name: 1, byteCount: below(1500))
    handle(.received(PeerMessage(out, .chunk(payload)), from: peers[index].id, authenticatedAs: nil))
  }

  private mutating func acknowledge(_ run: Int, _ index: Int) {
    let header = peers[index].runs[run].header
    guard header.stage != .encoder else { return }
    let stream: StreamKind = header.stage == .ranker && chance(2) ? .candidates : .instruction
    let count: UInt32
    if stream == .candidates {
      count = peers[index].runs[run].candidates.received
      peers[index].runs[run].candidates.acknowledged = count
    } else {
      count = peers[index].runs[run].instruction.received
      peers[index].runs[run].instruction.acknowledged = count
    }
    let ack = MessageHeader(
      .ack, stage: header.stage, stream: stream, attempt: header.attempt, requestID: header.requestID, sequence: count)
    send(ack, .ack, index)
  }

  private mutating func endIfComplete(_ run: Int, _ index: Int) {
    let state = peers[index].runs[run]
    switch state.header.stage {
    case .encoder: if state.isFinished.0 && state.isFinished.1 { end(run, index, .ok) }
    case .aligner: if state.isFinished.0 { end(run, index, .ok) }
    default: if state.instruction.received > 0, state.candidates.isFinished { end(run, index, .ok) }
    }
  }

  private mutating func end(_ run: Int, _ index: Int, _ status: Status) {
    let state = peers[index].runs.remove(at: run)
    var end = RunEnd()
    end[timing: state.header.stage] = RunTiming(queue: .max, decode: 1, compute: 1, encode: 1)
    let hasRanking = state.header.stage == .ranker && status == .ok
    var header = MessageHeader(
      .end, stage: state.header.stage, attempt: state.header.attempt, status: status,
      requestID: state.header.requestID, sequence: UInt32(below(3)), bundle: state.header.bundle)
    header.sessionID = peers[index].session
    if status == .corrupt { header.stream = pick([.none, .instruction, .candidates]) }
    let ranking = hasRanking ? GatewayTestPayload(name: 2, byteCount: 50) : nil
    handle(.received(PeerMessage(header, .end(end, ranking: ranking)), from: peers[index].id, authenticatedAs: nil))
  }

  // MARK: The gateway's side

  private mutating func send(_ header: MessageHeader, _ body: MessageBody, _ index: Int) {
    var header = header
    header.sessionID = peers[index].session
    handle(.received(PeerMessage(header, .control(body)), from: peers[index].id, authenticatedAs: nil))
  }

  private mutating func handle(_ event: GatewayEvent<GatewayTestPayload>) {
    actions.removeAll(keepingCapacity: true)
    machine.handle(event, now: now, into: &actions)
    for action in actions {
      switch action {
      case .send(let message, let id): receive(message, id)
      case .close(let id): peers.removeAll { $0.id == id }
      case .verify(_, let ticket): tickets.append(ticket)
      case .report, .note: break
      case .drained: fail("drained unasked")
      }
    }
    if machine.footprint.done > 500 || machine.footprint.waitingRequests > 12 { fail("bounds: \(machine.footprint)") }
  }

  private mutating func fail(_ text: String) { if failures.count < 5 { failures.append(text) } }

  private func index(of id: PeerID) -> Int? { peers.firstIndex { $0.id == id } }

  private mutating func receive(_ message: GatewayTestMessage, _ id: PeerID) {
    guard let index = index(of: id) else {
      if message.header.kind != .reject, message.header.kind != .bye { fail("\(message.header.kind) to nobody") }
      return
    }
    let header = message.header
    switch header.kind {
    case .welcome: peers[index].session = header.sessionID
    case .reject where peers[index].session == 0, .bye: peers.remove(at: index)
    case .request: receiveRequest(header, index)
    case .input: receiveInput(header, index)
    case .partial: receiveSnapshot(header, index)
    case .end:
      let open = peers[index].open.count
      peers[index].open.removeAll { $0.id == header.requestID }
      if peers[index].open.count != open - 1 { fail("an END too many to \(id)") }
      let mayRank = header.status == .ok || header.status == .deadline || header.status == .cancelled
      if case .end(_, let ranking) = message.body, ranking == nil ? header.status == .ok : !mayRank {
        fail("END(\(header.status)) with the wrong ranking")
      }
    // Half of the workers do not hear it in time.
    case .cancel where chance(2):
      peers[index].runs.removeAll { $0.header.requestID == header.requestID && $0.header.attempt == header.attempt }
    default: break
    }
    if header.kind != .reject, index < peers.count, peers[index].id == id, header.sessionID != peers[index].session {
      fail("a message of another session")
    }
  }

  private mutating func receiveRequest(_ header: MessageHeader, _ index: Int) {
    peers[index].requests += 1
    if peers[index].requests > peers[index].granted { fail("more REQUESTs than credit") }
    if header.budgetMilliseconds == 0 || header.stage != peers[index].role.stage { fail("a REQUEST out of place") }
    if peers[index].runs.contains(where: {
      $0.header.requestID == header.requestID && $0.header.attempt == header.attempt
    }) {
      fail("the same run twice")
    }
    peers[index].runs.append(Run(header: header))
    // A worker that forgets runs is no worse than one that never ends them.
    if peers[index].runs.count > 12 { peers[index].runs.removeFirst() }
  }

  private mutating func receiveInput(_ header: MessageHeader, _ index: Int) {
    guard
      let run = peers[index].runs.firstIndex(where: {
        $0.header.requestID == header.requestID && $0.header.attempt == header.attempt
      })
    else { return }
    let window = peers[index].window
    if header.stream == .candidates {
      note(Self.judge(&peers[index].runs[run].candidates, header, window))
    } else {
      note(Self.judge(&peers[index].runs[run].instruction, header, window))
    }
  }

  private mutating func receiveSnapshot(_ header: MessageHeader, _ index: Int) {
    guard let open = peers[index].open.firstIndex(where: { $0.id == header.requestID }) else {
      return fail("a snapshot after the END")
    }
    note(Self.judge(&peers[index].open[open].snapshots, header, peers[index].window))
  }

  private mutating func note(_ problem: String?) { if let problem { fail(problem) } }

  /// Takes a chunk, and says what is wrong with it.
  private static func judge(_ stream: inout Incoming, _ header: MessageHeader, _ window: UInt32) -> String? {
    var problem: String?
    if header.sequence != stream.received { problem = "a gap" }
    if stream.isFinished { problem = "a chunk after FINAL" }
    stream.received += 1
    stream.isFinished = header.flags.contains(.final)
    if stream.received - stream.acknowledged > window { problem = "a chunk beyond the window" }
    return problem.map { "\($0) in \(header.kind) \(header.stage) \(header.stream)" }
  }
}
