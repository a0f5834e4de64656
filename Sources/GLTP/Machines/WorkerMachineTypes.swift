/// What a worker is, and how it behaves.
public struct WorkerConfiguration: Sendable {
  /// The stage it runs: encoder, aligner or ranker.
  public var role: Role
  /// What the worker serves, 1 to 8.
  public var bundles: [BundleHash]
  /// Runs that it executes or queues at once, all gateways together.
  public var slots: Int
  /// Chunks of an input stream that may wait for computation; beyond them the gateway's window closes.
  public var inputRoom: UInt32
  /// How long one chunk may take to compute before the worker takes itself for stuck.
  public var stuckLimit: MonotonicDuration
  /// How long the other runs may go on once a worker is stuck.
  public var stuckGrace: MonotonicDuration
  /// What gateways may send us, offered in HELLO.
  public var limits: PeerLimits
  /// A name for gateways' logs, 1 to 128 bytes.
  public var peerID: WireText?
  /// Names this process, so that a worker that reconnects is no second one (gltp-1.md 7.7).
  public var bootID: BootID?
  /// Software and version for gateways' logs, 1 to 128 bytes.
  public var build: WireText?

  /// Defaults are those of the protocol where it states one.
  public init(
    role: Role, bundles: [BundleHash], slots: Int, inputRoom: UInt32 = 8,
    stuckLimit: MonotonicDuration = .seconds(30), stuckGrace: MonotonicDuration = .seconds(5),
    limits: PeerLimits = .mesh, peerID: WireText? = nil, bootID: BootID? = nil, build: WireText? = nil
  ) {
    self.role = role
    self.bundles = bundles
    self.slots = slots
    self.inputRoom = inputRoom
    self.stuckLimit = stuckLimit
    self.stuckGrace = stuckGrace
    self.limits = limits
    self.peerID = peerID
    self.bootID = bootID
    self.build = build
  }
}

/// A run inside one worker process. Never used twice.
public struct RunID: Sendable, Hashable, CustomStringConvertible {
  /// Counts the worker's runs from 1.
  public let rawValue: UInt64
  init(rawValue: UInt64) { self.rawValue = rawValue }

  /// As in "run 12", for logs.
  public var description: String { "run \(rawValue)" }
}

/// What computation is to be started.
public struct RunStart: Sendable {
  /// What the REQUEST says, by stage.
  public enum Request: Sendable {
    /// Of an encoder: all that the client asked.
    case encode(RankRequest)
    /// Of an aligner or a ranker: the input follows.
    case streams(RunRequest)
  }

  /// Names the run in events and actions.
  public let id: RunID
  /// The stage to compute, that of the worker's role.
  public let stage: Stage
  /// The client's request, for logs.
  public let requestID: RequestID
  /// The gateway's number for the run, which its timing carries (gltp-1.md 7.4).
  public let attempt: UInt16
  /// The bundle to compute with, one of those that the worker serves.
  public let bundle: BundlePrefix
  /// How much the request matters where runs compete for the same threads.
  public let priority: Priority
  /// STREAM, TITLES, CANARY, RETRY.
  public let flags: MessageFlags
  /// When its time is over; `distantFuture` where the request states none. The machine watches it.
  public let deadline: MonotonicTime
  /// What is to be computed.
  public let request: Request

  /// Whether a ranker owes a provisional ranking of the first candidate chunk.
  public var wantsProvisional: Bool { flags.contains(.stream) || deadline < .distantFuture }
}

/// What happens to a worker.
///
/// Of the runs that it is told to start, computation reports `computing` before and `idle` after each piece of work,
/// any number of `output`, and at last exactly one of `finished`, `failed` and `stopped`.
public enum WorkerEvent<Payload: ChunkPayload>: Sendable {
  /// A gateway to work for; the machine asks for the connection.
  case added(LinkID, name: String)
  /// A gateway to leave: its runs are finished first.
  case removed(LinkID)
  /// The transport is connected.
  case connected(LinkID)
  /// The connection broke, or could not be made.
  case disconnected(LinkID, reason: String)
  /// A message of a gateway that the codec took.
  case received(LinkID, PeerMessage<Payload>)
  /// A message that the codec refused. The header is there where the head could be read.
  case refused(LinkID, MessageHeader?, FrameError.Consequence, detail: String)

