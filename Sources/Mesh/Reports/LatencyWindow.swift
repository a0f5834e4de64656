package import GLTP

/// The distribution of durations over the last minute, in microseconds, within 3 % (gltp-1.md 5.6).
///
/// Six slices of ten seconds; an old one is forgotten as a whole. Recording allocates nothing.
package struct LatencyWindow: Sendable {
  /// What a report says of a window.
  package struct Summary: Sendable, Equatable {
    package var count: UInt64 = 0
    package var mean: UInt64 = 0
    package var p50: UInt64 = 0
    package var p90: UInt64 = 0
    package var p99: UInt64 = 0
    package var max: UInt64 = 0
  }

  private struct Slice: Sendable {
    var number: UInt64 = 0
    var count: UInt64 = 0
    var sum: UInt64 = 0
    var max: UInt64 = 0
    var buckets = [UInt32](repeating: 0, count: LatencyWindow.bucketCount)
  }

  /// Below this each value has its own bucket; above, each doubling has as many.
  private static let steps = 32
  /// 32 bits of microseconds.
  private static let bucketCount = steps * 28
  private static let sliceCount = 6
  private static let sliceLength: UInt64 = 10_000_000

  private var slices = [Slice](repeating: Slice(), count: LatencyWindow.sliceCount)

  package init() {}

  /// Takes note of a duration that ended at `now`.
  package mutating func record(_ microseconds: UInt32, at now: MonotonicTime) {
    let number = now.microseconds / LatencyWindow.sliceLength
    let index = Int(number % UInt64(LatencyWindow.sliceCount))
    if slices[index].number != number { clear(index, number) }
    slices[index].count += 1
    slices[index].sum += UInt64(microseconds)
    slices[index].max = Swift.max(slices[index].max, UInt64(microseconds))
    slices[index].buckets[LatencyWindow.bucket(microseconds)] += 1
  }

  private mutating func clear(_ index: Int, _ number: UInt64) {
    slices[index].number = number
    slices[index].count = 0
    slices[index].sum = 0
    slices[index].max = 0
    for bucket in 0..<LatencyWindow.bucketCount { slices[index].buckets[bucket] = 0 }
  }

  /// The window that ends at `now`.
  package func summary(at now: MonotonicTime) -> Summary {
    let newest = now.microseconds / LatencyWindow.sliceLength
    let live = slices.filter { $0.number + UInt64(LatencyWindow.sliceCount) > newest && $0.count > 0 }
    var summary = Summary()
    guard !live.isEmpty else { return summary }
    summary.count = live.reduce(0) { $0 + $1.count }
    summary.mean = live.reduce(0) { $0 + $1.sum } / summary.count
    summary.max = live.reduce(0) { Swift.max($0, $1.max) }
    let ranks = [summary.count * 50 / 100, summary.count * 90 / 100, summary.count * 99 / 100]
    var found: [UInt64] = []
    var seen: UInt64 = 0
    for bucket in 0..<LatencyWindow.bucketCount where found.count < ranks.count {
      for slice in live { seen += UInt64(slice.buckets[bucket]) }
      while found.count < ranks.count, seen > ranks[found.count] {
        found.append(min(LatencyWindow.upperBound(bucket), summary.max))
      }
    }
    while found.count < ranks.count { found.append(summary.max) }
    (summary.p50, summary.p90, summary.p99) = (found[0], found[1], found[2])
    return summary
  }

  private static func bucket(_ value: UInt32) -> Int {
    guard value >= steps else { return Int(value) }
    let shift = UInt32.bitWidth - value.leadingZeroBitCount - 6
    return steps * (shift + 1) + Int(value >> UInt32(shift)) - steps
  }

  private static func upperBound(_ bucket: Int) -> UInt64 {
    guard bucket >= steps else { return UInt64(bucket) }
    let shift = bucket / steps - 1
    return (UInt64(bucket % steps + steps + 1) << UInt64(shift)) - 1
  }
}

/// The four parts of a stage's time over the last minute.
package struct StageLatencies: Sendable {
  package var queue = LatencyWindow()
  package var decode = LatencyWindow()
  package var compute = LatencyWindow()
  package var encode = LatencyWindow()

  package init() {}

  package mutating func record(_ timing: RunTiming, at now: MonotonicTime) {
    queue.record(timing.queue, at: now)
    decode.record(timing.decode, at: now)
    compute.record(timing.compute, at: now)
    encode.record(timing.encode, at: now)
  }

  /// Writes `{"queue": Q, "decode": Q, "compute": Q, "encode": Q}`.
  package func write(_ name: String, to json: inout JSONWriter, at now: MonotonicTime) {
    json.object(name) { json in
      for (part, window) in [("queue", queue), ("decode", decode), ("compute", compute), ("encode", encode)] {
        let summary = window.summary(at: now)
        json.object(part) { json in
          json.value("count", summary.count)
          json.value("mean", summary.mean)
          json.value("p50", summary.p50)
          json.value("p90", summary.p90)
          json.value("p99", summary.p99)
          json.value("max", summary.max)
        }
      }
    }
  }
}
