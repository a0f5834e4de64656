public import GLTP

/// A message on its way from one process to another.
public struct Passage: Sendable {
  /// The process that sends.
  public var from: MeshProcess
  /// The process that it is for.
  public var to: MeshProcess
  /// The message's header, before any damage.
  public var header: MessageHeader
  /// When it is sent.
  public var time: MonotonicTime

  /// Whether it is a chunk or the ACK of one.
  public func isChunk(_ stage: Stage, _ stream: StreamKind, _ sequence: UInt32? = nil) -> Bool {
    (header.kind == .input || header.kind == .partial) && header.stage == stage && header.stream == stream
      && (sequence == nil || header.sequence == sequence)
  }
}

/// What happens to messages that a rule picks.
public struct LinkFault: Sendable {
  /// What is done to a message that is picked.
  public enum Effect: Sendable, Hashable {
    /// The message is lost, and nobody notices.
    case drop
    /// It, and what follows it, come later.
    case delay(MonotonicDuration)
    /// It comes later; what follows it does not wait.
    case reorder(MonotonicDuration)
    /// It comes twice.
    case duplicate
    /// The payload of a chunk, or the head of another message, is damaged.
    case corrupt
    /// The connection breaks before it is through; both sides notice.
    case cut
  }

  /// What is done to the messages.
  public var effect: Effect
  /// How often the rule still acts.
  public var remaining: Int
  /// Which messages it picks.
  public var picks: @Sendable (Passage) -> Bool

  /// Acts on the first `times` messages that `picks` is true of.
  public init(_ effect: Effect, times: Int = 1, picks: @escaping @Sendable (Passage) -> Bool) {
    self.effect = effect
    remaining = times
    self.picks = picks
  }
}
