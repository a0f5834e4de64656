// Which run goes to which worker, and which has to wait (gltp-1.md 6.7, 7.1 to 7.4).

extension GatewayMachine {
  /// Opens the next run of a stage: on a worker with credit, or in the queue.
  ///
  /// The last thing to do in an event: the request may be over afterwards.
  mutating func open(_ run: Int) {
    let request = Self.request(run)
    guard runs[run].attempt < .max else { return finish(request, .internal) }
    runs[run].open(window: configuration.workerLimits.window, now: now)
    let stage = Self.stage(run)
    let bundle = requests[request].bundle
    if isGone(bundle, stage), requests[request].isPinnedByClient || bundle != currentBundle {
      changeBundle(request, stage)
    } else if let session = readySession(for: run) {
      start(run, on: session)
    } else {
      enqueue(run)
    }
  }

  /// The least busy worker with credit that a run does not avoid. Where it avoids all there are, none is avoided.
  func readySession(for run: Int) -> Int? {
    let bundle = requests[Self.request(run)].bundle
    guard let pool = bundles[bundle]?.pools[Self.pool(Self.stage(run))], let first = pool.ready.first else {
      return nil
    }
    let avoided = runs[run].avoided
    guard !avoided.isEmpty, avoided.contains(sessions[first.id].id) else { return first.id }
    let hasChoice = avoidedMembers(run, bundle) < pool.members
    guard hasChoice else { return first.id }
    // Rare, and no more steps than the run has failures.
    var ready = pool.ready
    while let entry = ready.first {
      if !avoided.contains(sessions[entry.id].id) { return entry.id }
      ready.remove(entry.id)
    }
    return nil
  }

  /// How many of the workers that could take a run are avoided by it.
  private func avoidedMembers(_ run: Int, _ bundle: Int) -> Int {
    runs[run].avoided.count { id in
      guard let session = sessionsByID[id] else { return false }
      return !sessions[session].isDraining && sessions[session].bundles.contains(bundle)
    }
  }

  private func wouldTake(_ session: Int, _ run: Int, _ bundle: Int) -> Bool {
    guard runs[run].avoided.contains(sessions[session].id) else { return true }
    let members = bundles[bundle]?.pools[Self.pool(Self.stage(run))].members ?? 0
    return avoidedMembers(run, bundle) >= members
  }

  /// Sends a run to a worker, and what it reads as far as that is here.
  mutating func start(_ run: Int, on session: Int) {
    let request = Self.request(run)
    guard now < requests[request].deadline else { return finish(request, .deadline) }
    runs[run].start(on: session, window: sessions[session].window, now: now)
    link(run, to: session)
    turns += 1
    sessions[session].requestsSent += 1
    sessions[session].inFlight += 1
    sessions[session].turn = turns
    updateReady(session)
    sendRequest(run, to: session)
    pump(run)
  }

  private mutating func sendRequest(_ run: Int, to session: Int) {
    let request = Self.request(run)
    let stage = Self.stage(run)
    guard let body = requests[request].body else { return }
    var header = self.header(.request, run)
    header.priority = requests[request].priority
    header.flags = requests[request].flags
    if stage != .ranker { header.flags.subtract([.stream, .titles]) }
    if runs[run].attempt > 1 { header.flags.insert(.retry) }
    if stage == .encoder {
      send(.rank(body), header, to: session)
    } else {
      send(.run(RunRequest(userID: body.userID, count: body.count, mode: body.mode)), header, to: session)
    }
  }

  /// The header of a message to the worker of a run.
  func header(_ kind: MessageKind, _ run: Int, _ stream: StreamKind = .none, sequence: UInt32 = 0) -> MessageHeader {
    let request = Self.request(run)
    return MessageHeader(
      kind, stage: Self.stage(run), stream: stream, attempt: runs[run].attempt, requestID: requests[request].id,
      sequence: sequence, budgetMilliseconds: remaining(request), bundle: prefix(of: request))
  }

  /// Remaining time; never 0, which would say that there is no deadline.
  func remaining(_ request: Int) -> UInt32 { max(requests[request].deadline.since(now).wholeMilliseconds, 1) }

  func prefix(of request: Int) -> BundlePrefix { bundles[requests[request].bundle]?.hash.prefix ?? .none }

  // MARK: Credit

  mutating func receiveCredit(_ total: UInt64, _ session: Int) {
    guard total > sessions[session].creditTotal else { return }
    sessions[session].creditTotal = total
    guard !sessions[session].isDraining else { return }
    updateReady(session)
    feed(session)
  }

