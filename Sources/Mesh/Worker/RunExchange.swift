import GLTP

/// What a compute thread tells the I/O thread.
enum ComputeReport: Sendable {
  case computing(RunID, StreamKind)
  case idle(RunID)
  case output(RunID, StreamKind, MessageHandle, MessageFlags)
  case finished(RunID, ranking: MessageHandle?, RunTiming)
  case failed(RunID, RunFailure)
  case stopped(RunID)
}

/// The runs of one compute thread, one after another, as the stage sees them. Decodes and encodes on this thread.
final class RunExchange: StageExchange {
  let buffers: BufferPool
  private(set) var request = StageRequest.run(RunRequest(count: 1, mode: .slots))
  private(set) var flags: MessageFlags = []

  private let messages: MultipartPool
  private let reports: Inbox<ComputeReport>
  private var decoder: MessageDecoder
  private var encoder: MessageEncoder
  private var parts = MessageParts()
  private var channel: RunChannel?
  private var id: RunID?
  private var stage = Stage.none
  /// The END has been reported.
  private var isOver = false
  /// The chunk that could not be read.
  private var damage: (failure: StageFailure, stream: StreamKind, sequence: UInt32)?
  private var finishedStreams = 0
  private var clock = StageClock()
  /// The message received last, to be used again.
  private var used: Multipart?

  init(buffers: BufferPool, messages: MultipartPool, reports: Inbox<ComputeReport>) {
    self.buffers = buffers
    self.messages = messages
    self.reports = reports
    decoder = MessageDecoder(pool: buffers, limits: .mesh)
    encoder = MessageEncoder(pool: buffers)
  }

  // MARK: For the compute thread's loop

  /// Starts with a run.
  func begin(_ channel: RunChannel) {
    let start = channel.start
    self.channel = channel
    id = start.id
    stage = start.stage
    flags = start.flags.intersection([.stream, .titles])
    request =
      switch start.request {
      case .encode(let request): .rank(request)
      case .streams(let request): .run(request)
      }
    isOver = false
    damage = nil
    finishedStreams = 0
    clock = StageClock()
    reports.post(.computing(start.id, .none), waking: false)
  }

  /// Ends what the stage has left open.
  ///
  /// - Parameter failure: what the stage threw.
  func conclude(_ failure: StageFailure?) {
    defer {
      recycle()
      channel = nil
      id = nil
      request = .run(RunRequest(count: 1, mode: .slots))
    }
    guard let id, !isOver else { return }
    isOver = true
    if channel?.isStopped ?? true {
      reports.post(.stopped(id))
    } else if let damage {
      reports.post(
        .failed(
          id,
          RunFailure(
            damage.failure.status, detail: damage.failure.detail, stream: damage.stream, sequence: damage.sequence)))
    } else if let failure {
      if let ranking = failure.ranking, failure.status == .deadline || failure.status == .cancelled,
        let chunk = try? encode(.ranking(ranking), isFinal: false, flags: [])
      {
        reports.post(.output(id, .ranking, chunk, []))
      }
      reports.post(.failed(id, RunFailure(failure.status, detail: failure.detail)))
    } else {
      reports.post(.failed(id, RunFailure(.internal, detail: "the stage returned without ending its run")))
    }
  }

  // MARK: For the stage

  func check() throws(StageFailure) {
    guard let channel, !isOver else { throw StageFailure(.internal, "the run has ended") }
    if let damage { throw damage.failure }
    if channel.isStopped { throw stopped }
  }

  /// Why a run is not wanted any more, as far as it can be told from here.
  private var stopped: StageFailure {
    guard let channel else { return StageFailure(.cancelled, "the run has ended") }
    return MonotonicTime.now >= channel.start.deadline
      ? StageFailure(.deadline, "the time of the request is over")
      : StageFailure(.cancelled, "the run was cancelled, or its gateway was lost")
  }

  /// Gives the message received last back to the pool.
  private func recycle() {
    guard var message = used.take() else { return }
    if isKnownUniquelyReferenced(&message) { messages.recycle(message) }
  }

  func receive() throws(StageFailure) -> StreamChunk? {
    try check()
    recycle()
    guard let channel, let id else { return nil }
    var arrival = channel.receive(waiting: false)
    if case .none = arrival {
      reports.post(.idle(id), waking: false)
      clock.beginWaiting()
      arrival = channel.receive(waiting: true)
      clock.endWaiting()
      if case .end = arrival { reports.post(.computing(id, .none), waking: false) }
    }
    switch arrival {
    case .input(let input):
      reports.post(.computing(id, input.stream), waking: false)
      return try decode(input)
    case .end: return nil
    case .none, .stopped: throw stopped
    }
  }