  /// Computation takes the run, with the next chunk of a stream, or with `none` where it needs no chunk.
  case computing(RunID, StreamKind)
  /// Computation waits for more of the run's input.
  case idle(RunID)
  /// A chunk that the run made, with the flags FINAL or PROVISIONAL.
  case output(RunID, StreamKind, Payload, MessageFlags)
  /// All is computed; a ranker gives the final ranking. The machine sets the timing's attempt and queue.
  case finished(RunID, ranking: Payload?, timing: RunTiming)
  /// The run ends with a status that is not OK.
  case failed(RunID, RunFailure)
  /// Computation has let go of a run that was cancelled.
  case stopped(RunID)

  /// Finish what runs, for no longer than the limit, and leave.
  case drain(limit: MonotonicDuration)
  /// `nextTimer` has come.
  case timer

  /// Whether a thread of computation has said it.
  var isOfComputation: Bool {
    switch self {
    case .computing, .idle, .output, .finished, .failed, .stopped: true
    case .added, .removed, .connected, .disconnected, .received, .refused, .drain, .timer: false
    }
  }
}

/// Why a run failed.
public struct RunFailure: Sendable, Hashable {
  /// The status of the END; not OK.
  public var status: Status
  /// For people and logs.
  public var detail: String
  /// The chunk that is to blame, of CORRUPT.
  public var stream: StreamKind
  /// The chunk's number in `stream`, of CORRUPT.
  public var sequence: UInt32
  /// When to ask again, in milliseconds; of OVERLOADED.
  public var retryAfterMilliseconds: UInt32?

  /// `stream` and `sequence` name the damaged chunk and are left out of any other failure.
  public init(
    _ status: Status, detail: String = "", stream: StreamKind = .none, sequence: UInt32 = 0,
    retryAfterMilliseconds: UInt32? = nil
  ) {
    self.status = status
    self.detail = detail
    self.stream = stream
    self.sequence = sequence
    self.retryAfterMilliseconds = retryAfterMilliseconds
  }
}

/// What a worker's runtime is to do, in this order.
public enum WorkerAction<Payload: ChunkPayload>: Sendable {
  /// Encode and send by the link's socket.
  case send(LinkID, PeerMessage<Payload>)
  /// Close the link's socket, if it has one, and dial with a new one after a while.
  case dial(LinkID, after: MonotonicDuration)
  /// Close the link's socket for good, once what was sent is out.
  case close(LinkID)
  /// Start computing a run.
  case start(RunStart)
  /// Hand the next chunk of an input stream to a run.
  case deliver(RunID, StreamKind, Payload, sequence: UInt32, isFinal: Bool)
  /// So many chunks that the run made before are on their way. A producer keeps at most a window of outputs beyond
  /// what has been released; rankings are released at once.
  case release(RunID, StreamKind, chunks: UInt32)
  /// Stop computing, and report `stopped`.
  case cancel(RunID)
  /// Send a REPORT with this header.
  case report(LinkID, MessageHeader)
  /// Something about a session for logs and metrics.
  case notice(LinkID, SessionNotice)
  /// The worker is of no more use: leave the process.
  case exit(WorkerExit)
}

/// Why a worker leaves.
public enum WorkerExit: Sendable, Hashable {
  /// It was asked to, and has finished all runs.
  case drained
  /// It was asked to, and these many runs were not finished in time.
  case drainLimit(unfinished: Int)
  /// A chunk has not been computed within the limit: restart the process.
  case stuck(RequestID)
}

/// What a worker has done since it started (gltp-1.md 5.6).
public struct WorkerCounters: Sendable, Hashable {
  /// Runs accepted.
  public var runs: UInt64 = 0
  /// Runs that ended with a status other than OK, CANCELLED and DEADLINE.
  public var failed: UInt64 = 0
  /// Runs that ended with CANCELLED or DEADLINE, or whose session was lost.
  public var cancelled: UInt64 = 0
  /// REQUESTs refused.
  public var refused: UInt64 = 0
  /// Messages that came too late, or twice.
  public var late: UInt64 = 0
  /// Credit granted in all open sessions.
  public var creditTotal: UInt64 = 0
  /// Runs that are being computed now.
  public var running = 0
  /// Runs that wait for input or for computation.
  public var queued = 0
}
