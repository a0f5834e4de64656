import GLTP
import Mesh
import MeshTestSupport
import Synchronization
import Testing

/// A gateway driven by hand, for the tests of workers and clients: a listener and the codec, and no state machine. Says
/// WELCOME and PONG by itself unless told not to.
final class ScriptedGateway: @unchecked Sendable {
  /// A message of a peer.
  struct Heard: Sendable {
    let message: Message
    let at: ContinuousClock.Instant
    var header: MessageHeader { message.header }
    var kind: MessageKind { message.header.kind }
  }

  private final class Codec {
    var encoder: MessageEncoder
    var decoder: MessageDecoder
    init(_ pool: BufferPool) {
      encoder = MessageEncoder(pool: pool)
      decoder = MessageDecoder(pool: pool, limits: .mesh)
    }
  }

  let buffers = BufferPool()
  let heard = Recorder<Heard>()
  private let greets = Atomic<Bool>(true)
  private let pongs = Atomic<Bool>(true)
  private let sessions = Atomic<UInt64>(0)
  private let gone = Atomic<Int>(0)
  private let cursor = Mutex(0)
  private let loop: EventLoop
  private let welcome: Welcome
  // On the loop's thread:
  private let codec: Codec
  private var listener: Listener?
  private var peer: Peer?

  private init(_ loop: EventLoop, _ welcome: Welcome) {
    self.loop = loop
    self.welcome = welcome
    codec = Codec(buffers)
  }

  /// A gateway that listens on `endpoint`.
  static func start(
    _ loop: EventLoop, on endpoint: Endpoint = Endpoint(tcp: "127.0.0.1", port: 0), heartbeat: UInt32 = 2_000,
    expiry: UInt32 = 6_000, greets: Bool = true, security: ListenerSecurity = .open(allowPublic: false)
  ) async throws -> ScriptedGateway {
    let gateway = ScriptedGateway(
      loop, Welcome(heartbeatMilliseconds: heartbeat, expiryMilliseconds: expiry, peerID: "scripted"))
    gateway.greets.store(greets, ordering: .relaxed)
    try await loop.run {
      gateway.listener = try Listener(on: endpoint, loop: loop, security: security, limits: .mesh, timings: .quick) {
        [weak gateway] _, event in gateway?.take(event)
      }
    }
    return gateway
  }

