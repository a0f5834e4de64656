// STATUS and REPORT (gltp-1.md 5.6).

/// A client's STATUS that waits for workers' REPORTs.
struct PendingStatus: Sendable {
  var session: UInt64
  var requestID: RequestID
  var deadline: MonotonicTime
}

extension GatewayMachine {
  mutating func receiveStatus(_ header: MessageHeader, _ session: Int) {
    // One question at a time: an answer is long.
    guard !statuses.contains(where: { $0.session == sessions[session].id }) else {
      counters.duplicates += 1
      return
    }
    guard statuses.count < configuration.maximumStatuses else { return answerStatus(session, header.requestID) }
    askForReports()
    statuses.append(
      PendingStatus(
        session: sessions[session].id, requestID: header.requestID, deadline: now + configuration.reportDeadline))
    answerStatuses()
  }

  /// Asks the workers whose REPORT is not fresh.
  private mutating func askForReports() {
    for session in sessions.indices where sessions[session].id > 0 && sessions[session].role != .client {
      let isFresh =
        sessions[session].report != nil && now.since(sessions[session].reportedAt) < configuration.reportLifetime
      guard !isFresh, !sessions[session].owesReport else { continue }
      sessions[session].owesReport = true
      reportsOwed += 1
      send(.status, MessageHeader(.status), to: session)
    }
  }

  mutating func receiveReport(_ report: StatusReport, _ session: Int) {
    // Nobody asked, or it comes too late to be of use.
    guard sessions[session].owesReport else { return countLate() }
    sessions[session].owesReport = false
    reportsOwed -= 1
    sessions[session].report = report
    sessions[session].reportedAt = now
    reportsExpire = now + configuration.reportLifetime
    answerStatuses()
  }

  /// Answers those who waited: all where no REPORT is owed, else those whose time is up.
  mutating func answerStatuses() {
    while let first = statuses.first, reportsOwed == 0 || now >= first.deadline {
      statuses.removeFirst()
      guard let session = sessionsByID[first.session] else { continue }
      answerStatus(session, first.requestID)
    }
  }

  private mutating func answerStatus(_ session: Int, _ requestID: RequestID) {
    var header = MessageHeader(.report, requestID: requestID, sessionID: sessions[session].id)
    header.version = sessions[session].version
    sessions[session].liveness.noteSent(now)
    actions.append(.report(report(), header, to: sessions[session].peer))
  }

  /// Frees the memory of REPORTs that nobody wants any more.
  mutating func forgetReports() {
    guard now >= reportsExpire else { return }
    reportsExpire = .distantFuture
    for session in sessions.indices { sessions[session].report = nil }
  }

  /// What the gateway knows of itself now: for REPORTs and for metrics.
  public func report() -> GatewayReport {
    GatewayReport(
      bundle: currentBundle.flatMap { bundles[$0]?.hash }, isDraining: isDraining, counters: counters,
      inFlight: requestsByID.count, waiting: (0..<3).map { waitingRuns($0) }, stages: stages.map(\.times),
      heldBytes: heldBytes, sessions: reportedSessions())
  }

  /// All workers, and clients while there is room.
  private func reportedSessions() -> [GatewayReport.Session] {
    let workers = sessions.filter { $0.id > 0 && $0.role != .client }
    let room = max(configuration.maximumReportedSessions - workers.count, 0)
    let clients = sessions.lazy.filter { $0.id > 0 && $0.role == .client }.prefix(room)
    return workers.map { report($0) } + clients.map { report($0) }
  }

  private func waitingRuns(_ pool: Int) -> Int {
    bundles.reduce(0) { $0 + ($1?.pools[pool].waitingCount ?? 0) }
  }

  private func report(_ session: GatewaySession) -> GatewayReport.Session {
    GatewayReport.Session(
      session: session.id, role: session.role, name: session.name, build: session.build,
      bundles: session.bundles.compactMap { bundles[$0]?.hash }, slots: session.slots,
      credit: session.creditTotal - session.requestsSent,
      inFlight: session.role == .client ? session.count : session.inFlight, age: now.since(session.openedAt),
      silence: session.liveness.silence(now), isDraining: session.isDraining, report: session.report)
  }

  /// How much is remembered.
  public var footprint: GatewayFootprint {
    GatewayFootprint(
      sessions: sessionsByPeer.count, requests: requestsByID.count, done: done.count, strangers: strangers.count,
      bundles: bundlesByPrefix.count, waitingRequests: queue.count,
      waitingRuns: (0..<3).map { waitingRuns($0) }.reduce(0, +),
      pendingStatuses: statuses.count, heldBytes: heldBytes)
  }
}
