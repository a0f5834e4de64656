/// Sessions of a client (gltp-1.md 10.1).
extension ClientMachine {
  mutating func add(_ id: LinkID, _ name: String, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard linkIndex(id) == nil, !isClosed else { return }
    links.append(DialledLink(id, name: name, now: now))
    actions.append(.dial(id, after: .zero))
  }

  mutating func remove(_ id: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = linkIndex(id) else { return }
    if links[index].isOpen {
      removed.insert(id)
      drain(index, detail: "the gateway was removed from the client's list", now, &actions)
    } else {
      close(index, &actions)
    }
  }

  mutating func connected(_ id: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = linkIndex(id), links[index].connected(now) else { return }
    sayHello(id, now, &actions)
  }

  private mutating func sayHello(_ id: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    let hello = Hello(
      role: .client, limits: configuration.limits, peerID: configuration.peerID, bootID: configuration.bootID,
      build: configuration.build)
    send(id, MessageHeader(.hello), .control(.hello(hello)), now, &actions)
  }

  mutating func disconnected(
    _ id: LinkID, _ reason: String, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = linkIndex(id) else { return }
    lose(id, links[index].isOpen ? .lost(reason) : .noConnection(reason), now, &actions)
  }

  mutating func receive(
    _ id: LinkID, _ message: PeerMessage<Payload>, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = linkIndex(id) else { return }
    var control: MessageBody?
    if case .control(let body) = message.body { control = body }
    switch links[index].receive(message.header, control, now) {
    case .late: counters.late += 1
    case .handled: break
    case .answer(let body, let sequence):
      send(id, links[index].header(body.kind, sequence: sequence), .control(body), now, &actions)
    case .opened(let welcome):
      actions.append(
        .notice(id, .opened(sessionID: message.header.sessionID, peer: welcome.peerID?.string ?? links[index].name)))
      askWaiting(id, now, &actions)
      placeWaiting(now, &actions)
    case .drains: actions.append(.notice(id, .draining))
    case .refused(let status, let retryAfter, let detail):
      var atLeast = MonotonicDuration.milliseconds(UInt64(retryAfter ?? 0))
      if status == .version || status == .unauthorized {
        atLeast = DialledLink.longestBackOff
        actions.append(.notice(id, .needsOperator(status, detail: detail)))
      }
      lose(id, .refused(status, detail: detail), atLeast: atLeast, now, &actions)
    case .forgotten:
      links[index].greetAgain(now)
      let failure = links[index].lastFailure ?? .noAnswer
      actions.append(.notice(id, .failed(failure)))
      sayHello(id, now, &actions)
      dropRequests(of: id, GatewayFailure(name: links[index].name, failure: failure), now, &actions)
    case .bye(let status, let detail):
      lose(id, .lost("BYE(\(status))" + (detail.isEmpty ? "" : ": \(detail)")), now, &actions)
    case .belongsToRun: receiveForRequest(id, message, now, &actions)
    }
  }

  /// Ends the session, or the attempt at one, and dials again unless the link is to be left.
  mutating func lose(
    _ id: LinkID, _ failure: LinkFailure, atLeast: MonotonicDuration = .zero, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    guard let index = linkIndex(id) else { return }
    let name = links[index].name
    actions.append(.notice(id, .failed(failure)))
    if removed.contains(id) {
      close(index, &actions)
    } else {
      actions.append(.dial(id, after: links[index].fail(failure, atLeast: atLeast, now)))
    }
    dropRequests(of: id, GatewayFailure(name: name, failure: failure), now, &actions)
  }

  /// The gateway breaks the protocol: it loses the session (gltp-1.md 8.1).
  mutating func violated(_ id: LinkID, _ detail: String, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = linkIndex(id) else { return }
    if links[index].isOpen {
      send(
        id, links[index].header(.bye, status: .protocol), .control(.bye(detail: WireText(shortening: detail))), now,
        &actions)
    }
    lose(id, .lost("the gateway breaks the protocol: \(detail)"), now, &actions)
  }

  mutating func checkLink(_ id: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = linkIndex(id) else { return }
    switch links[index].check(now) {
    case .nothing: break
    case .ping(let sequence):
      send(id, links[index].header(.ping, sequence: sequence), .control(.ping), now, &actions)
    case .failed(let failure): lose(id, failure, now, &actions)
    }
  }

  // MARK: Reports

  mutating func ask(
    _ id: RequestID, _ link: LinkID, _ limit: MonotonicTime, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    questions.append(Question(id: id, link: link, limit: limit))
    if let index = linkIndex(link), links[index].isOpen { askWaiting(link, now, &actions) }
  }

  private mutating func askWaiting(_ link: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = linkIndex(link) else { return }
    for question in questions.indices where questions[question].link == link && !questions[question].isAsked {
      questions[question].isAsked = true
      send(link, links[index].header(.status, requestID: questions[question].id), .control(.status), now, &actions)
    }
  }

  mutating func receiveReport(
    _ link: LinkID, _ header: MessageHeader, _ report: StatusReport, _ actions: inout [Action]
  ) {
    guard let index = questions.firstIndex(where: { $0.link == link && $0.id == header.requestID && $0.isAsked })
    else { return counters.late += 1 }
    questions.remove(at: index)
    actions.append(.report(header.requestID, report))
  }

  // MARK: Leaving

  mutating func close(cancelling: Bool, _ now: MonotonicTime, _ actions: inout [Action]) {
    isClosing = true
    for index in links.indices { drain(index, detail: "the client leaves", now, &actions) }
    guard cancelling else { return }
    for id in requests.keys.sorted(by: { ($0.high, $0.low) < ($1.high, $1.low) }) {
      giveUp(id, .closed, now, &actions)
    }
    for question in questions { actions.append(.reportFailed(question.id, .lost("the client was closed"))) }
    questions = []
  }

  private mutating func drain(
    _ index: Int, detail: WireText, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard links[index].phase == .open else { return }
    links[index].drain()
    send(links[index].id, links[index].header(.drain), .control(.drain(detail: detail)), now, &actions)
  }

  private mutating func close(_ index: Int, _ actions: inout [Action]) {
    actions.append(.close(links[index].id))
    removed.remove(links[index].id)
    links.remove(at: index)
  }

  /// Says BYE to gateways that we leave and that owe us nothing.
  mutating func closeFinishedLinks(_ now: MonotonicTime, _ actions: inout [Action]) {
    let leavesAll = isClosing && isIdle
    for index in links.indices.reversed() {
      let id = links[index].id
      guard leavesAll || removed.contains(id) && !isInUse(id) else { continue }
      if links[index].isOpen {
        send(id, links[index].header(.bye), .control(.bye(detail: nil)), now, &actions)
      }
      close(index, &actions)
    }
    if leavesAll, !isClosed {
      isClosed = true
      actions.append(.closed)
    }
  }

  private func isInUse(_ link: LinkID) -> Bool {
    requests.values.contains { $0.link == link } || questions.contains { $0.link == link }
  }
}
