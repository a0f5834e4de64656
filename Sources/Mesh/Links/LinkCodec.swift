import GLTP

/// The codec of an I/O thread of workers and clients: control messages between the wire and the machines.
struct LinkCodec: ~Copyable {
  private var decoder: MessageDecoder
  private var encoder: MessageEncoder
  private var parts = MessageParts()
  private let buffers: BufferPool
  private let messages: MultipartPool

  init(buffers: BufferPool, messages: MultipartPool) {
    decoder = MessageDecoder(pool: buffers, limits: .mesh)
    encoder = MessageEncoder(pool: buffers)
    self.buffers = buffers
    self.messages = messages
  }

  /// Decodes a whole message.
  mutating func decode(_ message: Multipart) throws(FrameError) -> Message {
    try message.withParts { parts throws(FrameError) in try decoder.decode(parts) }
  }

  /// Encodes a message of ours.
  mutating func encode(_ message: borrowing Message) throws(FrameError) -> Multipart {
    try encoder.encode(message, into: &parts)
    let multipart = messages.take()
    multipart.append(parts)
    parts.removeAll()
    return multipart
  }

  /// A message that shares everything but the head with `chunk`, which was encoded before.
  ///
  /// - Parameter header: what the new head says; the chunk's own TLVs and tensors stay.
  func sharing(_ chunk: Multipart, header: MessageHeader) throws(FrameError) -> Multipart {
    let old = chunk[0]
    let multipart = messages.take()
    let head = multipart.appendPart(byteCount: old.count)
    head.copyMemory(from: old)
    try header.rewrite(head)
    for index in 1..<chunk.count { multipart.append(sharingPart: index, of: chunk) }
    return multipart
  }

  /// An END whose ranking was encoded before, in `chunk`: all but the head is shared.
  func end(_ header: MessageHeader, _ end: RunEnd, ranking chunk: Multipart) throws(FrameError) -> Multipart {
    let head = try end.head(header, ranking: chunk[0], from: buffers)
    let multipart = messages.take()
    multipart.append(head)
    for index in 1..<chunk.count { multipart.append(sharingPart: index, of: chunk) }
    return multipart
  }
}

extension MessageHeader {
  /// Writes what the header says over a head that was encoded before, whose tensors and TLVs stay.
  func rewrite(_ head: UnsafeMutableRawBufferPointer) throws(FrameError) {
    var header = try MessageHeader(parsing: UnsafeRawBufferPointer(head))
    header.kind = kind
    header.flags = flags
    header.stage = stage
    header.stream = stream
    header.priority = priority
    header.attempt = attempt
    header.status = status
    header.requestID = requestID
    header.sessionID = sessionID
    header.sequence = sequence
    header.budgetMilliseconds = budgetMilliseconds
    header.bundle = bundle
    header.write(to: head)
  }
}

extension MessageKind {
  /// Heartbeats, acknowledgements and credit overtake what waits for a slow peer; nothing else may, because ENDs follow
  /// their chunks, CANCELs their REQUESTs and BYE all else.
  var lane: Lane {
    switch self {
    case .ping, .pong, .ack, .credit: .control
    default: .data
    }
  }
}
