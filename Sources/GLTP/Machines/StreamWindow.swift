/// The sending side of one stream on one hop: sequence numbers, and the window of chunks that may be under way
/// (gltp-1.md 6.5, 6.6).
public struct StreamSender: Sendable, Hashable {
  /// Chunks of a stream that may be sent without ACK, where the other side does not ask for fewer.
  public static let defaultWindow: UInt32 = 4

  /// What an ACK turned out to be.
  public enum Acknowledgement: Sendable, Hashable {
    /// It says more than those before it: send what waits.
    case progress
    /// It says no more than an earlier one.
    case stale
    /// It counts chunks that were never sent: the peer breaks the protocol.
    case violation
  }

  /// The sequence of the next chunk, which is the number of chunks sent.
  public private(set) var next: UInt32 = 0
  /// Chunks that the other side has acknowledged.
  public private(set) var acknowledged: UInt32 = 0
  /// Whether the last chunk has been sent.
  public private(set) var isFinished = false
  /// Chunks that may be under way without ACK, 1 to 4.
  public let window: UInt32

  /// - Parameter window: what the other side's limits allow. Held to 1 to 4: none would never move.
  public init(window: UInt32 = defaultWindow) {
    self.window = min(max(window, 1), StreamSender.defaultWindow)
  }

  /// Chunks under way.
  public var unacknowledged: UInt32 { next - acknowledged }
  /// Whether a chunk may be sent now.
  public var isOpen: Bool { !isFinished && unacknowledged < window && next < .max }

  /// Takes the sequence number for the chunk that is sent now.
  ///
  /// - Precondition: `isOpen`.
  public mutating func send(isFinal: Bool) -> UInt32 {
    precondition(isOpen, "a chunk sent against a closed window")
    isFinished = isFinal
    defer { next += 1 }
    return next
  }

  /// Takes note of an ACK, whose sequence is the number of chunks received so far.
  public mutating func acknowledge(_ count: UInt32) -> Acknowledgement {
    guard count <= next else { return .violation }
    guard count > acknowledged else { return .stale }
    acknowledged = count
    return .progress
  }
}

/// The receiving side of one stream on one hop: what to do with each chunk, and what to acknowledge.
public struct StreamReceiver: Sendable, Hashable {
  /// What a chunk turned out to be.
  public enum Arrival: Sendable, Hashable {
    /// The next one: keep it.
    case accepted
    /// One that came before: drop it.
    case duplicate
    /// One or more are missing: the run fails with SEQUENCE_GAP.
    case gap
    /// The next one, though the window is full: fails the run as a gap does (gltp-1.md 8).
    case overrun
    /// More after FINAL: the run fails with INTERNAL.
    case afterFinal
  }

  /// Chunks accepted so far, which is the sequence of the next one.
  public private(set) var accepted: UInt32 = 0
  /// Chunks acknowledged so far.
  public private(set) var acknowledged: UInt32 = 0
  /// Whether FINAL has been accepted.
  public private(set) var isFinished = false
  /// Chunks that we take without having acknowledged any, at least 1.
  public let window: UInt32

  /// - Parameter window: what we offered the other side.
  public init(window: UInt32 = StreamSender.defaultWindow) { self.window = max(window, 1) }

  /// Judges a chunk, and counts it where it is accepted.
  public mutating func receive(_ sequence: UInt32, isFinal: Bool) -> Arrival {
    guard sequence >= accepted else { return .duplicate }
    guard !isFinished else { return .afterFinal }
    guard sequence == accepted, accepted < .max else { return .gap }
    guard accepted - acknowledged < window else { return .overrun }
    accepted += 1
    isFinished = isFinal
    return .accepted
  }

  /// Acknowledges the chunks accepted so far.
  ///
  /// - Returns: the sequence of the ACK to send; nil where an earlier one said as much.
  public mutating func acknowledgeAll() -> UInt32? { acknowledge(upTo: accepted) }

  /// Acknowledges the first `count` chunks.
  ///
  /// - Returns: the sequence of the ACK to send; nil where an earlier one said as much, or nothing may follow.
  public mutating func acknowledge(upTo count: UInt32) -> UInt32? {
    let count = min(count, accepted)
    guard count > acknowledged else { return nil }
    acknowledged = count
    return isFinished ? nil : count
  }
}
