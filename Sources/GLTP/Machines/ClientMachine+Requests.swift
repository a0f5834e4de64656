/// Requests of a client (gltp-1.md 10.5).
extension ClientMachine {
  mutating func rank(_ call: RankCall, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard requests[call.id] == nil else { return }
    counters.requests += 1
    requests[call.id] = ClientRequest(call, connectLimit: configuration.connectLimit, now)
    if isClosing { giveUp(call.id, .closed, now, &actions) } else { place(call.id, now, &actions) }
  }

  mutating func cancel(_ id: RequestID, _ now: MonotonicTime, _ actions: inout [Action]) {
    giveUp(id, .cancelled, now, &actions)
  }

  /// Ends a request for a reason of our own; the gateway is told.
  mutating func giveUp(
    _ id: RequestID, _ cause: RankFailure<Payload>.Cause, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let request = requests[id] else { return }
    if let link = request.link { send(link, request.header(.cancel, now), .control(.cancel), now, &actions) }
    fail(id, cause, .cancelled, detail: cause == .closed ? "the client was closed" : "cancelled", &actions)
  }

  // MARK: Sending

  /// Sends the requests that wait for a session, the oldest deadline first.
  mutating func placeWaiting(_ now: MonotonicTime, _ actions: inout [Action]) {
    let waiting = requests.values.filter { if case .waiting = $0.state { true } else { false } }
      .sorted { ($0.deadline, $0.call.id.high, $0.call.id.low) < ($1.deadline, $1.call.id.high, $1.call.id.low) }
    for request in waiting { place(request.call.id, now, &actions) }
  }

  /// Sends a request to the best gateway, or lets it wait for one.
  private mutating func place(_ id: RequestID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard var request = requests[id] else { return }
    guard let index = bestLink(for: request) else {
      if case .waiting = request.state { return }
      requests[id]?.state = .waiting(until: now + configuration.connectLimit)
      return
    }
    let link = links[index].id
    if request.attempt > 0 { counters.retries += 1 }
    request.attempt += 1
    request.state = .sent(link, sessionID: links[index].sessionID)
    request.receiver = StreamReceiver(window: configuration.limits.window)
    request.tried.append(link)
    requests[id] = request
    var header = request.header(.request, now)
    header.flags = request.attempt > 1 ? request.call.flags.union(.retry) : request.call.flags
    send(link, header, .control(.rank(request.call.request)), now, &actions)
  }

  /// Of the gateways that take requests, the one that had this request least often, then the one with the fewest of
  /// ours, in turn.
  private mutating func bestLink(for request: ClientRequest<Payload>) -> Int? {
    var best: (index: Int, tried: Int, load: Int)?
    for step in links.indices {
      let index = (turn + step) % links.count
      guard links[index].isOpen, !links[index].isGatewayDraining, !removed.contains(links[index].id) else { continue }
      let tried = request.tried.count(of: links[index].id)
      let load = requests.values.count { $0.link == links[index].id }
      if best.map({ (tried, load) < ($0.tried, $0.load) }) ?? true { best = (index, tried, load) }
    }
    if let best { turn = (best.index + 1) % links.count }
    return best?.index
  }

  /// Whether a gateway that never had the request could take it now.
  private func hasFreshLink(for request: ClientRequest<Payload>) -> Bool {
    links.contains {
      $0.isOpen && !$0.isGatewayDraining && !removed.contains($0.id) && request.tried.count(of: $0.id) == 0
    }
  }

  // MARK: Receiving

  mutating func receiveForRequest(
    _ link: LinkID, _ message: PeerMessage<Payload>, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    let header = message.header
    if case .control(.report(let report)) = message.body {
      return receiveReport(link, header, report, &actions)
    }
    guard let request = requests[header.requestID], request.matches(link, header) else { return counters.late += 1 }
    switch message.body {
    case .chunk(let payload) where header.kind == .partial && header.stream == .ranking:
      receiveSnapshot(link, header, payload, now, &actions)
    case .end(let end, let ranking): receiveEnd(link, header, end, ranking, now, &actions)
    default: counters.late += 1
    }
  }

  private mutating func receiveSnapshot(
    _ link: LinkID, _ header: MessageHeader, _ payload: Payload, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    let id = header.requestID
    switch requests[id]?.receiver.receive(header.sequence, isFinal: false) {
    case .accepted?:
      let isProvisional = header.flags.contains(.provisional)
      requests[id]?.newest = (payload, isProvisional)
      counters.snapshots += 1
      actions.append(.snapshot(id, payload, isProvisional: isProvisional))
      guard let count = requests[id]?.receiver.acknowledgeAll(), var reply = requests[id]?.header(.ack, now)
      else { return }
      reply.stream = .ranking
      reply.sequence = count
      send(link, reply, .control(.ack), now, &actions)
    case .duplicate?, nil: counters.late += 1
    case .gap?, .overrun?, .afterFinal?:
      abandon(id, .lost("ranking \(header.sequence) came out of sequence"), now, &actions)
    }
  }

