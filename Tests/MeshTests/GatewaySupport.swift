import GLTP
import Logging
import Mesh
import Synchronization
import Testing

/// All tests of the gateway, one at a time: some measure the memory of the process.
@Suite(.serialized, .alone, .timeLimit(.minutes(3)))
struct GatewayTests {}

/// A message as a peer of the gateway received it.
struct Received: Sendable {
  var message: Message
  var bytes: [[UInt8]]
  var header: MessageHeader { message.header }
}

/// What happened to a peer of the gateway.
enum PeerHeard: Sendable {
  case connected
  case disconnected
  case message(Received)
  case undecodable(FrameError)
  case handshakeFailed(HandshakeFailure)
}

/// A client or a worker driven by hand: a socket and the codec, and no state machine. Answers PING unless told not to.
///
/// Its async functions are not inlined: Swift 6.3 writes beyond the frames of tests that have grown by many of them.
final class HandPeer: @unchecked Sendable {
  let heard = Recorder<PeerHeard>()
  let buffers = BufferPool()
  private let loop: EventLoop
  private let codec: Mutex<Codec>
  private let answersPings: Bool
  private let cursor = Mutex(0)
  private var dialer: Dialer?
  private let session = Mutex<UInt64>(0)

  private final class Codec {
    var encoder: MessageEncoder
    var decoder: MessageDecoder

    init(_ pool: BufferPool) {
      encoder = MessageEncoder(pool: pool)
      decoder = MessageDecoder(pool: pool, limits: .mesh)
    }
  }

  var sessionID: UInt64 { session.withLock { $0 } }

  init(
    _ endpoint: Endpoint, _ loop: EventLoop, security: DialerSecurity = .open(allowPublic: false),
    answersPings: Bool = true
  ) async throws {
    self.loop = loop
    self.answersPings = answersPings
    codec = Mutex(Codec(buffers))
    dialer = try await loop.run {
      try Dialer(to: endpoint, loop: loop, security: security, timings: .quick) { [weak self] _, event in
        self?.take(event)
      }
    }
  }

  private func take(_ event: DialerEvent) {
    switch event {
    case .connected: heard.add(.connected)
    case .disconnected: heard.add(.disconnected)
    case .handshakeFailed(let failure): heard.add(.handshakeFailed(failure))
    case .message(let multipart):
      do throws(FrameError) {
        let message = try codec.withLock { codec throws(FrameError) in
          try multipart.withParts { parts throws(FrameError) in try codec.decoder.decode(parts) }
        }
        if case .ping = message.body {
          guard answersPings else { return heard.add(.message(Received(message: message, bytes: multipart.bytes))) }
          let pong = MessageHeader(.pong, sessionID: sessionID, sequence: message.header.sequence)
          return sendOnLoop(bytes(Message(header: pong, body: .pong)))
        }
        if case .welcome = message.body { session.withLock { $0 = message.header.sessionID } }
        heard.add(.message(Received(message: message, bytes: multipart.bytes)))
      } catch {
        heard.add(.undecodable(error))
      }
    case .offence, .retrying, .unparked: break
    }
  }

  // MARK: Sending

  /// A message's parts.
  func bytes(_ message: Message) -> [[UInt8]] {
    codec.withLock { codec in
      var parts = MessageParts()
      do throws(FrameError) {
        try codec.encoder.encode(message, into: &parts)
      } catch {
        Issue.record("a test's message cannot be encoded: \(error)")
      }
      return (0..<parts.count).map { Array(parts[$0].bytes) }
    }
  }

  private func sendOnLoop(_ parts: [[UInt8]]) {
    let multipart = Multipart()
    for part in parts { multipart.append(copying: part) }
    _ = dialer?.send(multipart)
  }

  @inline(never)
  func send(raw parts: [[UInt8]]) async throws { try await loop.run { self.sendOnLoop(parts) } }

  /// Sends a message in this peer's session, after `change` has had its way with the bytes.
  @inline(never)
  func send(
    _ header: MessageHeader, _ body: MessageBody, session: UInt64? = nil, change: ([[UInt8]]) -> [[UInt8]] = { $0 }
  ) async throws {
    var header = header
    header.sessionID = session ?? sessionID
    try await send(raw: change(bytes(Message(header: header, body: body))))
  }

  @inline(never)
  func close() async throws { try await loop.run { self.dialer?.close() } }

  // MARK: Receiving

