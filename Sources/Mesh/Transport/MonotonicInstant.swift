package import GLTP

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A point on the clock that no one can set: `CLOCK_MONOTONIC`, in nanoseconds since an arbitrary start.
package struct MonotonicInstant: InstantProtocol, Sendable {
  package let nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// This moment.
  package static var now: MonotonicInstant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  package func advanced(by duration: Duration) -> MonotonicInstant {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.nanoseconds)
    return MonotonicInstant(nanoseconds: overflow ? .max : sum)
  }

  package func duration(to other: MonotonicInstant) -> Duration { .nanoseconds(other.nanoseconds - nanoseconds) }

  package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
}

extension Duration {
  /// The whole nanoseconds of the duration; about 292 years at most.
  var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    return product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
  }

  /// The whole milliseconds of the duration, as ZeroMQ's options want them.
  var milliseconds: Int32 { Int32(clamping: nanoseconds / 1_000_000) }
}

// The state machines count microseconds on the same clock.

extension MonotonicTime {
  /// The instant without its fraction of a microsecond.
  package init(_ instant: MonotonicInstant) {
    self.init(microseconds: UInt64(max(instant.nanoseconds, 0)) / 1_000)
  }

  /// This moment.
  package static var now: MonotonicTime { MonotonicTime(MonotonicInstant.now) }
}

extension MonotonicInstant {
  /// The instant that begins `time`, or the end of the clock for a time beyond it.
  package init(_ time: MonotonicTime) {
    self.init(nanoseconds: time.microseconds > UInt64(Int64.max) / 1_000 ? .max : Int64(time.microseconds) * 1_000)
  }
}

extension MonotonicDuration {
  /// The whole microseconds of a duration that is not negative; zero for one that is.
  package init(_ duration: Duration) { self.init(microseconds: UInt64(max(duration.nanoseconds, 0)) / 1_000) }
}

extension Duration {
  package init(_ duration: MonotonicDuration) { self = .microseconds(Int64(clamping: duration.microseconds)) }
}