  var endpoint: Endpoint { get async throws { try #require(try await loop.run { self.listener?.endpoint }) } }
  /// Sessions that were opened.
  var sessionCount: UInt64 { sessions.load(ordering: .relaxed) }
  /// Peers that are gone.
  var goneCount: Int { gone.load(ordering: .relaxed) }
  func stopPongs() { pongs.store(false, ordering: .relaxed) }
  func close() async throws { try await loop.run { self.listener?.close() } }

  private func take(_ event: ListenerEvent) {
    switch event {
    case .peerArrived(let peer): self.peer = peer
    case .peerGone: gone.add(1, ordering: .relaxed)
    case .message(let multipart, let peer):
      do throws(FrameError) {
        let message = try multipart.withParts { parts throws(FrameError) in try codec.decoder.decode(parts) }
        self.peer = peer
        if case .ping = message.body, pongs.load(ordering: .relaxed) {
          sendOnLoop(MessageHeader(.pong, sequence: message.header.sequence), .pong)
        }
        if case .hello = message.body, greets.load(ordering: .relaxed) {
          sessions.add(1, ordering: .relaxed)
          sendOnLoop(MessageHeader(.welcome), .welcome(welcome))
        }
        heard.add(Heard(message: message, at: .now))
      } catch { Issue.record("a peer's message cannot be read: \(error)") }
    default: break
    }
  }

  /// Sends in the newest session to the peer that was heard last.
  private func sendOnLoop(_ header: MessageHeader, _ body: MessageBody, damaging part: Int? = nil) {
    var header = header
    header.sessionID = sessionCount
    var parts = MessageParts()
    do throws(FrameError) {
      try codec.encoder.encode(Message(header: header, body: body), into: &parts)
    } catch { Issue.record("a test's message cannot be encoded: \(error)") }
    let multipart = Multipart()
    for index in 0..<parts.count {
      var bytes = Array(parts[index].bytes)
      if index == part { bytes[bytes.count / 2] ^= 0x10 }
      multipart.append(copying: bytes)
    }
    if let peer { _ = listener?.send(multipart, to: peer) }
  }

  /// - Parameter part: one whose bytes are damaged.
  func send(_ header: MessageHeader, _ body: MessageBody, damaging part: Int? = nil) async throws {
    try await loop.run { self.sendOnLoop(header, body, damaging: part) }
  }

  /// Drops the connection of the peer that was heard last.
  func disconnect() async throws {
    try await loop.run { if let peer = self.peer { self.listener?.disconnect(peer) } }
  }

  // MARK: Hearing

  /// The next message of a kind, after those taken before; others between are skipped.
  @discardableResult
  func next(
    _ kind: MessageKind, _ deadline: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    where condition: (Heard) -> Bool = { _ in true }
  ) async throws -> Heard {
    var found: Heard?
    try await eventually(deadline, "\(kind); heard \(kinds)", sourceLocation: sourceLocation) {
      let all = heard.all
      cursor.withLock { cursor in
        while found == nil, cursor < all.count {
          if all[cursor].kind == kind, condition(all[cursor]) { found = all[cursor] }
          cursor += 1
        }
      }
      return found != nil
    }
    return try #require(found)
  }

  var kinds: [MessageKind] { heard.all.map(\.kind) }
  func all(_ kind: MessageKind) -> [Heard] { heard.all.filter { $0.kind == kind } }

  /// Makes sure that nothing of a kind comes for a while.
  func expectNo(
    _ kind: MessageKind, for time: Duration = .milliseconds(100), sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let before = all(kind).count
    try await Task.sleep(for: time)
    #expect(all(kind).count == before, "a \(kind) came", sourceLocation: sourceLocation)
  }

  // MARK: Runs

  /// Opens a run.
  func request(
    _ stage: Stage, _ id: UInt64, bundle: BundleHash = Probe.bundle, budget: UInt32 = 10_000,
    flags: MessageFlags = [.stream]
  ) async throws {
    let header = MessageHeader(
      .request, flags: flags, stage: stage, attempt: 1, requestID: RequestID(high: 0, low: id),
      budgetMilliseconds: budget, bundle: bundle.prefix)
    let body: MessageBody =
      stage == .encoder
      ? .rank(RankRequest(userID: "u1", count: 3)) : .run(RunRequest(userID: "u1", count: 3, mode: .slots))
    try await send(header, body)
  }

  /// Sends a chunk of candidates to a ranker.
  func candidates(
    _ id: UInt64, _ sequence: UInt32, isFinal: Bool = false, damaging part: Int? = nil
  ) async throws {
    let chunk = CandidateChunk(
      ids: buffers.vector(.candidateIDs, [Int32(sequence), Int32(sequence) + 1]),
      prior: buffers.vector(.candidatePrior, [Float(sequence), 1]), total: 0)
    try await input(id, .candidates, .candidates(chunk), sequence, isFinal: isFinal, damaging: part)
  }

  /// Sends the prompt to a ranker.
  func prompt(_ id: UInt64) async throws {
    let soft = buffers.vector(.softPositions, [Int32]())
    let prompt = Prompt(
      tokenIDs: buffers.vector(.tokenIDs, [Int32(1)]), softTokens: buffers.tensor(.softTokens, .bf16, WireShape(0, 4)),
      softPositions: soft, slotPositions: buffers.vector(.slotPositions, [Int32(0)]))
    try await input(id, .instruction, .prompt(prompt), 0, isFinal: true)
  }

  private func input(
    _ id: UInt64, _ stream: StreamKind, _ chunk: StreamChunk, _ sequence: UInt32, isFinal: Bool,
    damaging part: Int? = nil
  ) async throws {
    let header = MessageHeader(
      .input, flags: isFinal ? .final : [], stage: .ranker, stream: stream, attempt: 1,
      requestID: RequestID(high: 0, low: id), sequence: sequence, budgetMilliseconds: 10_000,
      bundle: Probe.bundle.prefix)
    try await send(header, .input(chunk), damaging: part)
  }

  func acknowledge(_ stage: Stage, _ id: UInt64, _ stream: StreamKind, _ count: UInt32) async throws {
    let header = MessageHeader(
      .ack, stage: stage, stream: stream, attempt: 1, requestID: RequestID(high: 0, low: id), sequence: count,
      bundle: Probe.bundle.prefix)
    try await send(header, .ack)
  }

  func cancel(_ stage: Stage, _ id: UInt64) async throws {
    let header = MessageHeader(
      .cancel, stage: stage, attempt: 1, requestID: RequestID(high: 0, low: id), bundle: Probe.bundle.prefix)
    try await send(header, .cancel)
  }

  // MARK: Clients

  /// A ranking of some items.
  func ranking(_ items: [String], seen: UInt32 = 2, total: UInt32 = 10) throws -> RankingSnapshot {
    RankingSnapshot(
      items: try buffers.strings(.rankingItems, items),
      scores: buffers.vector(.rankingScores, items.indices.map { Float(10 - $0) }), itemsSeen: seen, itemsTotal: total)
  }

  /// Answers a client's request with a snapshot.
  func snapshot(_ request: Heard, _ sequence: UInt32, _ items: [String]) async throws {
    let header = MessageHeader(
      .partial, stream: .ranking, attempt: request.header.attempt, requestID: request.header.requestID,
      sequence: sequence)
    try await send(header, .partial(.ranking(try ranking(items))))
  }

  /// Answers a client's request with END.
  func end(_ request: Heard, _ status: Status, _ items: [String]? = nil, retryAfter: UInt32? = nil) async throws {
    let isIncomplete = items != nil && status != .ok
    let header = MessageHeader(
      .end, flags: isIncomplete ? .incomplete : [], attempt: request.header.attempt, status: status,
      requestID: request.header.requestID)
    let end = RunEnd(
      ranking: try items.map { try ranking($0) }, retryAfterMilliseconds: retryAfter,
      detail: status == .ok ? nil : "scripted")
    try await send(header, .end(end))
  }
}

/// A stage whose every step the test decides: `body` is the run.
struct Probe: StageHandler {
  static let bundle = BundleHash(words: [0xB0B0, 1, 2, 3])
  let stage: Stage
  let body: @Sendable (any ProbeExchange) throws(StageFailure) -> Void

  var bundle: BundleHash { Probe.bundle }

  init(_ stage: Stage, _ body: @escaping @Sendable (any ProbeExchange) throws(StageFailure) -> Void) {
    self.stage = stage
    self.body = body
  }

  func makeScratch() {}

  func run(_ exchange: some StageExchange, scratch: inout Void) throws(StageFailure) {
    try body(ExchangeBox(exchange))
  }
}

/// A `StageExchange` that closures can take.
protocol ProbeExchange: StageExchange {}

private struct ExchangeBox<Exchange: StageExchange>: ProbeExchange {
  let exchange: Exchange
  init(_ exchange: Exchange) { self.exchange = exchange }

  var request: StageRequest { exchange.request }
  var flags: MessageFlags { exchange.flags }
  var buffers: BufferPool { exchange.buffers }
  func receive() throws(StageFailure) -> StreamChunk? { try exchange.receive() }
  func send(_ chunk: StreamChunk, isFinal: Bool, flags: MessageFlags) throws(StageFailure) {
    try exchange.send(chunk, isFinal: isFinal, flags: flags)
  }
  func check() throws(StageFailure) { try exchange.check() }
  func end(_ ranking: RankingSnapshot?) throws(StageFailure) { try exchange.end(ranking) }
}

extension StageExchange {
  /// A ranking of one item.
  func ranking(_ item: String, seen: UInt32 = 1) -> RankingSnapshot {
    // An id of ours always fits.
    RankingSnapshot(
      items: try! buffers.strings(.rankingItems, [item]), scores: buffers.vector(.rankingScores, [Float(seen)]),
      itemsSeen: seen, itemsTotal: 0)
  }

  /// A chunk of one candidate.
  func candidate(_ item: Int32) -> StreamChunk {
    .candidates(
      CandidateChunk(
        ids: buffers.vector(.candidateIDs, [item]), prior: buffers.vector(.candidatePrior, [Float(item)]), total: 0))
  }

  var instruction: StreamChunk {
    .instruction(
      InstructionInput(
        userVector: buffers.vector(.userVector, [Float(1)]), history: buffers.vector(.history, [Int32]())))
  }
}

/// Whether something has happened, from any thread.
final class Sign: Sendable {
  private let value = Atomic<Int>(0)
  var count: Int { value.load(ordering: .acquiring) }
  var isGiven: Bool { count > 0 }
  func give() { value.add(1, ordering: .acquiringAndReleasing) }
}
