/// A request that is active at the gateway. Its runs and its chunks stand in tables of their own.
struct GatewayRequest: Sendable {
  /// Tells requests apart, and who came first; 0 while the slot is free.
  var number: UInt64 = 0
  var id = RequestID.none
  /// Slot of the client's session, and neighbours in the list of its requests.
  var client = -1
  var previous: Int32 = -1
  var next: Int32 = -1
  /// Number of the client's sending.
  var clientAttempt: UInt16 = 1
  var priority = Priority.normal
  /// STREAM, TITLES, CANARY.
  var flags: MessageFlags = []
  var body: RankRequest?
  /// Slot of the bundle that it is pinned to.
  var bundle = -1
  var isPinnedByClient = false
  /// It has been done again on another bundle, which happens once.
  var hasChangedBundle = false
  var acceptedAt = MonotonicTime.zero
  var deadline = MonotonicTime.zero

  /// Whether the client has yet to see the newest ranking.
  var hasUnsentRanking = false
  var clientStream = StreamSender()
  /// Since when the client's window has been closed.
  var stalledSince: MonotonicTime?

  var retries: UInt8 = 2
  /// What it may be moved from workers that are overloaded or draining.
  var moves: UInt8 = 8
  /// Runs that wait for a worker.
  var waitingRuns: UInt8 = 0
  /// Timings of the successful runs.
  var timings = RunEnd()
  var verification: DamageInquiry?

  var queueKey: QueueKey { QueueKey(priority: priority, number: number) }

  /// Lets go of what it holds; the slot is free.
  mutating func clear() {
    number = 0
    body = nil
    timings = RunEnd()
    verification = nil
  }
}

/// A damaged chunk whose maker is sought.
struct DamageInquiry: Sendable {
  var ticket: UInt64
  /// The stage that complained.
  var stage: Stage
  /// Session ids.
  var producer: UInt64
  var consumer: UInt64
}

/// Who goes first: priority, then age.
struct QueueKey: Sendable, Comparable {
  var priority: Priority
  var number: UInt64

  static func < (a: QueueKey, b: QueueKey) -> Bool {
    a.priority == b.priority ? a.number < b.number : a.priority > b.priority
  }
}

/// Who goes last.
struct ReversedQueueKey: Sendable, Comparable {
  var key: QueueKey
  static func < (a: ReversedQueueKey, b: ReversedQueueKey) -> Bool { b.key < a.key }
}

/// What is remembered of a request that is over: enough to tell a duplicate, and to number the runs of a later sending
/// so that no worker takes one for another.
struct DoneRequest: Sendable {
  var session: UInt64
  var clientAttempt: UInt16
  var attempts: (UInt16, UInt16, UInt16)
  var number: UInt64
}
