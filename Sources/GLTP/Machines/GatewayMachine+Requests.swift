// A request from its acceptance to its END (gltp-1.md 10.3).

extension GatewayMachine {
  mutating func accept(_ body: RankRequest, _ header: MessageHeader, _ session: Int) {
    guard !isDuplicate(header, session) else {
      counters.duplicates += 1
      return
    }
    if let other = requestsByID[header.requestID] {
      // Only its own client can know the id: it has come back by another connection before the old one was missed.
      guard header.flags.contains(.retry), header.attempt > requests[other].clientAttempt else {
        return endRefused(header, .badRequest, session, detail: "another session uses this request_id")
      }
      finish(other, .cancelled)
    }
    if let status = refusal(header, session) { return endRefused(header, status, session) }
    guard let bundle = pin(header.bundle) else {
      let isUpgraded = header.bundle != .none && workerCount > 0
      return endRefused(header, isUpgraded ? .bundleGone : .noWorker, session, retryAfter: .seconds(1))
    }
    let budget = budget(header)
    if let wait = expectedWait(bundle), wait > budget, bundles[bundle]?.pools[0].ready.isEmpty ?? true {
      return endRefused(header, .overloaded, session, retryAfter: wait)
    }
    let request = addRequest(body, header, session, bundle)
    requests[request].deadline = now + budget
    setTimer(request)
    open(Self.run(request, .encoder))
  }

  /// Whether it is a sending that we have had: of a request that is active, or was until lately.
  private func isDuplicate(_ header: MessageHeader, _ session: Int) -> Bool {
    if let request = requestsByID[header.requestID] { return requests[request].client == session }
    guard let over = done[header.requestID] else { return false }
    return over.session == sessions[session].id && max(header.attempt, 1) <= over.clientAttempt
  }

  /// Why a request cannot be taken; nil where it can.
  private func refusal(_ header: MessageHeader, _ session: Int) -> Status? {
    if header.requestID == .none { return .badRequest }
    if isDraining { return .draining }
    let isFull =
      requestsByID.count >= configuration.maximumRequests || heldBytes >= configuration.totalReplayBytes
      || sessions[session].count >= configuration.maximumRequestsPerClient
    if isFull { return .overloaded }
    // A loop: a closure here, in a generic type, would cost an allocation a request.
    for stage in stages.indices {
      if let since = stages[stage].emptySince, now.since(since) >= configuration.noWorkerGrace { return .noWorker }
    }
    return nil
  }

  /// The bundle that the client names or the current one, if a worker still has it.
  private func pin(_ prefix: BundlePrefix) -> Int? {
    guard prefix != .none else { return currentBundle }
    guard let slot = bundlesByPrefix[prefix], let bundle = bundles[slot] else { return nil }
    return bundle.pools.contains { $0.members > 0 } ? slot : nil
  }

  private func budget(_ header: MessageHeader) -> MonotonicDuration {
    guard header.budgetMilliseconds > 0 else { return configuration.defaultBudget }
    return min(.milliseconds(UInt64(header.budgetMilliseconds)), configuration.longestBudget)
  }

  private mutating func addRequest(_ body: RankRequest, _ header: MessageHeader, _ session: Int, _ bundle: Int) -> Int {
    let slot = requestSlots.take()
    if slot == requests.count {
      requests.append(GatewayRequest())
      chunks.append(RequestChunks())
      for _ in 0..<3 { runs.append(GatewayRun()) }
    }
    requestNumber += 1
    requests[slot].number = requestNumber
    requests[slot].id = header.requestID
    requests[slot].client = session
    requests[slot].clientAttempt = max(header.attempt, 1)
    requests[slot].priority = header.priority
    requests[slot].flags = header.flags.intersection([.stream, .titles, .canary])
    requests[slot].body = body
    requests[slot].bundle = bundle
    requests[slot].isPinnedByClient = header.bundle != .none
    requests[slot].hasChangedBundle = false
    requests[slot].acceptedAt = now
    requests[slot].hasUnsentRanking = false
    requests[slot].clientStream = StreamSender(window: sessions[session].window)
    requests[slot].stalledSince = nil
    requests[slot].retries = 2
    requests[slot].moves = 8
    requests[slot].waitingRuns = 0
    // Runs are numbered on where the same request has been here before, so that no worker takes one for another.
    let earlier = done[header.requestID]?.attempts ?? (0, 0, 0)
    runs[3 * slot].attempt = earlier.0
    runs[3 * slot + 1].attempt = earlier.1
    runs[3 * slot + 2].attempt = earlier.2
    bundles[bundle]?.pinned += 1
    requestsByID[header.requestID] = slot
    linkRequest(slot, session)
    counters.accepted += 1
    retryTenths = min(retryTenths + 1, 1000)
    return slot
  }

  /// When a request has to be looked at.
  mutating func setTimer(_ request: Int) {
    var time = requests[request].deadline
    if let since = requests[request].stalledSince { time = min(time, since + configuration.stall) }
    requestTimers.set(request, time)
  }

  mutating func fire(_ request: Int) {
    if now >= requests[request].deadline {
      finish(request, .deadline)
    } else if let since = requests[request].stalledSince, now >= since + configuration.stall {
      finish(request, .stalled)
    } else {
      setTimer(request)
    }
  }