  private func decode(_ input: RunInput) throws(StageFailure) -> StreamChunk {
    clock.beginDecoding()
    defer { clock.endDecoding() }
    let message: Message
    do throws(FrameError) {
      message = try input.message.withParts { parts throws(FrameError) in try decoder.decode(parts) }
    } catch {
      try refuse(input, error.consequence == .overloaded ? .overloaded : .corrupt, "\(error)")
    }
    // The I/O thread lets go of it in a moment.
    input.message.removeAll()
    used = input.message
    // The I/O thread has seen that the head says INPUT.
    guard case .input(let chunk) = message.body else { try refuse(input, .internal, "it is no INPUT") }
    return chunk
  }

  /// Ends the run for a chunk that cannot be read.
  private func refuse(_ input: RunInput, _ status: Status, _ reason: String) throws(StageFailure) -> Never {
    let failure = StageFailure(status, "chunk \(input.sequence) of \(input.stream) cannot be read: \(reason)")
    damage = (failure, input.stream, input.sequence)
    throw failure
  }

  func send(_ chunk: StreamChunk, isFinal: Bool, flags: MessageFlags) throws(StageFailure) {
    try check()
    guard let channel, let id else { return }
    let stream = chunk.stream
    let encoded = try encode(chunk, isFinal: isFinal, flags: flags)
    if stream != .ranking {
      var room = channel.takeRoom(stream, waiting: false)
      if room == false {
        reports.post(.idle(id), waking: false)
        clock.beginWaiting()
        room = channel.takeRoom(stream, waiting: true)
        clock.endWaiting()
        reports.post(.computing(id, .none), waking: false)
      }
      guard room == true else { throw stopped }
    }
    // Behind the last chunk of all comes the end of the run, which wakes the I/O thread for both.
    if isFinal { finishedStreams += 1 }
    let hasMore = finishedStreams < stage.outputStreams
    reports.post(.output(id, stream, encoded, isFinal ? flags.union(.final) : flags), waking: hasMore)
  }

  func end(_ ranking: RankingSnapshot?) throws(StageFailure) {
    try check()
    guard let id else { return }
    let encoded =
      if let ranking { try encode(.ranking(ranking), isFinal: false, flags: []) } else { nil as MessageHandle? }
    isOver = true
    reports.post(.finished(id, ranking: encoded, clock.timing))
  }

  /// Encodes a chunk as a PARTIAL; the I/O thread writes the header that belongs to it.
  private func encode(
    _ chunk: StreamChunk, isFinal: Bool, flags: MessageFlags
  ) throws(StageFailure) -> MessageHandle {
    clock.beginEncoding()
    defer { clock.endEncoding() }
    let stream = chunk.stream
    let wanted = isFinal && stream != .ranking ? flags.union(.final) : flags
    let header = MessageHeader(
      .partial, flags: wanted.intersection(stream == .ranking ? .provisional : .final), stage: stage, stream: stream)
    do throws(FrameError) {
      try encoder.encode(Message(header: header, body: .partial(chunk)), into: &parts)
    } catch {
      throw StageFailure(.internal, "the stage's result cannot be encoded: \(error)")
    }
    let message = messages.take()
    message.append(parts)
    parts.removeAll()
    return MessageHandle(message)
  }
}

extension Stage {
  /// Streams that a run ends with FINAL. A ranker's ends with the run.
  fileprivate var outputStreams: Int {
    switch self {
    case .encoder: 2
    case .aligner: 1
    case .ranker, .none: .max
    }
  }
}

extension StreamChunk {
  /// The stream that carries such chunks.
  var stream: StreamKind {
    switch self {
    case .instruction, .prompt: .instruction
    case .candidates: .candidates
    case .ranking: .ranking
    }
  }
}

/// Where a run's time goes on its compute thread.
struct StageClock {
  private let start = MonotonicInstant.now
  private var since = MonotonicInstant.now
  private var waited = Duration.zero
  private var decoded = Duration.zero
  private var encoded = Duration.zero

  mutating func beginWaiting() { since = .now }
  mutating func endWaiting() { waited += since.duration(to: .now) }
  mutating func beginDecoding() { since = .now }
  mutating func endDecoding() { decoded += since.duration(to: .now) }
  mutating func beginEncoding() { since = .now }
  mutating func endEncoding() { encoded += since.duration(to: .now) }

  /// The timing so far; the machine adds attempt and queue.
  var timing: RunTiming {
    let computed = start.duration(to: .now) - waited - decoded - encoded
    return RunTiming(
      queue: 0, decode: MonotonicDuration(decoded).microseconds32, compute: MonotonicDuration(computed).microseconds32,
      encode: MonotonicDuration(encoded).microseconds32)
  }
}