  /// The next event that `pick` takes, after those taken before; the others between are skipped.
  @discardableResult
  @inline(never)
  func next<Value: Sendable>(
    _ what: String, _ deadline: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    _ pick: (PeerHeard) -> Value?
  ) async throws -> Value {
    var found: Value?
    try await eventually(deadline, "\(what); heard \(summary)", sourceLocation: sourceLocation) {
      let events = heard.all
      cursor.withLock { cursor in
        while found == nil, cursor < events.count {
          found = pick(events[cursor])
          cursor += 1
        }
      }
      return found != nil
    }
    return try #require(found, sourceLocation: sourceLocation)
  }

  /// The next message of a kind.
  @inline(never)
  func next(
    _ kind: MessageKind, _ deadline: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    where isWanted: (MessageHeader) -> Bool = { _ in true }
  ) async throws -> Received {
    try await next("\(kind)", deadline, sourceLocation: sourceLocation) { event in
      if case .message(let received) = event, received.header.kind == kind, isWanted(received.header) {
        received
      } else {
        nil
      }
    }
  }

  /// Messages of a kind received so far, looked at or not.
  func all(_ kind: MessageKind) -> [Received] {
    heard.all.compactMap { if case .message(let received) = $0, received.header.kind == kind { received } else { nil } }
  }

  private var summary: String {
    heard.all.suffix(12).map { event in
      switch event {
      case .message(let received):
        "\(received.header.kind) stage \(received.header.stage.rawValue) status \(received.header.status)"
      case .connected: "connected"
      case .disconnected: "disconnected"
      case .undecodable(let error): "\(error)"
      case .handshakeFailed(let failure): "\(failure)"
      }
    }.joined(separator: ", ")
  }

  // MARK: Sessions

  @inline(never)
  func connected() async throws {
    try await next("a connection") { if case .connected = $0 { true } else { nil } }
  }

  @inline(never)
  func disconnected(_ deadline: Duration = .seconds(10)) async throws {
    try await next("the end of the connection", deadline) { if case .disconnected = $0 { true } else { nil } }
  }

  @discardableResult
  @inline(never)
  func greet(_ hello: Hello) async throws -> Welcome {
    try await send(MessageHeader(.hello), .hello(hello), session: 0)
    let received = try await next(.welcome)
    guard case .welcome(let welcome) = received.message.body else { throw Timeout() }
    return welcome
  }
}

/// A gateway for tests with its peers' thread.
struct GatewayFixture {
  let gateway: Gateway
  let loop: EventLoop
  let log: LogRecorder
  static let bundle = BundleHash(words: SIMD4(0x0102_0304_0506_0708, 2, 3, 4))

