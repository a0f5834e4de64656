import GLTP

/// The codec of a gateway's I/O thread: control messages and clients' requests in full, chunks unopened.
struct GatewayCodec: ~Copyable {
  private var clientDecoder: MessageDecoder
  private var workerDecoder: MessageDecoder
  private var encoder: MessageEncoder
  private var parts = MessageParts()
  private var forwarded: ForwardedMessages
  private let buffers: BufferPool
  private let messages: MultipartPool

  init(buffers: BufferPool, messages: MultipartPool) {
    clientDecoder = MessageDecoder(pool: buffers, limits: .clientEdge)
    workerDecoder = MessageDecoder(pool: buffers, limits: .mesh)
    encoder = MessageEncoder(pool: buffers)
    forwarded = ForwardedMessages(pool: messages)
    self.buffers = buffers
    self.messages = messages
  }

  // MARK: Receiving

  /// A message as the state machine sees it. The gateway passes on what workers make, and reads all else.
  mutating func decode(
    _ message: Multipart, from edge: PeerID.Listener
  ) throws(FrameError) -> PeerMessage<MessageHandle> {
    guard edge == .workers else {
      let decoded = try message.withParts { parts throws(FrameError) in try clientDecoder.decode(parts) }
      return PeerMessage(decoded.header, .control(decoded.body))
    }
    switch GatewayCodec.kind(of: message) {
    case .partial:
      let header = try message.withParts { parts throws(FrameError) in try workerDecoder.check(parts) }
      return PeerMessage(header, .chunk(forwarded.add(message)))
    case .end:
      let (header, end) = try message.withParts { parts throws(FrameError) in
        try workerDecoder.decodeUnopenedEnd(parts)
      }
      let ranking = header.tensorCount > 0 ? forwarded.add(message) : nil
      return PeerMessage(header, .end(end, ranking: ranking))
    default:
      let decoded = try message.withParts { parts throws(FrameError) in try workerDecoder.decode(parts) }
      return PeerMessage(decoded.header, .control(decoded.body))
    }
  }

  /// What kind a message claims to be, before anything is checked.
  private static func kind(of message: Multipart) -> MessageKind? {
    let head = message[0]
    return head.count >= MessageHeader.byteCount ? MessageKind(rawValue: head[6]) : nil
  }

  /// The header of a message that was refused, where at least that can be read.
  static func header(of message: Multipart) -> MessageHeader? { try? MessageHeader(parsing: message[0]) }

  /// Whether all payloads are as their maker checksummed them.
  mutating func isIntact(_ payload: MessageHandle) -> Bool {
    payload.multipart.withParts { parts in
      do throws(FrameError) {
        try workerDecoder.verify(parts)
        return true
      } catch {
        return false
      }
    }
  }

  // MARK: Sending

  /// The message on the wire.
  mutating func encode(_ message: PeerMessage<MessageHandle>) throws(FrameError) -> Multipart {
    switch message.body {
    case .control(.rank(var request)):
      // Encoders are near, and a client's lists lie ready in memory: sent as they lie, they are not even copied.
      request.items = request.items?.stored
      request.candidates = request.candidates?.stored
      request.exclude = request.exclude?.stored
      request.allow = request.allow?.stored
      return try encode(Message(header: message.header, body: .rank(request)))
    case .control(let body): return try encode(Message(header: message.header, body: body))
    case .chunk(let payload): return forward(payload.multipart, message.header)
    case .end(let end, nil): return try encode(Message(header: message.header, body: .end(end)))
    case .end(let end, let ranking?):
      let head = try end.head(message.header, ranking: ranking.multipart[0], from: buffers)
      let multipart = messages.take()
      multipart.append(head)
      share(ranking.multipart, with: multipart)
      return multipart
    }
  }

  mutating func encode(_ message: borrowing Message) throws(FrameError) -> Multipart {
    try encoder.encode(message, into: &parts)
    let multipart = messages.take()
    multipart.append(parts)
    parts.removeAll()
    return multipart
  }

  /// The same message with another header: its first 64 bytes are written anew, all else stays as it came.
  private func forward(_ message: Multipart, _ header: MessageHeader) -> Multipart {
    let multipart = messages.take()
    let head = multipart.appendPart(byteCount: message[0].count)
    head.copyMemory(from: message[0])
    header.write(to: head)
    share(message, with: multipart)
    return multipart
  }

  private func share(_ message: Multipart, with other: Multipart) {
    for index in 1..<max(message.count, 1) { other.append(sharingPart: index, of: message) }
  }

  // MARK: Memory

  /// Messages that the state machine may still hold.
  var forwardedCount: Int { forwarded.count }

  /// Takes back some of the messages that are no longer needed.
  mutating func sweep(_ limit: Int) { forwarded.sweep(limit) }
}
