/// Runs of a worker (gltp-1.md 10.4).
extension WorkerMachine {
  /// A message of an open session that is about a run.
  mutating func receiveForRun(
    _ link: LinkID, _ message: PeerMessage<Payload>, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    let header = message.header
    switch message.body {
    case .control(.rank(let request)): receiveRequest(link, header, .encode(request), now, &actions)
    case .control(.run(let request)): receiveRequest(link, header, .streams(request), now, &actions)
    case .control(.status): actions.append(.report(link, reportHeader(link, header)))
    case .control(.cancel):
      guard let index = openRun(link, header) else { return count.late += 1 }
      end(index, .cancelled, detail: "cancelled by the gateway", now, &actions)
    case .control(.ack): receiveAcknowledgement(link, header, now, &actions)
    case .chunk(let payload) where header.kind == .input: receiveInput(link, header, payload, now, &actions)
    default: count.late += 1
    }
  }

  private mutating func reportHeader(_ link: LinkID, _ header: MessageHeader) -> MessageHeader {
    MessageHeader(.report, requestID: header.requestID, sessionID: header.sessionID)
  }

  /// The run that a message is about, if it still counts.
  private func openRun(_ link: LinkID, _ header: MessageHeader) -> Int? {
    for index in runs.indices where !runs[index].isEnded && runs[index].matches(link, header) { return index }
    return nil
  }

  // MARK: Opening

  private mutating func receiveRequest(
    _ link: LinkID, _ header: MessageHeader, _ request: RunStart.Request, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    guard !runs.contains(where: { $0.matches(link, header) }) else { return count.late += 1 }
    let hasCredit = credits.use(link)
    let overdraft = hasCredit ? nil : RunFailure(.overloaded, detail: "more REQUESTs than credit")
    guard let refusal = refusal(link, header, request) ?? overdraft else {
      return accept(link, header, request, now, &actions)
    }
    if hasCredit { credits.release(link) }
    refuse(link, header, refusal, now, &actions)
  }

  private func isLeaving(_ link: LinkID) -> Bool { linkIndex(link).map { links[$0].phase == .draining } ?? true }

  private func refusal(_ link: LinkID, _ header: MessageHeader, _ request: RunStart.Request) -> RunFailure? {
    if isLeaving(link) { return RunFailure(.draining, detail: "the worker leaves") }
    guard header.stage == configuration.role.stage else {
      return RunFailure(.badRequest, detail: "stage \(header.stage) asked of a worker for \(configuration.role)")
    }
    switch (request, header.stage) {
    case (.encode, .encoder), (.streams, .aligner), (.streams, .ranker): break
    default: return RunFailure(.badRequest, detail: "a REQUEST for another stage")
    }
    guard configuration.bundles.contains(where: { $0.prefix == header.bundle }) else {
      return RunFailure(.bundleGone, detail: "bundle \(header.bundle) is not served here")
    }
    return nil
  }

  /// END for a run that never was.
  private mutating func refuse(
    _ link: LinkID, _ header: MessageHeader, _ failure: RunFailure, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    count.refused += 1
    let end = RunEnd(
      retryAfterMilliseconds: failure.retryAfterMilliseconds, detail: WireText(shortening: failure.detail))
    let reply = MessageHeader(
      .end, stage: header.stage, attempt: header.attempt, status: failure.status, requestID: header.requestID,
      sessionID: header.sessionID, bundle: header.bundle)
    send(link, reply, .end(end, ranking: nil), now, &actions)
  }

  private mutating func accept(
    _ link: LinkID, _ header: MessageHeader, _ request: RunStart.Request, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    let budget = min(header.budgetMilliseconds, 600_000)
    let deadline = budget == 0 ? MonotonicTime.distantFuture : now + .milliseconds(UInt64(budget))
    let id = newRunID()
    var run = WorkerRun<Payload>(
      id, link, header, deadline: deadline, acceptedAt: now, inputWindow: configuration.limits.window,
      outputWindow: linkIndex(link).map { links[$0].window } ?? StreamSender.defaultWindow)
    if header.stage == .encoder { run.readyAt = now }
    runs.append(run)
    count.runs += 1
    actions.append(
      .start(
        RunStart(
          id: id, stage: header.stage, requestID: header.requestID, attempt: header.attempt, bundle: header.bundle,
          priority: header.priority, flags: header.flags, deadline: deadline, request: request)))
  }

  // MARK: Input

  private mutating func receiveInput(
    _ link: LinkID, _ header: MessageHeader, _ payload: Payload, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = openRun(link, header) else { return count.late += 1 }
    guard judgeInput(index, header, now, &actions) else { return }
    if runs[index].readyAt == nil { runs[index].readyAt = now }
    actions.append(
      .deliver(
        runs[index].id, header.stream, payload, sequence: header.sequence, isFinal: header.flags.contains(.final)))
    acknowledge(index, header.stream, now, &actions)
  }

