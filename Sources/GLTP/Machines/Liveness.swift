/// Whether the other side of a session is alive, and when to tell it that we are (gltp-1.md 6.4).
///
/// A runtime that was stopped for a while must hand over the messages that wait in its sockets before it lets timers
/// fire, or it takes living peers for dead.
public struct Liveness: Sendable, Hashable {
  /// What is to be done when the timer has come.
  public enum Action: Sendable, Hashable {
    /// We have been quiet for a heartbeat: send PING with this sequence. It counts as sent.
    case ping(sequence: UInt32)
    /// The other side has been quiet for the expiry: the session is over.
    case expired
  }

  /// Silence of ours after which PING is due; at least 1 ms.
  public let heartbeat: MonotonicDuration
  /// Silence of the other side that ends the session; at least twice `heartbeat`.
  public let expiry: MonotonicDuration
  /// When we last heard of the other side.
  public private(set) var lastReceived: MonotonicTime
  /// When we last sent it anything.
  public private(set) var lastSent: MonotonicTime
  private var pings: UInt32 = 0

  /// - Parameters:
  ///   - heartbeat: from WELCOME; at least 1 ms.
  ///   - expiry: from WELCOME; at least twice the heartbeat, whatever a peer says.
  public init(heartbeat: MonotonicDuration, expiry: MonotonicDuration, now: MonotonicTime) {
    self.heartbeat = max(heartbeat, .milliseconds(1))
    self.expiry = max(expiry, self.heartbeat * 2)
    lastReceived = now
    lastSent = now
  }

  /// Any message of the other side proves that it lives.
  public mutating func noteReceived(_ now: MonotonicTime) { lastReceived = max(lastReceived, now) }
  /// Any message of ours makes a PING needless.
  public mutating func noteSent(_ now: MonotonicTime) { lastSent = max(lastSent, now) }

  /// How long the other side has been quiet.
  public func silence(_ now: MonotonicTime) -> MonotonicDuration { now.since(lastReceived) }

  /// When `check` has something to do, unless messages come or go before. Never moves to an earlier time.
  public var nextTimer: MonotonicTime { min(lastSent + heartbeat, lastReceived + expiry) }

  /// What is due at `now`; nil where nothing is.
  public mutating func check(_ now: MonotonicTime) -> Action? {
    if now >= lastReceived + expiry { return .expired }
    guard now >= lastSent + heartbeat else { return nil }
    lastSent = now
    pings &+= 1
    return .ping(sequence: pings)
  }
}