  // MARK: The end

  /// Ends a request: its runs are cancelled, and its client gets the one END.
  ///
  /// - Parameter detail: a worker's words for people.
  mutating func finish(
    _ request: Int, _ status: Status, retryAfter: MonotonicDuration? = nil, detail: WireText? = nil
  ) {
    cancelRuns(of: request)
    sendEnd(request, status, retryAfter, detail)
    retire(request, status)
  }

  /// Ends a request whose client is gone.
  mutating func abandon(_ request: Int) {
    cancelRuns(of: request)
    retire(request, .cancelled)
  }

  private mutating func sendEnd(
    _ request: Int, _ status: Status, _ retryAfter: MonotonicDuration?, _ detail: WireText?
  ) {
    var end = requests[request].timings
    end.detail = detail
    end.retryAfterMilliseconds = retryAfter.map { clientPause($0) }
    var header = MessageHeader(
      .end, attempt: requests[request].clientAttempt, status: status, requestID: requests[request].id,
      bundle: prefix(of: request))
    var ranking: Payload?
    if status == .ok || status == .deadline || status == .cancelled, let newest = chunks[request].newest {
      header.tensorCount = newest.header.tensorCount
      if status != .ok { header.flags = newest.header.flags.intersection(.provisional).union(.incomplete) }
      ranking = newest.payload
    }
    send(PeerMessage(header, .end(end, ranking: ranking)), to: requests[request].client)
    countEnd(status, requests[request].flags)
  }

  /// Refuses a REQUEST that never became active.
  mutating func endRefused(
    _ request: MessageHeader, _ status: Status, _ session: Int, retryAfter: MonotonicDuration? = nil,
    detail: WireText? = nil
  ) {
    let pause = retryAfter ?? (status.isRetryableByClient ? .seconds(1) : nil)
    let end = RunEnd(retryAfterMilliseconds: pause.map { clientPause($0) }, detail: detail)
    let header = MessageHeader(
      .end, attempt: request.attempt, status: status, requestID: request.requestID, bundle: request.bundle)
    send(PeerMessage(header, .end(end, ranking: nil)), to: session)
    countEnd(status, request.flags)
  }

  private func clientPause(_ wait: MonotonicDuration) -> UInt32 {
    min(max(wait, .milliseconds(100)), .seconds(5)).wholeMilliseconds
  }

  private mutating func countEnd(_ status: Status, _ flags: MessageFlags) {
    guard !flags.contains(.canary), Int(status.rawValue) < counters.endsByStatus.count else { return }
    counters.endsByStatus[Int(status.rawValue)] += 1
  }

  /// Forgets a request whose runs are cancelled, but for its number.
  private mutating func retire(_ request: Int, _ status: Status) {
    let session = requests[request].client
    let elapsed = now.since(requests[request].acceptedAt)
    let id = requests[request].id
    actions.append(.note(.requestEnded(id, session: sessions[session].id, status, elapsed, requests[request].flags)))
    rememberDone(request)
    heldBytes -= chunks[request].byteCount
    if let verification = requests[request].verification { verifications[verification.ticket] = nil }
    bundles[requests[request].bundle]?.pinned -= 1
    requestsByID[id] = nil
    requestTimers.remove(request)
    unlinkRequest(request, session)
    requests[request].clear()
    chunks[request].removeAll()
    for run in 3 * request..<3 * request + 3 { runs[run] = GatewayRun() }
    requestSlots.giveBack(request)
  }

  private mutating func rememberDone(_ request: Int) {
    let attempts = (runs[3 * request].attempt, runs[3 * request + 1].attempt, runs[3 * request + 2].attempt)
    done[requests[request].id] = DoneRequest(
      session: sessions[requests[request].client].id, clientAttempt: requests[request].clientAttempt,
      attempts: attempts, number: requests[request].number)
    doneQueue.append((requests[request].id, requests[request].number, now))
    while doneQueue.count > configuration.maximumDone { forgetOldestDone() }
  }

  mutating func forgetDone() {
    while let first = doneQueue.first, now.since(first.time) >= configuration.doneLifetime { forgetOldestDone() }
  }

  private mutating func forgetOldestDone() {
    guard let first = doneQueue.first else { return }
    // A later sending of the same request has a memory of its own.
    if done[first.id]?.number == first.number { done[first.id] = nil }
    doneQueue.removeFirst()
  }

  // MARK: Lists of a client's requests

  private mutating func linkRequest(_ request: Int, _ session: Int) {
    let first = sessions[session].first
    requests[request].previous = -1
    requests[request].next = first
    if first >= 0 { requests[Int(first)].previous = Int32(request) }
    sessions[session].first = Int32(request)
    sessions[session].count += 1
  }

  private mutating func unlinkRequest(_ request: Int, _ session: Int) {
    let (previous, next) = (requests[request].previous, requests[request].next)
    if previous >= 0 { requests[Int(previous)].next = next } else { sessions[session].first = next }
    if next >= 0 { requests[Int(next)].previous = previous }
    sessions[session].count -= 1
  }
}
