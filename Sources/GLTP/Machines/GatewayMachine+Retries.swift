// What a gateway does when a run fails (the table of gltp-1.md 7.7).

extension GatewayMachine {
  // MARK: Free of charge

  /// A run's session is over; the run is detached from it.
  mutating func runLost(_ run: Int, process: BootID, isCrash: Bool) {
    let request = Self.request(run)
    let stage = Self.stage(run)
    guard !finishIfComplete(run) else { return }
    if isCrash {
      if let other = runs[run].lost, other != process { return finish(request, .poisoned) }
      runs[run].lost = process
    } else if !takeMove(request) {
      return finish(request, .overloaded, retryAfter: .seconds(1))
    }
    counters.replacements += 1
    noteRetry(request, stage, nil, isRestart: needsRestart(run))
    again(run)
  }

  /// A worker that is overloaded or draining: elsewhere, eight times at most.
  mutating func move(_ run: Int, _ status: Status, _ session: Int) {
    let request = Self.request(run)
    guard !finishIfComplete(run) else { return }
    guard takeMove(request) else { return finish(request, .overloaded, retryAfter: .seconds(1)) }
    avoid(sessions[session].id, run)
    counters.replacements += 1
    noteRetry(request, Self.stage(run), status, isRestart: needsRestart(run))
    again(run)
  }

  private mutating func takeMove(_ request: Int) -> Bool {
    guard requests[request].moves > 0 else { return false }
    requests[request].moves -= 1
    return true
  }

  /// A worker does not have the bundle, or no longer.
  mutating func bundleGone(_ run: Int, _ session: Int) {
    avoid(sessions[session].id, run)
    changeBundle(Self.request(run), Self.stage(run))
  }

  // MARK: At the cost of a retry

  mutating func failedInternally(_ run: Int, _ session: Int) {
    let request = Self.request(run)
    guard !finishIfComplete(run) else { return }
    guard takeRetry(request) else { return finish(request, .internal) }
    avoid(sessions[session].id, run)
    noteRetry(request, Self.stage(run), .internal, isRestart: needsRestart(run))
    again(run)
  }

  /// A worker's chunks make no sense: as END(INTERNAL), but nothing of the run is kept.
  mutating func misbehaved(_ run: Int) {
    let request = Self.request(run)
    let session = sessions[runs[run].session].id
    cancel(run)
    guard takeRetry(request) else { return finish(request, .internal) }
    avoid(session, run)
    noteRetry(request, Self.stage(run), .internal, isRestart: true)
    restart(request)
  }

  /// A chunk is missing or damaged, and it is known whose doing that is: the request starts again, without that session
  /// if that can be.
  ///
  /// - Parameters:
  ///   - run: the run that failed.
  ///   - culprit: the run whose session is to blame.
  ///   - session: that session; nil where it still has the run.
  mutating func blameAndRestart(_ run: Int, _ culprit: Int, _ cause: Status, _ session: Int? = nil) {
    let session = session ?? runs[culprit].session
    guard session >= 0 else { return }
    blameAndRestart(run, culprit, cause, id: sessions[session].id)
  }

  private mutating func blameAndRestart(_ run: Int, _ culprit: Int, _ cause: Status, id: UInt64) {
    let request = Self.request(run)
    actions.append(.note(.blamed(session: id, requests[request].id)))
    if takeRetry(request) {
      avoid(id, culprit)
      noteRetry(request, Self.stage(run), cause, isRestart: true)
      restart(request)
    } else {
      finish(request, .internal)
    }
    if let session = sessionsByID[id] { strike(session) }
  }

  /// The request's own two retries, and the bucket that keeps a sick mesh from being stormed.
  private mutating func takeRetry(_ request: Int) -> Bool {
    guard requests[request].retries > 0, retryTenths >= 10 else { return false }
    requests[request].retries -= 1
    retryTenths -= 10
    counters.retries += 1
    return true
  }

  // MARK: Whose fault