  @inline(never)
  func client(answersPings: Bool = true) async throws -> HandPeer {
    let peer = try await HandPeer(#require(gateway.clientEndpoint), loop, answersPings: answersPings)
    try await peer.connected()
    try await peer.greet(Hello(role: .client))
    return peer
  }

  /// A worker that has said HELLO and given credit.
  @inline(never)
  func worker(
    _ role: Role, name: String = "worker", bundle: BundleHash = bundle, credit: UInt64 = 4, answersPings: Bool = true
  ) async throws -> HandPeer {
    let peer = try await HandPeer(#require(gateway.workerEndpoint), loop, answersPings: answersPings)
    try await peer.connected()
    let boot = BootID(high: .random(in: 1 ... .max), low: .random(in: 1 ... .max))
    try await peer.greet(
      Hello(role: role, peerID: WireText(name), bootID: boot, build: "test", slots: 4, bundles: [bundle]))
    try await peer.send(MessageHeader(.credit), .credit(total: credit))
    return peer
  }

  /// Waits until the gateway serves.
  @inline(never)
  func ready() async throws {
    try await eventually { await gateway.status()?.isReady ?? false }
  }

  @inline(never)
  func status() async throws -> Gateway.Status { try #require(await gateway.status()) }
}

/// Gives `body` a running gateway on free loopback ports and makes sure that it ends.
@inline(never)
func withGateway(
  _ configure: (inout Gateway.Configuration) -> Void = { _ in }, level: Logger.Level = .trace,
  _ body: (GatewayFixture) async throws -> Void
) async throws {
  var configuration = try Gateway.Configuration(
    clientEndpoint: Endpoint("tcp://127.0.0.1:0"), workerEndpoint: Endpoint("tcp://127.0.0.1:0"))
  configure(&configuration)
  let log = LogRecorder()
  let gateway = Gateway(configuration, logger: log.logger(level))
  try gateway.start()
  do {
    try await withLoop { loop in try await body(GatewayFixture(gateway: gateway, loop: loop, log: log)) }
  } catch {
    await gateway.stop()
    throw error
  }
  #expect(await gateway.stop(), "the gateway did not end")
}

/// Keeps what is logged.
final class LogRecorder: Sendable {
  struct Line: Sendable {
    var level: Logger.Level
    var text: String
    var metadata: Logger.Metadata
  }

  let lines = Recorder<Line>()

  func logger(_ level: Logger.Level) -> Logger {
    let lines = lines
    return Logger(label: "test") { _ in Handler(lines: lines, logLevel: level) }
  }

  private struct Handler: LogHandler {
    let lines: Recorder<Line>
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      lines.add(Line(level: event.level, text: "\(event.message)", metadata: event.metadata ?? [:]))
    }
  }
}

// MARK: Messages of a ranking

extension HandPeer {
  static let bundle = GatewayFixture.bundle.prefix

  /// A header of a run, as its worker sends it.
  func header(
    _ kind: MessageKind, _ request: Received, flags: MessageFlags = [], stream: StreamKind = .none,
    sequence: UInt32 = 0, status: Status = .ok
  ) -> MessageHeader {
    MessageHeader(
      kind, flags: flags, stage: request.header.stage, stream: stream, attempt: request.header.attempt, status: status,
      requestID: request.header.requestID, sequence: sequence, bundle: request.header.bundle)
  }

  /// Asks for a ranking.
  @inline(never)
  func rank(
    _ id: RequestID, count: UInt32 = 3, flags: MessageFlags = [], budget: UInt32 = 20_000,
    change: ([[UInt8]]) -> [[UInt8]] = { $0 }
  ) async throws {
    try await send(
      MessageHeader(.request, flags: flags, attempt: 1, requestID: id, budgetMilliseconds: budget),
      .rank(RankRequest(userID: "42", count: count)), change: change)
  }

  func instruction() -> StreamChunk {
    .instruction(
      InstructionInput(
        userVector: buffers.vector(.userVector, (0..<300).map { Float($0) * 0.25 }),
        history: buffers.vector(.history, [5, 3, 9] as [Int32])))
  }

  func candidates(_ count: Int = 700) -> StreamChunk {
    .candidates(
      CandidateChunk(
        ids: buffers.vector(.candidateIDs, (0..<count).map { Int32(3 * $0) }),
        prior: buffers.vector(.candidatePrior, (0..<count).map { 1 / Float($0 + 1) }), total: UInt32(count)))
  }

  func prompt() -> StreamChunk {
    .prompt(
      Prompt(
        tokenIDs: buffers.vector(.tokenIDs, (0..<64).map { Int32($0) }),
        softTokens: buffers.tensor(.softTokens, .bf16, WireShape(0, 8)),
        softPositions: buffers.vector(.softPositions, [] as [Int32]),
        slotPositions: buffers.vector(.slotPositions, [60] as [Int32])))
  }

  func ranking(_ items: [String] = ["a", "b", "c"]) throws -> RankingSnapshot {
    RankingSnapshot(
      items: try buffers.strings(.rankingItems, items),
      scores: buffers.vector(.rankingScores, items.indices.map { 10 - Float($0) }),
      itemsSeen: 700, itemsTotal: 700)
  }

  /// Plays an encoder's run.
  @inline(never)
  func encode(_ request: Received, change: ([[UInt8]]) -> [[UInt8]] = { $0 }) async throws {
    try await send(header(.partial, request, flags: .final, stream: .instruction), .partial(instruction()))
    try await send(
      header(.partial, request, flags: .final, stream: .candidates), .partial(candidates()), change: change)
    try await end(request, .encoder)
  }

  /// Ends a run well.
  @inline(never)
  func end(_ request: Received, _ stage: Stage, ranking: RankingSnapshot? = nil) async throws {
    var end = RunEnd(ranking: ranking)
    end[timing: stage] = RunTiming(attempt: request.header.attempt, queue: 1, decode: 2, compute: 3, encode: 4)
    try await send(header(.end, request), .end(end))
  }
}

extension RequestID {
  static func test(_ number: UInt64) -> RequestID { RequestID(high: 0x7000, low: number) }
}

/// Changes one bit of a part.
func flip(_ part: Int, at offset: Int) -> ([[UInt8]]) -> [[UInt8]] {
  { parts in
    var parts = parts
    parts[part][offset < 0 ? parts[part].count + offset : offset] ^= 0x10
    return parts
  }
}

/// A head or a descriptor table with its checksum made right: at offset 60 of a head, 4 of a table.
func sealed(_ bytes: [UInt8], checksumAt offset: Int) -> [UInt8] {
  var bytes = bytes
  for index in offset..<offset + 4 { bytes[index] = 0 }
  let checksum = bytes.withUnsafeBytes { XXH32.hash($0) }
  for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index))) }
  return bytes
}
