// Time, and the operator's wish to stop (gltp-1.md 6.4, 6.8, 7.5).

extension GatewayMachine {
  /// When to come back with `timer`; `distantFuture` where nothing is due ever. It may come early, never late.
  public var nextTimer: MonotonicTime {
    @_specialize(where Payload == MessageHandle)
    get {
      var next = min(sessionTimers.first?.key ?? .distantFuture, requestTimers.first?.key ?? .distantFuture)
      // Memories may linger for a second, so that they do not wake the gateway once each.
      if let over = doneQueue.first { next = min(next, over.time + configuration.doneLifetime + .seconds(1)) }
      if let stranger = strangerQueue.first { next = min(next, stranger.time + .seconds(2)) }
      if let status = statuses.first { next = min(next, status.deadline) }
      return min(next, reportsExpire)
    }
  }

  mutating func fireTimers() {
    while let first = requestTimers.first, first.key <= now { fire(first.id) }
    while let first = sessionTimers.first, first.key <= now { checkLiveness(first.id) }
    forgetDone()
    forgetStrangers()
    answerStatuses()
    forgetReports()
  }

  private mutating func checkLiveness(_ session: Int) {
    switch sessions[session].liveness.check(now) {
    case .expired: return endSession(session, .expired, bye: .expired)
    case .ping(let sequence): send(.ping, MessageHeader(.ping, sequence: sequence), to: session)
    // Messages came or went since the timer was set.
    case nil: break
    }
    sessionTimers.set(session, sessions[session].liveness.nextTimer)
  }

  // MARK: Drain

  mutating func drain() {
    guard !isDraining else { return }
    isDraining = true
    for session in sessions.indices where sessions[session].id > 0 {
      send(.drain(detail: nil), MessageHeader(.drain), to: session)
    }
  }

  /// The last request is over.
  mutating func finishDraining() {
    hasDrained = true
    for session in sessions.indices where sessions[session].id > 0 { endSession(session, .drained, bye: .ok) }
    actions.append(.drained)
  }
}
