/// The bulk of a message as the state machines see it: they hold it, count its bytes and hand it on, and never look in.
public protocol ChunkPayload: Sendable {
  /// Bytes that it keeps in memory.
  var byteCount: Int { get }
}

/// A message as the state machines see it: all of it but the bulk. A runtime makes it of what it receives, and of it
/// what it sends.
public struct PeerMessage<Payload: ChunkPayload>: Sendable {
  /// What a message carries, with the bulk kept apart from what the machines read.
  public enum Body: Sendable {
    /// Any message but INPUT, PARTIAL and END.
    case control(MessageBody)
    /// An INPUT or a PARTIAL, as the header says.
    case chunk(Payload)
    /// An END. Its ranking is in the payload, and `RunEnd.ranking` is nil.
    case end(RunEnd, ranking: Payload?)
  }

  /// Its `kind` is right whatever the body.
  public var header: MessageHeader
  /// What it carries besides the header.
  public var body: Body

  /// Sets the header's kind from the body; for a chunk the header must say INPUT or PARTIAL itself.
  public init(_ header: MessageHeader, _ body: Body) {
    self.header = header
    self.body = body
    switch body {
    case .control(let body): self.header.kind = body.kind
    case .end: self.header.kind = .end
    case .chunk: break
    }
  }
}
