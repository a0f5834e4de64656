/// What a gateway's state machine may do and hold. Everything that peers can make it remember has a bound here.
public struct GatewayConfiguration: Sendable {
  /// What the gateway speaks; named in REJECT(VERSION) (gltp-1.md 6.2).
  public var versions = VersionRange.supported
  /// A name for logs.
  public var name: WireText?
  /// Names this process in WELCOME; new at every start.
  public var bootID: BootID?
  /// Software and version in WELCOME, 1 to 128 bytes.
  public var build: WireText?
  /// Session ids count up from here. Draw it at random, so that no session of an earlier process is taken for one of
  /// this.
  public var firstSessionID: UInt64 = 1

  /// Silence after which a side sends PING; announced in WELCOME (gltp-1.md 6.4).
  public var heartbeat = MonotonicDuration.seconds(2)
  /// Silence that ends a session; at least twice the heartbeat (gltp-1.md 6.4).
  public var expiry = MonotonicDuration.seconds(6)
  /// What clients may send.
  public var clientLimits = PeerLimits.clientEdge
  /// What workers may send.
  public var workerLimits = PeerLimits.mesh

  /// Sessions of clients; beyond them HELLO gets REJECT(OVERLOADED).
  public var maximumClients = 10_000
  /// Sessions of workers; beyond them HELLO gets REJECT(OVERLOADED).
  public var maximumWorkers = 1024
  /// Bundles that are known at the same time, old ones included.
  public var maximumBundles = 64
  /// Active requests; beyond them new ones end with OVERLOADED.
  public var maximumRequests = 4096
  /// Active requests of one client session; beyond them its new ones end with OVERLOADED.
  public var maximumRequestsPerClient = 256
  /// Requests with a run that waits for a worker.
  public var queueLimit = 1024
  /// Chunks of one request kept for replay, in bytes.
  public var replayBytes = 32 << 20
  /// Chunks of all requests, in bytes: beyond it new requests are refused.
  public var totalReplayBytes = 1 << 30
  /// Connections without session that are remembered, to answer each once a second.
  public var maximumStrangers = 1024
  /// Requests that are over and still remembered, to tell late messages and duplicates.
  public var maximumDone = 65_536
  /// Clients' STATUS that wait for workers' REPORTs.
  public var maximumStatuses = 64
  /// Sessions in a report. Workers all stand there, clients only up to this number of sessions.
  public var maximumReportedSessions = 512

  /// The time of a request whose budget is 0 (gltp-1.md 7.5).
  public var defaultBudget = MonotonicDuration.seconds(10)
  /// What longer budgets are cut to (gltp-1.md 7.5).
  public var longestBudget = MonotonicDuration.seconds(600)
  /// How long a client may leave its window closed.
  public var stall = MonotonicDuration.seconds(30)
  /// How long a request that is over is remembered.
  public var doneLifetime = MonotonicDuration.seconds(10)
  /// A stage without any worker for so long refuses new requests with NO_WORKER; before, they wait for its return.
  public var noWorkerGrace = MonotonicDuration.seconds(5)
  /// How long a STATUS waits for workers' REPORTs.
  public var reportDeadline = MonotonicDuration.milliseconds(250)
  /// REPORTs younger than this are not asked for again.
  public var reportLifetime = MonotonicDuration.seconds(1)

  /// The defaults of gltp-1.md, unnamed, with session ids from 1.
  public init() {}
}
