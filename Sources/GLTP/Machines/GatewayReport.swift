/// What a gateway knows of itself (gltp-1.md 5.6), as plain numbers that a runtime turns into JSON or metrics.
public struct GatewayReport: Sendable {
  public struct Session: Sendable {
    public var session: UInt64
    public var role: Role
    public var name: WireText?
    public var build: WireText?
    public var bundles: [BundleHash]
    public var slots: UInt32
    /// REQUESTs that may be sent now.
    public var credit: UInt64
    /// Of a worker: REQUESTs without END. Of a client: its requests.
    public var inFlight: Int
    public var age: MonotonicDuration
    public var silence: MonotonicDuration
    public var isDraining: Bool
    /// The worker's own REPORT, where a fresh one is at hand.
    public var report: StatusReport?
  }

  /// Sums over the successful runs of a stage.
  public struct StageTimes: Sendable, Hashable {
    public var runs: UInt64 = 0
    /// In microseconds, the wait for a worker included in `queue`.
    public var queue: UInt64 = 0
    public var decode: UInt64 = 0
    public var compute: UInt64 = 0
    public var encode: UInt64 = 0
    /// From REQUEST to END as the gateway sees it.
    public var elapsed: UInt64 = 0
  }

  public var bundle: BundleHash?
  public var isDraining: Bool
  public var counters: GatewayCounters
  /// Requests that are active.
  public var inFlight: Int
  /// Runs that wait for a worker: encoder, aligner, ranker.
  public var waiting: [Int]
  /// Encoder, aligner, ranker.
  public var stages: [StageTimes]
  /// Bytes of chunks that are held.
  public var heldBytes: Int
  /// Workers, then clients as far as the configuration allows.
  public var sessions: [Session]
}

/// What a gateway has counted since it started.
public struct GatewayCounters: Sendable, Hashable {
  public var accepted: UInt64 = 0
  /// ENDs to clients by code: 0 to 16, refusals included. Canaries are left out.
  public var endsByStatus = ContiguousArray<UInt64>(repeating: 0, count: 17)
  /// Runs and requests done again at the cost of a retry.
  public var retries: UInt64 = 0
  /// Runs and requests done again at no cost.
  public var replacements: UInt64 = 0
  /// Messages that came too late.
  public var late: UInt64 = 0
  /// Chunks and requests that came twice.
  public var duplicates: UInt64 = 0
  /// Snapshots that clients were not sent because a newer one replaced them.
  public var skippedSnapshots: UInt64 = 0
  /// Damaged messages and chunks.
  public var damaged: UInt64 = 0
  /// Breaches of the protocol.
  public var violations: UInt64 = 0
  /// Messages of peers without session.
  public var strangers: UInt64 = 0
  /// Sessions that were lost.
  public var lostSessions: UInt64 = 0
}

/// Sizes of all that a gateway remembers: gauges, and the tests' proof that nothing grows.
public struct GatewayFootprint: Sendable, Hashable {
  public var sessions: Int
  public var requests: Int
  public var done: Int
  public var strangers: Int
  public var bundles: Int
  public var waitingRequests: Int
  public var waitingRuns: Int
  public var pendingStatuses: Int
  public var heldBytes: Int
}
