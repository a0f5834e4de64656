import GLTP
import Testing

/// A payload that is only a name.
struct GatewayTestPayload: ChunkPayload, Hashable {
  var name: Int
  var byteCount = 100
}

typealias GatewayTestMessage = PeerMessage<GatewayTestPayload>

/// A gateway's machine with a manual clock, and peers that do what a test says.
final class GatewayHarness {
  /// A peer with a session.
  struct Peer {
    var id: PeerID
    var session: UInt64
    var role: Role
  }

  var machine: GatewayMachine<GatewayTestPayload>
  var now = MonotonicTime(microseconds: 1_000_000)
  /// What was sent to each peer and not yet taken by the test.
  var sent: [PeerID: [GatewayTestMessage]] = [:]
  var closed: Set<PeerID> = []
  var verifications: [(payload: GatewayTestPayload, ticket: UInt64)] = []
  var reports: [(report: GatewayReport, header: MessageHeader, peer: PeerID)] = []
  var notes: [GatewayNote] = []
  var hasDrained = false
  private var peers: UInt64 = 0
  private var payloads = 0

  static let bundle = BundleHash(words: [0xAAAA, 1, 2, 3])
  static let otherBundle = BundleHash(words: [0xBBBB, 1, 2, 3])

  init(_ configure: (inout GatewayConfiguration) -> Void = { _ in }) {
    var configuration = GatewayConfiguration()
    configure(&configuration)
    machine = GatewayMachine(configuration: configuration)
  }

  // MARK: Events

  func handle(_ event: GatewayEvent<GatewayTestPayload>) {
    var actions: [GatewayAction<GatewayTestPayload>] = []
    machine.handle(event, now: now, into: &actions)
    for action in actions {
      switch action {
      case .send(let message, let peer): sent[peer, default: []].append(message)
      case .close(let peer): closed.insert(peer)
      case .verify(let payload, let ticket): verifications.append((payload, ticket))
      case .report(let report, let header, let peer): reports.append((report, header, peer))
      case .note(let note): notes.append(note)
      case .drained: hasDrained = true
      }
    }
  }

  /// Lets time pass, firing timers when they are due.
  func pass(_ duration: MonotonicDuration) {
    let end = now + duration
    while machine.nextTimer <= end {
      now = max(now, machine.nextTimer)
      handle(.timer)
    }
    now = end
  }

  /// Lets time pass while some peers prove that they live.
  func pass(_ duration: MonotonicDuration, alive: [Peer]) {
    let end = now + duration
    while now < end {
      for peer in alive { send(MessageHeader(.pong), .pong, from: peer) }
      pass(min(end.since(now), .seconds(1)))
    }
  }

  func newPeer(_ listener: PeerID.Listener) -> PeerID {
    peers += 1
    return PeerID(listener, peers)
  }

  func newPayload(bytes: Int = 100) -> GatewayTestPayload {
    payloads += 1
    return GatewayTestPayload(name: payloads, byteCount: bytes)
  }

  /// Says HELLO, and takes the answer.
  @discardableResult
  func hello(_ hello: Hello, as peer: PeerID, key: Role? = nil) -> GatewayTestMessage? {
    handle(
      .received(PeerMessage(MessageHeader(.hello), .control(.hello(hello))), from: peer, authenticatedAs: key))
    return take(peer).first
  }

  func client(window: UInt32 = 4) -> Peer {
    let peer = newPeer(.clients)
    var limits = PeerLimits.mesh
    limits.window = window
    let welcome = hello(Hello(role: .client, limits: limits), as: peer)
    return Peer(id: peer, session: welcome?.header.sessionID ?? 0, role: .client)
  }

  /// A worker with so much credit; `process` tells apart those that are restarted from those that reconnect.
  func worker(
    _ role: Role, credit: UInt64 = 4, slots: UInt32 = 4, window: UInt32 = 4,
    bundles: [BundleHash] = [GatewayHarness.bundle],
    process: UInt64? = nil
  ) -> Peer {
    let id = newPeer(.workers)
    var limits = PeerLimits.mesh
    limits.window = window
    let boot = process.map { BootID(high: 1, low: $0) }
    let welcome = hello(
      Hello(role: role, limits: limits, bootID: boot, slots: slots, bundles: bundles), as: id)
    let peer = Peer(id: id, session: welcome?.header.sessionID ?? 0, role: role)
    if credit > 0 { self.credit(credit, from: peer) }
    return peer
  }

  func send(_ header: MessageHeader, _ body: MessageBody, from peer: Peer) {
    send(PeerMessage(header, .control(body)), from: peer)
  }

  func send(_ message: GatewayTestMessage, from peer: Peer) {
    var message = message
    message.header.sessionID = peer.session
    handle(.received(message, from: peer.id, authenticatedAs: nil))
  }

  func credit(_ total: UInt64, from peer: Peer) {
    send(MessageHeader(.credit), .credit(total: total), from: peer)
  }

  // MARK: What was sent

  /// Takes what was sent to a peer.
  func take(_ peer: PeerID) -> [GatewayTestMessage] { sent.removeValue(forKey: peer) ?? [] }
  func take(_ peer: Peer) -> [GatewayTestMessage] { take(peer.id) }
  func take(_ peer: Peer, _ kind: MessageKind) -> [GatewayTestMessage] {
    take(peer).filter { $0.header.kind == kind }
  }

  // MARK: Clients

  static func id(_ number: UInt64) -> RequestID { RequestID(high: 0x0190, low: number) }

  func request(
    _ number: UInt64 = 1, from client: Peer, flags: MessageFlags = [], priority: Priority = .normal,
    attempt: UInt16 = 1, budget: UInt32 = 0, bundle: BundlePrefix = .none
  ) {
    let header = MessageHeader(
      .request, flags: flags, priority: priority, attempt: attempt, requestID: Self.id(number),
      budgetMilliseconds: budget, bundle: bundle)
    send(header, .rank(RankRequest(userID: "u", count: 10)), from: client)
  }

