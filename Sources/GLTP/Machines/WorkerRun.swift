/// An input stream of a run.
struct WorkerInput: Sendable {
  var receiver: StreamReceiver
  /// Chunks that computation has begun.
  var taken: UInt32 = 0

  init(window: UInt32) { receiver = StreamReceiver(window: window) }

  /// The ACK to send, if any: for all chunks that leave room for one more.
  ///
  /// - Parameter room: chunks that may wait for computation.
  mutating func acknowledge(room: UInt32) -> UInt32? {
    let (count, overflow) = taken.addingReportingOverflow(room)
    return receiver.acknowledge(upTo: overflow ? .max : count)
  }
}

/// An output stream of a run: what its window does not let out waits.
struct WorkerOutput<Payload: ChunkPayload>: Sendable {
  var sender: StreamSender
  private var waiting = ShortList<(payload: Payload, flags: MessageFlags)>()
  /// Whether computation has given the last chunk.
  private(set) var isComplete = false

  init(window: UInt32) { sender = StreamSender(window: window) }

  /// Whether chunks wait for the window.
  var isWaiting: Bool { !waiting.isEmpty }

  mutating func add(_ payload: Payload, _ flags: MessageFlags) {
    waiting.append((payload, flags))
    if flags.contains(.final) { isComplete = true }
  }

  /// A snapshot replaces what has not been sent.
  mutating func replace(_ payload: Payload, _ flags: MessageFlags) {
    waiting.removeAll()
    waiting.append((payload, flags))
  }

  mutating func forgetWaiting() { waiting.removeAll() }

  /// The next chunk that the window lets out.
  mutating func next() -> (payload: Payload, flags: MessageFlags, sequence: UInt32)? {
    guard sender.isOpen, let chunk = waiting.popFirst() else { return nil }
    return (chunk.payload, chunk.flags, sender.send(isFinal: chunk.flags.contains(.final)))
  }
}

/// A run of a worker (gltp-1.md 10.4), from the REQUEST until computation has let go of it.
struct WorkerRun<Payload: ChunkPayload>: Sendable {
  let id: RunID
  let link: LinkID
  let sessionID: UInt64
  let requestID: RequestID
  let attempt: UInt16
  let stage: Stage
  let bundle: BundlePrefix
  let priority: Priority
  let deadline: MonotonicTime
  let acceptedAt: MonotonicTime
  /// Whether END has been sent, or nobody waits for it: only computation still holds the run.
  var isEnded = false
  /// Whether its slot counts as one of the session's.
  var holdsSlot = true
  /// Whether computation has let go of it.
  var isReleased = false
  var instruction: WorkerInput
  var candidates: WorkerInput
  var instructionOutput: WorkerOutput<Payload>
  var candidateOutput: WorkerOutput<Payload>
  var rankingOutput: WorkerOutput<Payload>
  /// The best ranking so far.
  var newest: (payload: Payload, flags: MessageFlags)?
  /// END(OK) that waits for the windows.
  var finish: (ranking: Payload?, timing: RunTiming)?
  /// When what the run needs to start was there.
  var readyAt: MonotonicTime?
  var startedAt: MonotonicTime?
  /// Since when the current piece of work has been computed.
  var computingSince: MonotonicTime?

  init(
    _ id: RunID, _ link: LinkID, _ header: MessageHeader, deadline: MonotonicTime, acceptedAt: MonotonicTime,
    inputWindow: UInt32, outputWindow: UInt32
  ) {
    self.id = id
    self.link = link
    sessionID = header.sessionID
    requestID = header.requestID
    attempt = header.attempt
    stage = header.stage
    bundle = header.bundle
    priority = header.priority
    self.deadline = deadline
    self.acceptedAt = acceptedAt
    instruction = WorkerInput(window: inputWindow)
    candidates = WorkerInput(window: inputWindow)
    instructionOutput = WorkerOutput(window: outputWindow)
    candidateOutput = WorkerOutput(window: outputWindow)
    rankingOutput = WorkerOutput(window: outputWindow)
  }

  /// A header of the run with what remains of its time.
  func header(
    _ kind: MessageKind, _ stream: StreamKind = .none, flags: MessageFlags = [], status: Status = .ok,
    sequence: UInt32 = 0, _ now: MonotonicTime
  ) -> MessageHeader {
    let budget = deadline == .distantFuture ? 0 : max(deadline.since(now).wholeMilliseconds, 1)
    return MessageHeader(
      kind, flags: flags, stage: stage, stream: stream, priority: priority, attempt: attempt, status: status,
      requestID: requestID, sessionID: sessionID, sequence: sequence, budgetMilliseconds: budget, bundle: bundle)
  }

  func matches(_ link: LinkID, _ header: MessageHeader) -> Bool {
    self.link == link && sessionID == header.sessionID && requestID == header.requestID
      && attempt == header.attempt && stage == header.stage
  }

  /// The streams that the run makes, `ranking` aside.
  var lacksFinal: Bool {
    switch stage {
    case .encoder: !(instructionOutput.isComplete && candidateOutput.isComplete)
    case .aligner: !instructionOutput.isComplete
    case .ranker, .none: false
    }
  }

  func makes(_ stream: StreamKind) -> Bool {
    switch stage {
    case .encoder: stream == .instruction || stream == .candidates
    case .aligner: stream == .instruction
    case .ranker: stream == .ranking
    case .none: false
    }
  }

  func takes(_ stream: StreamKind) -> Bool {
    switch stage {
    case .aligner: stream == .instruction
    case .ranker: stream == .instruction || stream == .candidates
    case .encoder, .none: false
    }
  }

  subscript(input stream: StreamKind) -> WorkerInput {
    get { stream == .candidates ? candidates : instruction }
    _modify {
      if stream == .candidates { yield &candidates } else { yield &instruction }
    }
  }

  subscript(output stream: StreamKind) -> WorkerOutput<Payload> {
    get {
      switch stream {
      case .candidates: candidateOutput
      case .ranking: rankingOutput
      case .instruction, .none: instructionOutput
      }
    }
    _modify {
      switch stream {
      case .candidates: yield &candidateOutput
      case .ranking: yield &rankingOutput
      case .instruction, .none: yield &instructionOutput
      }
    }
  }

  /// When a timer of the run is due.
  func nextTimer(stuckLimit: MonotonicDuration) -> MonotonicTime {
    let stuck = computingSince.map { $0 + stuckLimit } ?? .distantFuture
    return isEnded ? stuck : min(stuck, deadline)
  }
}
