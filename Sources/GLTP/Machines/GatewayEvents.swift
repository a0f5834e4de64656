/// A connection to the gateway, named by the runtime: which of its sockets, and a number that is not used twice.
public struct PeerID: Sendable, Hashable, CustomStringConvertible {
  /// The ROUTER socket that a connection came in by; it decides which roles are allowed (gltp-1.md 2.1, 6.2).
  public enum Listener: UInt8, Sendable, Hashable {
    /// The socket for clients, and the one for workers.
    case clients, workers
  }
  /// The socket that the connection came in by.
  public var listener: Listener
  /// The runtime's number for the connection, never used again on that socket.
  public var number: UInt64

  /// A connection by its socket and number.
  public init(_ listener: Listener, _ number: UInt64) {
    self.listener = listener
    self.number = number
  }

  /// As in "workers 7", for logs.
  public var description: String { "\(listener) \(number)" }
}

/// What happens to a gateway.
public enum GatewayEvent<Payload: ChunkPayload>: Sendable {
  /// A peer's message. PARTIALs and the rankings of ENDs are undecoded; all else has passed the whole codec.
  ///
  /// `authenticatedAs` is the role that the operator gave the peer's key, nil on a mesh without keys.
  case received(PeerMessage<Payload>, from: PeerID, authenticatedAs: Role?)
  /// A peer's message that the codec refused; its header where the head at least could be read.
  case refused(FrameError.Consequence, MessageHeader?, from: PeerID)
  /// A peer's connection is gone: its session is lost.
  case disconnected(PeerID)
  /// The answer to the action `verify`.
  case verified(ticket: UInt64, isIntact: Bool)
  /// `nextTimer` has come.
  case timer
  /// The operator wants the gateway to finish what it has and stop.
  case drain
}

/// What a gateway wants done, in this order.
public enum GatewayAction<Payload: ChunkPayload>: Sendable {
  /// Encode and send. A chunk's payload is sent as it came, behind the given header; an END's ranking payload is a
  /// PARTIAL's or an END's of a ranker, of which table, payloads, items_seen and items_total are taken over.
  case send(PeerMessage<Payload>, to: PeerID)
  /// Read no more from a peer; close its connection where the transport can.
  case close(PeerID)
  /// Check payload_xxh32 of all payloads, and answer with the event `verified`.
  case verify(Payload, ticket: UInt64)
  /// Send a REPORT with this header, whose JSON says what the report says.
  case report(GatewayReport, MessageHeader, to: PeerID)
  /// Something for logs and metrics.
  case note(GatewayNote)
  /// All is finished after `drain`: flush the sockets and exit.
  case drained
}

/// Something that operators want to see.
public enum GatewayNote: Sendable {
  /// Why a session ended.
  public enum SessionEnd: Sendable, Hashable {
    /// The peer said BYE, with this status.
    case bye(Status)
    /// The connection broke.
    case disconnected
    /// Silent for the expiry.
    case expired
    /// It said HELLO again.
    case replaced
    /// It broke the protocol.
    case violation
    /// It made damaged messages, three within a minute.
    case damage
    /// The gateway has drained.
    case drained
  }

  /// A HELLO of this role got REJECT with this status.
  case helloRejected(PeerID, Role, Status)
  /// A HELLO got WELCOME.
  case sessionOpened(session: UInt64, Role, name: WireText?, PeerID)
  /// A session is over; its runs go elsewhere, its client's requests are cancelled.
  case sessionEnded(session: UInt64, Role, name: WireText?, SessionEnd)
  /// A damaged chunk was this session's doing.
  case blamed(session: UInt64, RequestID)
  /// New requests without a pin are pinned to this bundle from now on (gltp-1.md 7.8).
  case currentBundle(BundleHash)
  /// A run ended, well or not. The duration is from its REQUEST to its END; the timing's `queue` has the wait for a worker.
  case runEnded(RequestID, Stage, attempt: UInt16, session: UInt64, Status, MonotonicDuration, RunTiming?, MessageFlags)
  /// A run is replaced, or with `isRestart` the whole request is done again.
  case retried(RequestID, Stage, cause: Status?, isRestart: Bool)
  /// A request got its END. The duration is from its REQUEST on the client edge.
  case requestEnded(RequestID, session: UInt64, Status, MonotonicDuration, MessageFlags)
}
