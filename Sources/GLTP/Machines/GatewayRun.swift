/// One stage of one request at the gateway: `r(stage)` of gltp-1.md 10.3, used for one run after another.
struct GatewayRun: Sendable {
  enum State: UInt8, Sendable {
    case none
    /// In the queue, for a worker with credit.
    case waiting
    case running
    /// Its worker says that a chunk is damaged; the runtime looks whose fault it is.
    case verifying
    case finished
  }

  var state = State.none
  /// Number of the run; 0 before the first.
  var attempt: UInt16 = 0
  /// Slot of the session, while running.
  var session = -1
  /// Neighbours in the list of the session's runs.
  var previous: Int32 = -1
  var next: Int32 = -1
  /// Since when it waits or runs.
  var since = MonotonicTime.zero
  /// How long it waited for a worker.
  var wait = MonotonicDuration.zero
  /// What it makes: instruction or ranking, and candidates.
  private var outputs = (StreamReceiver(), StreamReceiver())
  /// What it is fed: instruction, and candidates.
  private var inputs = (StreamSender(), StreamSender())

  // Over all runs of this stage of the request
  /// Sessions that have failed it: others are preferred.
  var avoided = ContiguousArray<UInt64>()
  /// The first worker process that was lost while running it.
  var lost: BootID?
  /// Place among the waiting runs that avoid some session; -1 where it is not there.
  var choosyPosition: Int32 = -1

  /// The next run seeks a worker.
  mutating func open(window: UInt32, now: MonotonicTime) {
    state = .none
    attempt += 1
    since = now
    outputs = (StreamReceiver(window: window), StreamReceiver(window: window))
  }

  /// A worker has been found, which takes so many chunks without ACK.
  mutating func start(on session: Int, window: UInt32, now: MonotonicTime) {
    state = .running
    self.session = session
    wait = now.since(since)
    since = now
    inputs = (StreamSender(window: window), StreamSender(window: window))
  }

  /// What a stage makes, and what it reads.
  static func makes(_ stream: StreamKind, _ stage: Stage) -> Bool {
    switch stage {
    case .none: false
    case .encoder: stream == .instruction || stream == .candidates
    case .aligner: stream == .instruction
    case .ranker: stream == .ranking
    }
  }

  static func reads(_ stream: StreamKind, _ stage: Stage) -> Bool {
    switch stage {
    case .none, .encoder: false
    case .aligner: stream == .instruction
    case .ranker: stream == .instruction || stream == .candidates
    }
  }

  /// Whether an encoder's or aligner's run has made all that it makes.
  func isComplete(_ stage: Stage) -> Bool {
    switch stage {
    case .encoder: outputs.0.isFinished && outputs.1.isFinished
    case .aligner: outputs.0.isFinished
    case .none, .ranker: false
    }
  }

  subscript(output stream: StreamKind) -> StreamReceiver {
    get { stream == .candidates ? outputs.1 : outputs.0 }
    set { if stream == .candidates { outputs.1 = newValue } else { outputs.0 = newValue } }
  }

  subscript(input stream: StreamKind) -> StreamSender {
    get { stream == .candidates ? inputs.1 : inputs.0 }
    set { if stream == .candidates { inputs.1 = newValue } else { inputs.0 = newValue } }
  }
}