  func cancel(_ number: UInt64 = 1, from client: Peer) {
    send(MessageHeader(.cancel, requestID: Self.id(number)), .cancel, from: client)
  }

  func ackRanking(_ count: UInt32, _ number: UInt64 = 1, attempt: UInt16 = 1, from client: Peer) {
    let header = MessageHeader(
      .ack, stream: .ranking, attempt: attempt, requestID: Self.id(number), sequence: count)
    send(header, .ack, from: client)
  }

  // MARK: Workers

  /// The header of the next REQUEST that was sent to a worker; all that was sent to it is taken.
  func run(_ worker: Peer, _ comment: Comment? = nil) throws -> MessageHeader {
    try #require(take(worker, .request).first, comment).header
  }

  /// A worker sends a chunk of its run.
  @discardableResult
  func chunk(
    _ stream: StreamKind, _ sequence: UInt32 = 0, final: Bool = true, flags: MessageFlags = [], bytes: Int = 100,
    of run: MessageHeader, from worker: Peer
  ) -> GatewayTestPayload {
    let payload = newPayload(bytes: bytes)
    let header = MessageHeader(
      .partial, flags: final ? flags.union(.final) : flags, stage: run.stage, stream: stream, attempt: run.attempt,
      requestID: run.requestID, sequence: sequence, bundle: run.bundle)
    send(PeerMessage(header, .chunk(payload)), from: worker)
    return payload
  }

  @discardableResult
  func snapshot(
    _ sequence: UInt32, flags: MessageFlags = [], of run: MessageHeader, from worker: Peer
  ) -> GatewayTestPayload {
    chunk(.ranking, sequence, final: false, flags: flags, of: run, from: worker)
  }

  func ack(_ stream: StreamKind, _ count: UInt32, of run: MessageHeader, from worker: Peer) {
    let header = MessageHeader(
      .ack, stage: run.stage, stream: stream, attempt: run.attempt, requestID: run.requestID, sequence: count)
    send(header, .ack, from: worker)
  }

  @discardableResult
  func end(
    _ status: Status = .ok, of run: MessageHeader, from worker: Peer, stream: StreamKind = .none, sequence: UInt32 = 0,
    ranking: Bool? = nil, flags: MessageFlags = []
  ) -> GatewayTestPayload? {
    let payload = ranking ?? (run.stage == .ranker && status == .ok) ? newPayload() : nil
    var end = RunEnd()
    if status == .ok {
      end[timing: run.stage] = RunTiming(attempt: run.attempt, queue: 10, decode: 20, compute: 30, encode: 40)
    }
    let header = MessageHeader(
      .end, flags: flags, stage: run.stage, stream: stream, attempt: run.attempt, status: status,
      requestID: run.requestID, sequence: sequence, bundle: run.bundle)
    send(PeerMessage(header, .end(end, ranking: payload)), from: worker)
    return payload
  }

  /// An encoder makes all that it makes, and ends.
  func encode(_ run: MessageHeader, from encoder: Peer, chunks: UInt32 = 1) {
    chunk(.instruction, of: run, from: encoder)
    for index in 0..<chunks { chunk(.candidates, index, final: index == chunks - 1, of: run, from: encoder) }
    end(of: run, from: encoder)
  }

  /// An aligner makes all that it makes, and ends.
  func align(_ run: MessageHeader, from aligner: Peer) {
    chunk(.instruction, of: run, from: aligner)
    end(of: run, from: aligner)
  }
}

/// A gateway with a client and one worker of each stage.
final class SmallMesh {
  var h: GatewayHarness
  var client: GatewayHarness.Peer
  var encoder: GatewayHarness.Peer
  var aligner: GatewayHarness.Peer
  var ranker: GatewayHarness.Peer

  init(
    credit: UInt64 = 4, clientWindow: UInt32 = 4, bundles: [BundleHash] = [GatewayHarness.bundle],
    _ configure: (inout GatewayConfiguration) -> Void = { _ in }
  ) {
    h = GatewayHarness(configure)
    encoder = h.worker(.encoder, credit: credit, bundles: bundles)
    aligner = h.worker(.aligner, credit: credit, bundles: bundles)
    ranker = h.worker(.ranker, credit: credit, bundles: bundles)
    client = h.client(window: clientWindow)
    h.notes.removeAll()
  }

  var all: [GatewayHarness.Peer] { [client, encoder, aligner, ranker] }

  /// Brings a request to where the ranker has all its input.
  func reachRanker(
    _ number: UInt64 = 1, flags: MessageFlags = [], budget: UInt32 = 0, chunks: UInt32 = 1
  ) throws -> (encoder: MessageHeader, aligner: MessageHeader, ranker: MessageHeader) {
    h.request(number, from: client, flags: flags, budget: budget)
    let e = try h.run(encoder)
    h.encode(e, from: encoder, chunks: chunks)
    let a = try h.run(aligner)
    h.align(a, from: aligner)
    let r = try #require(h.sent[ranker.id]?.first { $0.header.kind == .request }).header
    return (e, a, r)
  }

  /// The END that the client got; everything sent to it is taken.
  func clientEnd(_ comment: Comment? = nil) throws -> (header: MessageHeader, end: RunEnd, ranking: GatewayTestPayload?)
  {
    let ends = h.take(client, .end)
    try #require(ends.count == 1, comment)
    guard case .end(let end, let ranking) = ends[0].body else { throw NoEnd() }
    return (ends[0].header, end, ranking)
  }

  struct NoEnd: Error {}
}
