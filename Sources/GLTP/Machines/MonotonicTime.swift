/// An instant of a clock that never goes back, in microseconds since an origin that the runtime chooses.
///
/// The state machines read no clock: every event brings the time with it.
public struct MonotonicTime: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Microseconds since the runtime's origin.
  public var microseconds: UInt64
  /// From microseconds since the runtime's origin.
  public init(microseconds: UInt64) { self.microseconds = microseconds }

  /// The origin.
  public static let zero = MonotonicTime(microseconds: 0)
  /// Never: what a machine without timers waits for.
  public static let distantFuture = MonotonicTime(microseconds: .max)

  /// Whether `a` is before `b`.
  public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.microseconds < b.microseconds }

  /// Later by a duration; stays `distantFuture` at the end of time.
  public static func + (time: MonotonicTime, duration: MonotonicDuration) -> MonotonicTime {
    let (sum, overflow) = time.microseconds.addingReportingOverflow(duration.microseconds)
    return overflow ? .distantFuture : MonotonicTime(microseconds: sum)
  }

  /// Moves on by a duration, saturating.
  public static func += (time: inout MonotonicTime, duration: MonotonicDuration) { time = time + duration }

  /// How long after `earlier` this is; zero where it is not after.
  public func since(_ earlier: MonotonicTime) -> MonotonicDuration {
    MonotonicDuration(microseconds: self > earlier ? microseconds - earlier.microseconds : 0)
  }

  /// As in "1500 us", for logs.
  public var description: String { "\(microseconds) us" }
}

/// A span of time that is not negative, in microseconds.
public struct MonotonicDuration: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The length in microseconds; `.max` where arithmetic saturated.
  public var microseconds: UInt64
  /// From a number of microseconds.
  public init(microseconds: UInt64) { self.microseconds = microseconds }

  /// No time at all.
  public static let zero = MonotonicDuration(microseconds: 0)
  /// So many microseconds.
  public static func microseconds(_ count: UInt64) -> MonotonicDuration { MonotonicDuration(microseconds: count) }
  /// Saturates, as all arithmetic of these types does: a peer's number cannot trap.
  public static func milliseconds(_ count: UInt64) -> MonotonicDuration { microseconds(count) * 1000 }
  /// So many seconds, saturating.
  public static func seconds(_ count: UInt64) -> MonotonicDuration { microseconds(count) * 1_000_000 }

  /// Milliseconds begun and ended, as a header carries them.
  public var wholeMilliseconds: UInt32 { UInt32(clamping: microseconds / 1000) }
  /// Microseconds as a timing carries them, saturating.
  public var microseconds32: UInt32 { UInt32(clamping: microseconds) }

  /// Whether `a` is the shorter.
  public static func < (a: MonotonicDuration, b: MonotonicDuration) -> Bool { a.microseconds < b.microseconds }

  /// The sum, saturating.
  public static func + (a: MonotonicDuration, b: MonotonicDuration) -> MonotonicDuration {
    let (sum, overflow) = a.microseconds.addingReportingOverflow(b.microseconds)
    return MonotonicDuration(microseconds: overflow ? .max : sum)
  }

  /// The multiple, saturating.
  public static func * (duration: MonotonicDuration, factor: UInt64) -> MonotonicDuration {
    let (product, overflow) = duration.microseconds.multipliedReportingOverflow(by: factor)
    return MonotonicDuration(microseconds: overflow ? .max : product)
  }

  /// As in "1500 us", for logs.
  public var description: String { "\(microseconds) us" }
}