  private mutating func receiveEnd(
    _ link: LinkID, _ header: MessageHeader, _ end: RunEnd, _ ranking: Payload?, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    let id = header.requestID
    if header.status == .ok {
      guard let ranking else {
        return abandon(id, .lost("END(OK) came without a ranking"), now, &actions)
      }
      requests[id] = nil
      actions.append(.complete(id, .ranked(ranking, end)))
      return
    }
    let detail = end.detail?.string ?? ""
    if let ranking { requests[id]?.newest = (ranking, header.flags.contains(.provisional)) }
    noteFailure(id, link, .refused(header.status, detail: detail))
    guard let pause = pauseBeforeRetry(id, header.status, end.retryAfterMilliseconds, now) else {
      return fail(
        id, .ended, header.status, detail: detail, retryAfter: end.retryAfterMilliseconds, &actions)
    }
    if header.status == .internal || header.status == .corrupt { requests[id]?.hasRetriedOnce = true }
    requests[id]?.state = .pausing(until: now + pause)
    if pause == .zero { place(id, now, &actions) }
  }

  /// How long to wait before a request that ended is sent again; nil where it is not.
  private func pauseBeforeRetry(
    _ id: RequestID, _ status: Status, _ retryAfter: UInt32?, _ now: MonotonicTime
  ) -> MonotonicDuration? {
    guard let request = requests[id], status.isRetryableByClient, request.attempt < configuration.attempts,
      now < request.deadline
    else { return nil }
    if (status == .internal || status == .corrupt) && request.hasRetriedOnce { return nil }
    if hasFreshLink(for: request) { return .zero }
    // The same gateway again: not before it says, and not at once where it says nothing.
    let backOff = MonotonicDuration.milliseconds(100) * UInt64(1 << min(request.attempt - 1, 5))
    let pause = retryAfter.map { .milliseconds(UInt64($0)) } ?? backOff
    return now + pause < request.deadline ? pause : nil
  }

  /// What the codec refused.
  mutating func receiveRefused(
    _ link: LinkID, _ header: MessageHeader?, _ consequence: FrameError.Consequence, _ detail: String,
    _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = linkIndex(link) else { return }
    links[index].noteReceived(now)
    guard consequence != .closesSession, links[index].isOpen else { return violated(link, detail, now, &actions) }
    guard let header else {
      if damage.note(link, now) { violated(link, detail, now, &actions) }
      return
    }
    guard requests[header.requestID]?.matches(link, header) == true else { return counters.late += 1 }
    abandon(header.requestID, .lost("a message could not be read: \(detail)"), now, &actions)
  }

  // MARK: Failing over

  /// The gateway's answer cannot be used: it is told to stop, and the request goes elsewhere.
  private mutating func abandon(
    _ id: RequestID, _ failure: LinkFailure, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let request = requests[id], let link = request.link else { return }
    send(link, request.header(.cancel, now), .control(.cancel), now, &actions)
    noteFailure(id, link, failure)
    failOver(id, now, &actions)
  }

  /// The requests of a lost session go elsewhere.
  mutating func dropRequests(
    of link: LinkID, _ failure: GatewayFailure, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    for question in questions where question.link == link && question.isAsked {
      actions.append(.reportFailed(question.id, failure.failure))
    }
    questions.removeAll { $0.link == link && $0.isAsked }
    let dropped = requests.values.filter { $0.link == link }
      .sorted { ($0.deadline, $0.call.id.high, $0.call.id.low) < ($1.deadline, $1.call.id.high, $1.call.id.low) }
    for request in dropped {
      requests[request.call.id]?.failures.append(failure)
      failOver(request.call.id, now, &actions)
    }
  }

  private mutating func failOver(_ id: RequestID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let request = requests[id] else { return }
    guard request.attempt < configuration.attempts else {
      return fail(id, .lost, nil, detail: "lost \(request.attempt) times", &actions)
    }
    guard now < request.deadline else {
      return fail(id, .deadline, .deadline, detail: "no time was left to send it again", &actions)
    }
    requests[id]?.state = .pausing(until: now)
    place(id, now, &actions)
  }

  private mutating func noteFailure(_ id: RequestID, _ link: LinkID, _ failure: LinkFailure) {
    let name = linkIndex(link).map { links[$0].name } ?? "\(link)"
    requests[id]?.failures.append(GatewayFailure(name: name, failure: failure))
  }

  mutating func checkRequest(_ id: RequestID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let request = requests[id], now >= request.nextTimer(grace: configuration.grace) else { return }
    switch request.state {
    case .sent: fail(id, .deadline, .deadline, detail: "no END within the deadline", &actions)
    case .pausing where now < request.deadline: place(id, now, &actions)
    case .pausing: fail(id, .deadline, .deadline, detail: "no time was left to send it again", &actions)
    case .waiting:
      let standing = links.map { GatewayFailure(name: $0.name, failure: $0.standing) }
      requests[id]?.failures += standing
      let gateways = standing.isEmpty ? "no gateway is known" : standing.map(\.description).joined(separator: "; ")
      fail(id, .unreachable, nil, detail: "no gateway could be reached: \(gateways)", &actions)
    }
  }

  private mutating func fail(
    _ id: RequestID, _ cause: RankFailure<Payload>.Cause, _ status: Status?, detail: String,
    retryAfter: UInt32? = nil, _ actions: inout [Action]
  ) {
    guard let request = requests.removeValue(forKey: id) else { return }
    actions.append(
      .complete(
        id,
        .failed(
          RankFailure(
            cause: cause, status: status, detail: detail, newest: request.newest?.payload,
            isProvisional: request.newest?.isProvisional ?? false, gateways: request.failures,
            retryAfterMilliseconds: retryAfter))))
  }
}
