// Chunks from their producers into the request's buffer, and from there to their consumers (gltp-1.md 6.5, 6.6).

extension GatewayMachine {
  mutating func receiveFromWorker(_ message: PeerMessage<Payload>, _ session: Int) {
    let header = message.header
    switch message.body {
    case .chunk(let payload) where header.kind == .partial:
      receiveChunk(HeldChunk(header: header, payload: payload), session)
    case .end(let end, let ranking): receiveEnd(header, end, ranking, session)
    case .control(.ack): receiveWorkerAck(header, session)
    case .control(.credit(let total)): receiveCredit(total, session)
    case .control(.report(let report)): receiveReport(report, session)
    default: violation(session)
    }
  }

  /// The run that a worker's message is about; nil where it is not, or no longer, the worker's.
  func run(_ header: MessageHeader, of session: Int) -> Int? {
    guard header.stage != .none, let request = requestsByID[header.requestID] else { return nil }
    let run = Self.run(request, header.stage)
    guard runs[run].state == .running, runs[run].session == session, runs[run].attempt == header.attempt else {
      return nil
    }
    return run
  }

  private mutating func receiveChunk(_ chunk: HeldChunk<Payload>, _ session: Int) {
    let header = chunk.header
    guard let run = run(header, of: session) else { return countLate() }
    let request = Self.request(run)
    let isFinal = header.flags.contains(.final)
    // An instruction is one chunk; and chunks of another bundle would mean other items.
    guard GatewayRun.makes(header.stream, header.stage), header.stream != .instruction || isFinal,
      header.bundle == prefix(of: request)
    else { return misbehaved(run) }
    switch runs[run][output: header.stream].receive(header.sequence, isFinal: isFinal) {
    case .duplicate: counters.duplicates += 1
    case .gap, .overrun: blameAndRestart(run, run, .sequenceGap)
    case .afterFinal: misbehaved(run)
    case .accepted: keep(chunk, run, session)
    }
  }

  private mutating func keep(_ chunk: HeldChunk<Payload>, _ run: Int, _ session: Int) {
    let request = Self.request(run)
    let header = chunk.header
    if header.stage == .ranker {
      keepRanking(chunk, request)
      acknowledge(run, .ranking)
      sendSnapshot(request)
      return
    }
    chunks[request].buffer.append(chunk, header.stage, header.stream)
    heldBytes += chunk.byteCount
    makeRoom(request)
    acknowledgeIfRoom(run, header.stream)
    feedConsumer(request, header.stage, header.stream)
  }

  /// Passes on what has come in, and opens the run that reads it where there is none.
  private mutating func feedConsumer(_ request: Int, _ producer: Stage, _ stream: StreamKind) {
    let isForAligner = producer == .encoder && stream == .instruction
    let consumer = Self.run(request, isForAligner ? .aligner : .ranker)
    switch runs[consumer].state {
    case .none: open(consumer)
    case .running: pump(consumer)
    case .waiting, .verifying, .finished: break
    }
  }

  // MARK: To consumers

  /// Sends a running run what is there for it, as far as its windows allow.
  mutating func pump(_ run: Int) {
    switch Self.stage(run) {
    case .none, .encoder: break
    case .aligner: pump(run, .instruction)
    case .ranker:
      pump(run, .instruction)
      pump(run, .candidates)
    }
  }

  private mutating func pump(_ run: Int, _ stream: StreamKind) {
    let stage = Self.stage(run)
    let request = Self.request(run)
    while runs[run][input: stream].isOpen {
      let next = runs[run][input: stream].next
      guard let chunk = chunks[request].buffer.chunk(for: stage, stream, next) else { return }
      var header = chunk.header
      header.kind = .input
      header.stage = stage
      header.attempt = runs[run].attempt
      header.sequence = runs[run][input: stream].send(isFinal: header.flags.contains(.final))
      header.budgetMilliseconds = remaining(request)
      send(PeerMessage(header, .chunk(chunk.payload)), to: runs[run].session)
    }
  }

  private mutating func receiveWorkerAck(_ header: MessageHeader, _ session: Int) {
    guard let run = run(header, of: session) else { return countLate() }
    guard GatewayRun.reads(header.stream, header.stage) else { return violation(session) }
    switch runs[run][input: header.stream].acknowledge(header.sequence) {
    case .stale: break
    case .violation: violation(session)
    case .progress:
      pump(run, header.stream)
      if header.stage == .ranker { letProducersGoOn(Self.request(run)) }
    }
  }

  // MARK: To producers

  private mutating func acknowledge(_ run: Int, _ stream: StreamKind) {
    guard let count = runs[run][output: stream].acknowledgeAll() else { return }
    var header = header(.ack, run, stream, sequence: count)
    header.budgetMilliseconds = 0
    send(.ack, header, to: runs[run].session)
  }

  private mutating func acknowledgeIfRoom(_ run: Int, _ stream: StreamKind) {
    guard chunks[Self.request(run)].buffer.byteCount < configuration.replayBytes else { return }
    acknowledge(run, stream)
  }

  /// Where the buffer is full, forgets the candidates that the ranker has acknowledged. Should that ranker be lost, the
  /// request starts again; otherwise it would never go on.
  private mutating func makeRoom(_ request: Int) {
    guard chunks[request].buffer.byteCount >= configuration.replayBytes else { return }
    let ranker = Self.run(request, .ranker)
    guard runs[ranker].state == .running else { return }
    let before = chunks[request].buffer.byteCount
    chunks[request].buffer.dropCandidates(before: runs[ranker][input: .candidates].acknowledged)
    heldBytes -= before - chunks[request].buffer.byteCount
  }

  /// Acknowledges what producers have been left waiting for, if there is room now.
  mutating func letProducersGoOn(_ request: Int) {
    makeRoom(request)
    for stage in [Stage.encoder, .aligner] {
      let run = Self.run(request, stage)
      guard runs[run].state == .running else { continue }
      acknowledgeIfRoom(run, .instruction)
      if stage == .encoder { acknowledgeIfRoom(run, .candidates) }
    }
  }
}