  /// A worker says that a chunk is damaged. Our own copy tells whether it came so or was damaged there.
  mutating func corrupted(_ run: Int, _ header: MessageHeader, _ session: Int) {
    let request = Self.request(run)
    let stage = Self.stage(run)
    let wasSent = GatewayRun.reads(header.stream, stage) && header.sequence < runs[run][input: header.stream].next
    guard wasSent, let chunk = chunks[request].buffer.chunk(for: stage, header.stream, header.sequence) else {
      return blameAndRestart(run, run, .corrupt, session)
    }
    guard requests[request].verification == nil else {
      // The other consumer has complained before; its verdict will restart the request.
      runs[run].state = .verifying
      return
    }
    tickets += 1
    runs[run].state = .verifying
    requests[request].verification = DamageInquiry(
      ticket: tickets, stage: stage, producer: chunk.header.sessionID, consumer: sessions[session].id)
    verifications[tickets] = request
    actions.append(.verify(chunk.payload, ticket: tickets))
  }

  /// The runtime has looked at our copy.
  mutating func verified(_ ticket: UInt64, _ isIntact: Bool) {
    guard let request = verifications.removeValue(forKey: ticket), let sought = requests[request].verification,
      sought.ticket == ticket
    else { return countLate() }
    requests[request].verification = nil
    let run = Self.run(request, sought.stage)
    if isIntact {
      blameAndRestart(run, run, .corrupt, id: sought.consumer)
    } else {
      blameAndRestart(run, producer(of: sought.producer, request, sought.stage), .corrupt, id: sought.producer)
    }
  }

  /// The run that a session made chunks in for a consumer: the encoder's, or the aligner's for a ranker.
  private func producer(of session: UInt64, _ request: Int, _ consumer: Stage) -> Int {
    let isAligner = sessionsByID[session].map { sessions[$0].role == .aligner } ?? false
    return Self.run(request, consumer == .ranker && isAligner ? .aligner : .encoder)
  }

  /// A message came in damaged, with its head intact or not.
  mutating func receiveDamage(_ header: MessageHeader?, _ session: Int) {
    sessions[session].liveness.noteReceived(now)
    guard let header, header.sessionID == sessions[session].id else { return strike(session) }
    if sessions[session].role == .client {
      if header.kind == .request, requestsByID[header.requestID] == nil { endRefused(header, .corrupt, session) }
      return strike(session)
    }
    let run = run(header, of: session)
    if header.kind == .end {
      if let run { detach(run) }
      noteEnd(session)
    }
    guard let run else { return strike(session) }
    blameAndRestart(run, run, .corrupt, session)
  }

  // MARK: Again

  /// Whether nothing less than a new start helps: the makers of what is read would have to be run again.
  private func needsRestart(_ run: Int) -> Bool {
    Self.stage(run) != .ranker || !chunks[Self.request(run)].buffer.isWhole
  }

  private mutating func again(_ run: Int) {
    if needsRestart(run) { restart(Self.request(run)) } else { open(run) }
  }

  /// Does the whole request again. What the client has seen stays good: every snapshot is complete.
  mutating func restart(_ request: Int) {
    cancelRuns(of: request)
    heldBytes -= chunks[request].buffer.byteCount
    chunks[request].buffer.removeAll()
    requests[request].timings = RunEnd()
    if let verification = requests[request].verification { verifications[verification.ticket] = nil }
    requests[request].verification = nil
    open(Self.run(request, .encoder))
  }

  /// All that an encoder or aligner makes is here: nothing is lost with the worker.
  private mutating func finishIfComplete(_ run: Int) -> Bool {
    guard runs[run].isComplete(Self.stage(run)) else { return false }
    runs[run].state = .finished
    releaseInput(run)
    return true
  }

  /// Remembers that a session has failed a run of this stage.
  private mutating func avoid(_ session: UInt64, _ run: Int) {
    guard runs[run].avoided.count < 16, !runs[run].avoided.contains(session) else { return }
    runs[run].avoided.append(session)
  }

  // MARK: Cancelling

  mutating func cancelRuns(of request: Int) {
    for run in 3 * request..<3 * request + 3 { cancel(run) }
  }

  /// Takes a run from the queue or its worker.
  private mutating func cancel(_ run: Int) {
    switch runs[run].state {
    case .none: break
    case .verifying, .finished: runs[run].state = .none
    case .waiting: dequeue(run)
    case .running:
      var header = header(.cancel, run)
      header.budgetMilliseconds = 0
      send(.cancel, header, to: runs[run].session)
      detach(run)
    }
  }

  mutating func noteRetry(_ request: Int, _ stage: Stage, _ cause: Status?, isRestart: Bool) {
    actions.append(.note(.retried(requests[request].id, stage, cause: cause, isRestart: isRestart)))
  }
}
