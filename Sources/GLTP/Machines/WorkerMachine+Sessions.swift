/// Sessions of a worker (gltp-1.md 10.1).
extension WorkerMachine {
  mutating func add(_ id: LinkID, _ name: String, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard linkIndex(id) == nil, leaving == nil else { return }
    links.append(DialledLink(id, name: name, now: now))
    actions.append(.dial(id, after: .zero))
  }

  mutating func remove(_ id: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = linkIndex(id) else { return }
    removed.insert(id)
    leave(index, detail: "the gateway was removed from the worker's list", now, &actions)
  }

  mutating func connected(_ id: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    guard let index = linkIndex(id), links[index].connected(now) else { return }
    sayHello(id, now, &actions)
  }

  private mutating func sayHello(_ id: LinkID, _ now: MonotonicTime, _ actions: inout [Action]) {
    let hello = Hello(
      role: configuration.role, limits: configuration.limits, peerID: configuration.peerID,
      bootID: configuration.bootID, build: configuration.build, slots: UInt32(clamping: configuration.slots),
      bundles: configuration.bundles)
    send(id, MessageHeader(.hello), .control(.hello(hello)), now, &actions)
  }

  mutating func disconnected(
    _ id: LinkID, _ reason: String, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = linkIndex(id), links[index].phase != .closed else { return }
    lose(id, links[index].isOpen ? .lost(reason) : .noConnection(reason), now, &actions)
  }

  mutating func receive(
    _ id: LinkID, _ message: PeerMessage<Payload>, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    guard let index = linkIndex(id) else { return }
    var control: MessageBody?
    if case .control(let body) = message.body { control = body }
    switch links[index].receive(message.header, control, now) {
    case .late: count.late += 1
    case .handled: break
    case .answer(let body, let sequence):
      send(id, links[index].header(body.kind, sequence: sequence), .control(body), now, &actions)
    case .opened(let welcome):
      actions.append(
        .notice(id, .opened(sessionID: message.header.sessionID, peer: welcome.peerID?.string ?? links[index].name)))
      if leaving == nil, !removed.contains(id) {
        credits.open(id)
      } else {
        leave(index, detail: "the worker leaves", now, &actions)
      }
    case .drains: actions.append(.notice(id, .draining))
    case .refused(let status, let retryAfter, let detail):
      refusedByGateway(id, status, retryAfter, detail, now, &actions)
    case .forgotten:
      dropRuns(of: id, &actions)
      links[index].greetAgain(now)
      actions.append(.notice(id, .failed(links[index].lastFailure ?? .noAnswer)))
      sayHello(id, now, &actions)
    case .bye(let status, let detail):
      lose(id, .lost("BYE(\(status))" + (detail.isEmpty ? "" : ": \(detail)")), now, &actions)
    case .belongsToRun: receiveForRun(id, message, now, &actions)
    }
  }

  private mutating func refusedByGateway(
    _ id: LinkID, _ status: Status, _ retryAfter: UInt32?, _ detail: String, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    var atLeast = MonotonicDuration.milliseconds(UInt64(retryAfter ?? 0))
    if status == .version || status == .unauthorized {
      atLeast = DialledLink.longestBackOff
      actions.append(.notice(id, .needsOperator(status, detail: detail)))
    }
    lose(id, .refused(status, detail: detail), atLeast: atLeast, now, &actions)
  }

  /// Ends the session, or the attempt at one, and dials again unless the link is to be left.
  mutating func lose(
    _ id: LinkID, _ failure: LinkFailure, atLeast: MonotonicDuration = .zero, _ now: MonotonicTime,
    _ actions: inout [Action]
  ) {
    guard let index = linkIndex(id) else { return }
    dropRuns(of: id, &actions)
    actions.append(.notice(id, .failed(failure)))
    if leaving != nil || removed.contains(id) {
      close(index, &actions)
    } else {
      actions.append(.dial(id, after: links[index].fail(failure, atLeast: atLeast, now)))
    }
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

  /// The runs of a lost session end without a word.
  private mutating func dropRuns(of link: LinkID, _ actions: inout [Action]) {
    credits.close(link)
    for index in runs.indices where runs[index].link == link {
      runs[index].holdsSlot = false
      guard !runs[index].isEnded else { continue }
      runs[index].isEnded = true
      count.cancelled += 1
      if !runs[index].isReleased { actions.append(.cancel(runs[index].id)) }
    }
    runs.removeAll { $0.isEnded && $0.isReleased }
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

  // MARK: Leaving

  mutating func drain(
    until limit: MonotonicTime, _ exit: WorkerExit, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    if var leaving {
      leaving.limit = min(leaving.limit, limit)
      if exit != .drained { leaving.exit = exit }
      self.leaving = leaving
      return
    }
    leaving = Leaving(limit: limit, exit: exit)
    for index in links.indices.reversed() { leave(index, detail: "the worker leaves", now, &actions) }
  }

  /// Takes no more runs from a gateway; `closeFinishedLinks` does the rest.
  private mutating func leave(
    _ index: Int, detail: WireText, _ now: MonotonicTime, _ actions: inout [Action]
  ) {
    switch links[index].phase {
    case .open:
      links[index].drain()
      credits.close(links[index].id)
      for run in runs.indices where runs[run].link == links[index].id { runs[run].holdsSlot = false }
      send(links[index].id, links[index].header(.drain), .control(.drain(detail: detail)), now, &actions)
    case .draining, .closed: break
    case .dialling, .greeting: close(index, &actions)
    }
  }

  private mutating func close(_ index: Int, _ actions: inout [Action]) {
    actions.append(.close(links[index].id))
    removed.remove(links[index].id)
    links.remove(at: index)
  }

  /// Says BYE to the gateways that we leave and whose runs have ended, and goes when there is none left.
  mutating func closeFinishedLinks(_ now: MonotonicTime, _ actions: inout [Action]) {
    for index in links.indices.reversed() where links[index].phase == .draining {
      let id = links[index].id
      guard !runs.contains(where: { $0.link == id && !$0.isEnded }) else { continue }
      sayBye(index, now, &actions)
    }
    if let leaving, !leaving.isDone, links.isEmpty {
      self.leaving?.isDone = true
      actions.append(.exit(leaving.exit))
    }
  }

  private mutating func sayBye(_ index: Int, _ now: MonotonicTime, _ actions: inout [Action]) {
    var status = Status.ok
    if case .stuck? = leaving?.exit { status = .internal }
    send(links[index].id, links[index].header(.bye, status: status), .control(.bye(detail: nil)), now, &actions)
    close(index, &actions)
  }

  /// Time to leave is over: what still runs is for the gateways to run elsewhere.
  mutating func giveUp(_ now: MonotonicTime, _ actions: inout [Action]) {
    let unfinished = runs.count { !$0.isEnded }
    if unfinished > 0, leaving?.exit == .drained { leaving?.exit = .drainLimit(unfinished: unfinished) }
    for index in links.indices.reversed() {
      dropRuns(of: links[index].id, &actions)
      if links[index].isOpen { sayBye(index, now, &actions) } else { close(index, &actions) }
    }
  }
}

extension WireText {
  /// A detail that fits its TLV, whatever the text.
  init(shortening text: String, to limit: Int = 1024) {
    guard text.utf8.count > limit else {
      self.init(text.isEmpty ? "-" : text)
      return
    }
    var short = ""
    var bytes = 0
    for scalar in text.unicodeScalars {
      bytes += String(scalar).utf8.count
      if bytes > limit { break }
      short.unicodeScalars.append(scalar)
    }
    self.init(short)
  }
}
