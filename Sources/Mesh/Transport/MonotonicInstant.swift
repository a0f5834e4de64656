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
    SystemTime.with(nanoseconds: 0) { time in
      clock_gettime(CLOCK_MONOTONIC, time)
      return MonotonicInstant(nanoseconds: SystemTime.nanoseconds(time))
    }
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

/// `timespec` without the names of its members: several C modules bring the type, and which of them the compiler asks to
/// be imported for its members changes with the order of files.
enum SystemTime {
  /// Calls `body` with a `timespec` of so many nanoseconds.
  static func with<Value>(nanoseconds: Int64, _ body: (UnsafeMutablePointer<timespec>) -> Value) -> Value {
    withUnsafeTemporaryAllocation(of: timespec.self, capacity: 1) { buffer in
      let words = UnsafeMutableRawBufferPointer(buffer)
      words.storeBytes(of: Int(nanoseconds / 1_000_000_000), as: Int.self)
      words.storeBytes(of: Int(nanoseconds % 1_000_000_000), toByteOffset: MemoryLayout<Int>.size, as: Int.self)
      return body(buffer.baseAddress.unsafelyUnwrapped)
    }
  }

  static func nanoseconds(_ time: UnsafePointer<timespec>) -> Int64 {
    let words = UnsafeRawPointer(time)
    return Int64(words.load(as: Int.self)) * 1_000_000_000
      + Int64(words.load(fromByteOffset: MemoryLayout<Int>.size, as: Int.self))
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
