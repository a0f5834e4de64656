/// What a gateway knows of itself (gltp-1.md 5.6), as plain numbers that a runtime turns into JSON or metrics.
public struct GatewayReport: Sendable {
  /// One session of the gateway, a client's or a worker's.
  public struct Session: Sendable {
    /// The session's id, as in headers.
    public var session: UInt64
    /// What the peer said it is in HELLO.
    public var role: Role
    /// The peer_id of its HELLO, for logs.
    public var name: WireText?
    /// The build of its HELLO.
    public var build: WireText?
    /// What a worker serves; empty for clients.
    public var bundles: [BundleHash]
    /// Runs that a worker executes or queues at once; 0 for clients.
    public var slots: UInt32
    /// REQUESTs that may be sent now.
    public var credit: UInt64
    /// Of a worker: REQUESTs without END. Of a client: its requests.
    public var inFlight: Int
    /// Time since its HELLO.
    public var age: MonotonicDuration
    /// Time since its last message (gltp-1.md 6.4).
    public var silence: MonotonicDuration
    /// Whether it has sent DRAIN.
    public var isDraining: Bool
    /// The worker's own REPORT, where a fresh one is at hand.
    public var report: StatusReport?
  }

  /// Sums over the successful runs of a stage.
  public struct StageTimes: Sendable, Hashable {
    /// Runs that ended well and so are in the sums.
    public var runs: UInt64 = 0
    /// In microseconds, the wait for a worker included in `queue`.
    public var queue: UInt64 = 0
    /// Microseconds in workers' codecs, reading input.
    public var decode: UInt64 = 0
    /// Microseconds in the stage itself.
    public var compute: UInt64 = 0
    /// Microseconds in workers' codecs, writing output.
    public var encode: UInt64 = 0
    /// From REQUEST to END as the gateway sees it.
    public var elapsed: UInt64 = 0
  }

  /// The current bundle, which unpinned requests get; nil while there never was one (gltp-1.md 7.8).
  public var bundle: BundleHash?
  /// Whether the gateway refuses new requests with DRAINING.
  public var isDraining: Bool
  /// What has been counted since the gateway started.
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
  /// REQUESTs of clients that were taken on.
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
  /// Open sessions.
  public var sessions: Int
  /// Active requests.
  public var requests: Int
  /// Requests that are over and still remembered.
  public var done: Int
  /// Connections without session that are remembered.
  public var strangers: Int
  /// Bundles that are known.
  public var bundles: Int
  /// Requests with a run that waits for a worker.
  public var waitingRequests: Int
  /// Runs that wait for a worker.
  public var waitingRuns: Int
  /// Clients' STATUS that wait for workers' REPORTs.
  public var pendingStatuses: Int
  /// Bytes of chunks kept for replay.
  public var heldBytes: Int
}