  /// A worker's credit or load has changed.
  mutating func updateReady(_ session: Int) {
    guard !sessions[session].isDraining else { return }
    let pool = Self.pool(sessions[session].role.stage)
    for bundle in sessions[session].bundles {
      if sessions[session].hasCredit {
        bundles[bundle]?.pools[pool].ready.set(session, sessions[session].load)
      } else {
        bundles[bundle]?.pools[pool].ready.remove(session)
      }
    }
  }

  /// Gives a worker with credit what waits for it.
  private mutating func feed(_ session: Int) {
    while sessions[session].id > 0, sessions[session].hasCredit, let run = nextRun(for: session) {
      dequeue(run)
      start(run, on: session)
    }
  }

  /// Of the runs that wait for one of a worker's bundles, the first by priority and age.
  private func nextRun(for session: Int) -> Int? {
    let stage = sessions[session].role.stage
    var best: (key: QueueKey, request: Int)?
    for bundle in sessions[session].bundles {
      guard let pool = bundles[bundle]?.pools[Self.pool(stage)], pool.waitingCount > 0 else { continue }
      if let first = pool.waiting.first, best.map({ first.key < $0.key }) ?? true { best = (first.key, first.id) }
      for request in pool.choosy {
        let key = requests[Int(request)].queueKey
        guard best.map({ key < $0.key }) ?? true else { continue }
        if wouldTake(session, Self.run(Int(request), stage), bundle) { best = (key, Int(request)) }
      }
    }
    return best.map { Self.run($0.request, stage) }
  }

  // MARK: Queue

  private mutating func enqueue(_ run: Int) {
    let request = Self.request(run)
    let bundle = requests[request].bundle
    let pool = Self.pool(Self.stage(run))
    runs[run].state = .waiting
    if runs[run].avoided.isEmpty {
      bundles[bundle]?.pools[pool].waiting.set(request, requests[request].queueKey)
    } else {
      runs[run].choosyPosition = Int32(bundles[bundle]?.pools[pool].choosy.count ?? 0)
      bundles[bundle]?.pools[pool].choosy.append(Int32(request))
    }
    requests[request].waitingRuns += 1
    if requests[request].waitingRuns == 1 { queue.set(request, ReversedQueueKey(key: requests[request].queueKey)) }
    if queue.count > configuration.queueLimit { shed() }
  }

  mutating func dequeue(_ run: Int) {
    let request = Self.request(run)
    let bundle = requests[request].bundle
    let stage = Self.stage(run)
    let pool = Self.pool(stage)
    runs[run].state = .none
    if runs[run].choosyPosition < 0 {
      bundles[bundle]?.pools[pool].waiting.remove(request)
    } else {
      removeChoosy(Int(runs[run].choosyPosition), bundle, stage)
      runs[run].choosyPosition = -1
    }
    requests[request].waitingRuns -= 1
    if requests[request].waitingRuns == 0 { queue.remove(request) }
  }

  private mutating func removeChoosy(_ position: Int, _ bundle: Int, _ stage: Stage) {
    let pool = Self.pool(stage)
    guard let last = bundles[bundle]?.pools[pool].choosy.popLast() else { return }
    guard position < bundles[bundle]?.pools[pool].choosy.count ?? 0 else { return }
    bundles[bundle]?.pools[pool].choosy[position] = last
    runs[Self.run(Int(last), stage)].choosyPosition = Int32(position)
  }

  /// The queue is too long: the youngest of the lowest priority goes.
  private mutating func shed() {
    guard let victim = queue.first?.id else { return }
    finish(victim, .overloaded, retryAfter: expectedWait(requests[victim].bundle) ?? .seconds(1))
  }

  /// How long a new request would wait for an encoder; nil where nothing is known.
  func expectedWait(_ bundle: Int) -> MonotonicDuration? {
    guard let pool = bundles[bundle]?.pools[0], pool.slots > 0, stages[0].meanRun > .zero else { return nil }
    let inAll = stages[0].meanRun * UInt64(pool.waitingCount + 1)
    return MonotonicDuration(microseconds: inAll.microseconds / pool.slots)
  }

  // MARK: Lists of a session's runs

  private mutating func link(_ run: Int, to session: Int) {
    let first = sessions[session].first
    runs[run].previous = -1
    runs[run].next = first
    if first >= 0 { runs[Int(first)].previous = Int32(run) }
    sessions[session].first = Int32(run)
    sessions[session].count += 1
  }

  /// Parts a run from its session; it is neither running nor waiting then.
  mutating func detach(_ run: Int) {
    let (previous, next, session) = (runs[run].previous, runs[run].next, runs[run].session)
    if previous >= 0 { runs[Int(previous)].next = next } else { sessions[session].first = next }
    if next >= 0 { runs[Int(next)].previous = previous }
    sessions[session].count -= 1
    runs[run].session = -1
    runs[run].state = .none
  }
}