  /// Whether an INPUT is the next one; if not, does what is to be done about it.
  private mutating func judgeInput(
    _ index: Int, _ header: MessageHeader, _ now: MonotonicTime, _ actions: inout [Action]
  ) -> Bool {
    let stream = header.stream
    guard runs[index].takes(stream) else {
      end(index, .badRequest, detail: "this stage takes no \(stream)", now, &actions)
      return false
    }
    let expected = runs[index][input: stream].receiver.accepted
    switch runs[index][input: stream].receiver.receive(header.sequence, isFinal: header.flags.contains(.final)) {
    case .accepted: return true
    case .duplicate: count.late += 1
    case .gap:
      end(
        index, .sequenceGap, detail: "chunk \(header.sequence) of \(stream) came, \(expected) was expected",
        stream: stream, sequence: header.sequence, now, &actions)
    case .overrun:
      end(
        index, .sequenceGap, detail: "chunk \(header.sequence) of \(stream) came against a closed window",
        stream: stream, sequence: header.sequence, now, &actions)
    case .afterFinal:
      end(
        index, .internal, detail: "chunk \(header.sequence) of \(stream) came after FINAL", stream: stream,
        sequence: header.sequence, now, &actions)
    }
    return false
  }

  private mutating func acknowledge(
    _ index: Int, _ stream: StreamKind, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let count = runs[index][input: stream].acknowledge(room: configuration.inputRoom) else { return }
    let header = runs[index].header(.ack, stream, sequence: count, now)
    send(runs[index].link, header, .control(.ack), now, &actions)
  }

  /// What the codec refused: damage fails a run, anything else the session (gltp-1.md 8.1).
  mutating func receiveRefused(
    _ link: LinkID, _ header: MessageHeader?, _ consequence: FrameError.Consequence, _ detail: String,
    _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = linkIndex(link) else { return }
    links[index].noteReceived(now)
    guard consequence != .closesSession, links[index].isOpen else { return violated(link, detail, now, &actions) }
    guard let header else {
      // Heads are the gateway's own, so nobody else can have damaged them.
      if damage.note(link, now) { violated(link, detail, now, &actions) }
      return
    }
    let status: Status = consequence == .overloaded ? .overloaded : .corrupt
    switch header.kind {
    case .input:
      guard let run = openRun(link, header) else { return count.late += 1 }
      guard judgeInput(run, header, now, &actions) else { return }
      end(run, status, detail: detail, stream: header.stream, sequence: header.sequence, now, &actions)
    case .request:
      guard !runs.contains(where: { $0.matches(link, header) }) else { return count.late += 1 }
      if credits.use(link) { credits.release(link) }
      refuse(link, header, RunFailure(status, detail: detail), now, &actions)
    default:
      if damage.note(link, now) { violated(link, detail, now, &actions) }
    }
  }

  // MARK: Computation

  mutating func computing(_ id: RunID, _ stream: StreamKind, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = runIndex(id), !runs[index].isReleased else { return }
    runs[index].computingSince = now
    if runs[index].startedAt == nil { runs[index].startedAt = now }
    guard !runs[index].isEnded, runs[index].takes(stream) else { return }
    runs[index][input: stream].taken += 1
    acknowledge(index, stream, now, &actions)
  }

  mutating func output(
    _ id: RunID, _ stream: StreamKind, _ payload: Payload, _ flags: MessageFlags, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    guard let index = runIndex(id), !runs[index].isReleased else { return }
    if runs[index].computingSince != nil { runs[index].computingSince = now }
    guard !runs[index].isEnded else { return }
    guard runs[index].makes(stream), !runs[index][output: stream].isComplete else {
      return end(index, .internal, detail: "the stage made a chunk of \(stream) that has no place", now, &actions)
    }
    if stream == .ranking {
      let flags = flags.intersection(.provisional)
      runs[index].newest = (payload, flags)
      runs[index].rankingOutput.replace(payload, flags)
    } else {
      runs[index][output: stream].add(payload, flags.intersection(.final))
    }
    pump(index, stream, now, &actions)
  }

  mutating func finished(
    _ id: RunID, _ ranking: Payload?, _ timing: RunTiming, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = letGo(id) else { return }
    if runs[index].lacksFinal {
      end(index, .internal, detail: "the stage finished without FINAL on its streams", now, &actions)
    } else if runs[index].stage == .ranker, ranking == nil {
      end(index, .internal, detail: "the stage finished without a ranking", now, &actions)
    } else {
      var timing = timing
      timing.attempt = runs[index].attempt
      timing.queue = (runs[index].startedAt ?? now).since(runs[index].readyAt ?? now).microseconds32
      runs[index].finish = (runs[index].stage == .ranker ? ranking : nil, timing)
      // The final ranking is in END; the one before it is of no use any more.
      runs[index].rankingOutput.forgetWaiting()
      endWhenSent(index, now, &actions)
    }
  }

