public import GLTP

/// A clock that moves when it is told to.
public struct ManualClock: Sendable {
  /// The time that it shows.
  public private(set) var now: MonotonicTime

  /// - Parameter now: not zero, so that "long ago" has a meaning.
  public init(now: MonotonicTime = MonotonicTime(microseconds: 1_000_000_000)) { self.now = now }

  /// Moves on by a duration.
  public mutating func advance(by duration: MonotonicDuration) { now += duration }

  /// Does not go back.
  public mutating func advance(to time: MonotonicTime) { now = max(now, time) }
}
