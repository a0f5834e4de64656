// How runs end (gltp-1.md 7.7, 7.10, 10.3).

extension GatewayMachine {
  mutating func receiveEnd(_ header: MessageHeader, _ end: RunEnd, _ ranking: Payload?, _ session: Int) {
    let run = run(header, of: session)
    if let run { detach(run) }
    // Each REQUEST has one END, a late one too, after which the worker is less busy.
    noteEnd(session)
    guard let run else { return countLate() }
    noteRunEnded(run, header.status, end[timing: header.stage], session)
    switch header.status {
    case .ok where header.stage == .ranker: rankerFinished(run, header, end, ranking, session)
    case .ok: producerFinished(run, end, session)
    case .overloaded, .draining: move(run, header.status, session)
    case .corrupt: corrupted(run, header, session)
    case .sequenceGap: blameAndRestart(run, run, .sequenceGap, session)
    case .internal: failedInternally(run, session)
    case .bundleGone: bundleGone(run, session)
    default: endAsWorkerSays(run, header, end, ranking)
    }
  }

  mutating func noteEnd(_ session: Int) {
    let inFlight = max(sessions[session].inFlight - 1, sessions[session].count)
    guard inFlight != sessions[session].inFlight else { return }
    sessions[session].inFlight = inFlight
    updateReady(session)
  }

  private mutating func producerFinished(_ run: Int, _ end: RunEnd, _ session: Int) {
    let stage = Self.stage(run)
    guard runs[run].isComplete(stage) else { return failedInternally(run, session) }
    succeed(run, end)
    releaseInput(run)
  }

  /// A run that is finished reads no more: what was kept for it makes room.
  mutating func releaseInput(_ run: Int) {
    guard Self.stage(run) == .aligner else { return }
    let request = Self.request(run)
    let before = chunks[request].buffer.byteCount
    chunks[request].buffer.dropInstruction()
    heldBytes -= before - chunks[request].buffer.byteCount
    letProducersGoOn(request)
  }

  private mutating func rankerFinished(
    _ run: Int, _ header: MessageHeader, _ end: RunEnd, _ ranking: Payload?, _ session: Int
  ) {
    guard let ranking else { return failedInternally(run, session) }
    succeed(run, end)
    keepRanking(HeldChunk(header: header, payload: ranking), Self.request(run))
    finish(Self.request(run), .ok)
  }

  private mutating func endAsWorkerSays(_ run: Int, _ header: MessageHeader, _ end: RunEnd, _ ranking: Payload?) {
    let request = Self.request(run)
    // What a gateway alone may say, or nobody in an END, is no status of a worker.
    let isKnown =
      header.status.rawValue <= Status.stalled.rawValue && header.status != .poisoned && header.status != .stalled
    if let ranking, header.stage == .ranker { keepRanking(HeldChunk(header: header, payload: ranking), request) }
    finish(request, isKnown ? header.status : .internal, detail: isKnown ? end.detail : nil)
  }

  // MARK: Times

  /// Keeps a successful run's timing for the client, and for the means of its stage.
  private mutating func succeed(_ run: Int, _ end: RunEnd) {
    let stage = Self.stage(run)
    let request = Self.request(run)
    let pool = Self.pool(stage)
    let elapsed = now.since(runs[run].since)
    runs[run].state = .finished
    if !requests[request].flags.contains(.canary) {
      let old = stages[pool].meanRun.microseconds
      let new = old == 0 ? elapsed.microseconds : old - old / 8 + elapsed.microseconds / 8
      stages[pool].meanRun = MonotonicDuration(microseconds: new)
    }
    guard let timing = end[timing: stage].map({ completed($0, run) }) else { return }
    requests[request].timings[timing: stage] = timing
    if !requests[request].flags.contains(.canary) { stages[pool].times.add(timing, elapsed) }
  }

  /// A worker's timing with what only the gateway knows: the run's number, and how long it waited for a worker.
  private func completed(_ timing: RunTiming, _ run: Int) -> RunTiming {
    var timing = timing
    timing.attempt = runs[run].attempt
    timing.queue = UInt32(clamping: UInt64(timing.queue) + UInt64(runs[run].wait.microseconds32))
    return timing
  }

  private mutating func noteRunEnded(_ run: Int, _ status: Status, _ timing: RunTiming?, _ session: Int) {
    let request = Self.request(run)
    actions.append(
      .note(
        .runEnded(
          requests[request].id, Self.stage(run), attempt: runs[run].attempt, session: sessions[session].id, status,
          now.since(runs[run].since), timing.map { completed($0, run) }, requests[request].flags)))
  }
}

extension GatewayReport.StageTimes {
  mutating func add(_ timing: RunTiming, _ elapsed: MonotonicDuration) {
    runs += 1
    queue &+= UInt64(timing.queue)
    decode &+= UInt64(timing.decode)
    compute &+= UInt64(timing.compute)
    encode &+= UInt64(timing.encode)
    self.elapsed &+= elapsed.microseconds
  }
}
