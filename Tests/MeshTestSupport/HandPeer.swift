package import GLTP
package import Mesh
import Synchronization
package import Testing

/// A message as a peer of the gateway received it.
package struct Received: Sendable {
  package var message: Message
  package var bytes: [[UInt8]]
  package var header: MessageHeader { message.header }
}

/// What happened to a peer of the gateway.
package enum PeerHeard: Sendable {
  case connected
  case disconnected
  case message(Received)
  case undecodable(FrameError)
  case handshakeFailed(HandshakeFailure)
}

/// A client or a worker driven by hand: a socket and the codec, and no state machine. Answers PING unless told not to.
///
/// Its async functions are not inlined: Swift 6.3 writes beyond the frames of tests that have grown by many of them.
package final class HandPeer: @unchecked Sendable {
  package let heard = Recorder<PeerHeard>()
  package let buffers = BufferPool()
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

  package var sessionID: UInt64 { session.withLock { $0 } }

  package init(
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
  package func bytes(_ message: Message) -> [[UInt8]] {
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
  package func send(raw parts: [[UInt8]]) async throws { try await loop.run { self.sendOnLoop(parts) } }

  /// Sends a message in this peer's session, after `change` has had its way with the bytes.
  @inline(never)
  package func send(
    _ header: MessageHeader, _ body: MessageBody, session: UInt64? = nil, change: ([[UInt8]]) -> [[UInt8]] = { $0 }
  ) async throws {
    var header = header
    header.sessionID = session ?? sessionID
    try await send(raw: change(bytes(Message(header: header, body: body))))
  }

  @inline(never)
  package func close() async throws { try await loop.run { self.dialer?.close() } }

  // MARK: Receiving

  /// The next event that `pick` takes, after those taken before; the others between are skipped.
  @discardableResult
  @inline(never)
  package func next<Value: Sendable>(
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
  package func next(
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
  package func all(_ kind: MessageKind) -> [Received] {
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
  package func connected() async throws {
    try await next("a connection") { if case .connected = $0 { true } else { nil } }
  }

  @inline(never)
  package func disconnected(_ deadline: Duration = .seconds(10)) async throws {
    try await next("the end of the connection", deadline) { if case .disconnected = $0 { true } else { nil } }
  }

  @discardableResult
  @inline(never)
  package func greet(_ hello: Hello) async throws -> Welcome {
    try await send(MessageHeader(.hello), .hello(hello), session: 0)
    let received = try await next(.welcome)
    guard case .welcome(let welcome) = received.message.body else { throw Timeout() }
    return welcome
  }
}