  mutating func failed(_ id: RunID, _ failure: RunFailure, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = letGo(id) else { return }
    end(
      index, failure.status == .ok ? .internal : failure.status, detail: failure.detail, stream: failure.stream,
      sequence: failure.sequence, retryAfter: failure.retryAfterMilliseconds, now, &actions)
  }

  mutating func stopped(_ id: RunID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = letGo(id) else { return }
    end(index, .internal, detail: "computation stopped by itself", now, &actions)
  }

  /// Computation is done with a run.
  ///
  /// - Returns: the run where its END is still owed.
  private mutating func letGo(_ id: RunID) -> Int? {
    guard let index = runIndex(id), !runs[index].isReleased else { return nil }
    runs[index].isReleased = true
    runs[index].computingSince = nil
    guard runs[index].isEnded else { return index }
    forget(index)
    return nil
  }

  private mutating func forget(_ index: Int) {
    let run = runs.remove(at: index)
    if run.holdsSlot { credits.release(run.link) }
  }

  // MARK: Output

  private mutating func receiveAcknowledgement(
    _ link: LinkID, _ header: MessageHeader, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = openRun(link, header) else { return count.late += 1 }
    switch runs[index][output: header.stream].sender.acknowledge(header.sequence) {
    case .progress: pump(index, header.stream, now, &actions)
    case .stale: count.late += 1
    case .violation: violated(link, "ACK of \(header.sequence) chunks, more than were sent", now, &actions)
    }
  }

  /// Sends what the window lets out.
  private mutating func pump(
    _ index: Int, _ stream: StreamKind, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    let (id, link) = (runs[index].id, runs[index].link)
    var sent: UInt32 = 0
    while let chunk = runs[index][output: stream].next() {
      let header = runs[index].header(.partial, stream, flags: chunk.flags, sequence: chunk.sequence, now)
      send(link, header, .chunk(chunk.payload), now, &actions)
      sent += 1
    }
    if sent > 0, stream != .ranking { actions.append(.release(id, stream, chunks: sent)) }
    endWhenSent(index, now, &actions)
  }

  private mutating func endWhenSent(_ index: Int, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let finish = runs[index].finish, !runs[index].instructionOutput.isWaiting,
      !runs[index].candidateOutput.isWaiting
    else { return }
    var end = RunEnd()
    end[timing: runs[index].stage] = finish.timing
    sendEnd(index, runs[index].header(.end, .none, now), end, finish.ranking, now, &actions)
  }

  // MARK: Ending

  /// Ends a run otherwise than with OK; a ranker whose time is over gives its newest ranking.
  mutating func end(
    _ index: Int, _ status: Status, detail: String, stream: StreamKind = .none, sequence: UInt32 = 0,
    retryAfter: UInt32? = nil, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    var flags: MessageFlags = []
    var ranking: Payload?
    if status == .deadline || status == .cancelled {
      count.cancelled += 1
      if let newest = runs[index].newest {
        ranking = newest.payload
        flags = newest.flags.union(.incomplete)
      }
    } else {
      count.failed += 1
    }
    let header = runs[index].header(.end, stream, flags: flags, status: status, sequence: sequence, now)
    let end = RunEnd(retryAfterMilliseconds: retryAfter, detail: WireText(shortening: detail))
    sendEnd(index, header, end, ranking, now, &actions)
  }

  private mutating func sendEnd(
    _ index: Int, _ header: MessageHeader, _ end: RunEnd, _ ranking: Payload?, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    send(runs[index].link, header, .end(end, ranking: ranking), now, &actions)
    runs[index].isEnded = true
    runs[index].newest = nil
    if runs[index].isReleased {
      forget(index)
    } else {
      actions.append(.cancel(runs[index].id))
    }
  }

  mutating func checkRun(_ id: RunID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = runIndex(id) else { return }
    if !runs[index].isEnded, now >= runs[index].deadline {
      return end(index, .deadline, detail: "the time of the request is over", now, &actions)
    }
    guard let since = runs[index].computingSince ?? unattendedSince(index), now >= since + configuration.stuckLimit
    else { return }
    runs[index].computingSince = nil
    let requestID = runs[index].requestID
    if !runs[index].isEnded {
      end(
        index, .internal, detail: "computation has made no progress for \(configuration.stuckLimit)", now, &actions)
    }
    drain(until: now + configuration.stuckGrace, .stuck(requestID), now, &actions)
  }

  /// Since when a run waits that a free thread of computation should have taken; nil where none is free.
  func unattendedSince(_ index: Int) -> MonotonicTime? {
    guard runs[index].startedAt == nil, !runs[index].isEnded, hasFreeThread else { return nil }
    return max(runs[index].acceptedAt, lastComputation)
  }

  /// Each slot has a thread, which keeps its run from the first chunk to the last, waiting included.
  private var hasFreeThread: Bool {
    var taken = 0
    for index in runs.indices where runs[index].startedAt != nil && !runs[index].isReleased { taken += 1 }
    return taken < configuration.slots
  }
}
