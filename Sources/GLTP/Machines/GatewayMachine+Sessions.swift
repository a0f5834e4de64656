// Sessions from WELCOME to their end (gltp-1.md 6, 10.2).

extension GatewayMachine {
  mutating func receive(_ message: PeerMessage<Payload>, from peer: PeerID, authenticatedAs role: Role?) {
    let session = sessionsByPeer[peer]
    if case .control(.hello(let hello)) = message.body {
      if let session { endSession(session, .replaced) }
      return greet(hello, peer, authenticatedAs: role)
    }
    guard let session, message.header.sessionID == sessions[session].id else {
      return answerStranger(peer, .unknownSession, message.header.sessionID)
    }
    sessions[session].liveness.noteReceived(now)
    switch message.body {
    case .control(.ping):
      send(.pong, MessageHeader(.pong, sequence: message.header.sequence), to: session)
    case .control(.pong): break
    case .control(.bye): endSession(session, .bye(message.header.status))
    case .control(.drain): drainSession(session)
    default:
      if sessions[session].role == .client {
        receiveFromClient(message, session)
      } else {
        receiveFromWorker(message, session)
      }
    }
  }

  /// A message that the codec refused.
  mutating func refuse(_ consequence: FrameError.Consequence, _ header: MessageHeader?, from peer: PeerID) {
    guard let session = sessionsByPeer[peer] else {
      return answerStranger(peer, .protocol, header?.sessionID ?? 0)
    }
    switch consequence {
    case .closesSession: violation(session)
    case .failsRequest: receiveDamage(header, session)
    case .overloaded:
      sessions[session].liveness.noteReceived(now)
      guard let header, header.kind == .request, sessions[session].role == .client else { return }
      endRefused(header, .overloaded, session, retryAfter: .seconds(1))
    }
  }

  mutating func disconnect(_ peer: PeerID) {
    guard let session = sessionsByPeer[peer] else { return }
    endSession(session, .disconnected)
  }

  /// The peer breaks the protocol, so that its session ends; nobody else's does.
  mutating func violation(_ session: Int) {
    counters.violations += 1
    endSession(session, .violation, bye: .protocol)
  }

  /// Takes note of damage that a session has done. The third time within a minute ends it.
  mutating func strike(_ session: Int) {
    counters.damaged += 1
    guard sessions[session].strikes.note(now) else { return }
    endSession(session, .damage, bye: .protocol)
  }

  mutating func drainSession(_ session: Int) {
    guard !sessions[session].isDraining else { return }
    sessions[session].isDraining = true
    guard sessions[session].role != .client else { return }
    leavePools(session)
    afterLeaving(session)
  }

  /// Ends a session: a worker's runs are lost, a client's requests are given up.
  ///
  /// - Parameter bye: why, where it is we who end it.
  mutating func endSession(_ session: Int, _ end: GatewayNote.SessionEnd, bye: Status? = nil) {
    if let bye { send(.bye(detail: nil), MessageHeader(.bye, status: bye), to: session) }
    let ended = sessions[session]
    if bye != nil, bye != .expired { actions.append(.close(ended.peer)) }
    actions.append(.note(.sessionEnded(session: ended.id, ended.role, name: ended.name, end)))
    sessionsByPeer[ended.peer] = nil
    sessionsByID[ended.id] = nil
    sessionTimers.remove(session)
    if end != .drained { counters.lostSessions += 1 }
    if ended.role == .client {
      clientCount -= 1
      while sessions[session].first >= 0 { abandon(Int(sessions[session].first)) }
    } else {
      workerCount -= 1
      if ended.owesReport { reportsOwed -= 1 }
      if !ended.isDraining { leavePools(session) }
      loseRuns(session, isCrash: end.isCrash)
    }
    freeSession(session)
    if ended.role != .client {
      if !ended.isDraining { afterLeaving(bundles: ended.bundles, ended.role.stage) }
      answerStatuses()
    }
  }

  private mutating func loseRuns(_ session: Int, isCrash: Bool) {
    let process = sessions[session].process
    while sessions[session].first >= 0 {
      let run = Int(sessions[session].first)
      detach(run)
      runLost(run, process: process, isCrash: isCrash)
    }
  }

  private mutating func freeSession(_ session: Int) {
    sessions[session] = GatewaySession()
    sessionSlots.giveBack(session)
  }

  // MARK: Peers without session

  /// Tells a peer without session to begin again, once a second at most.
  mutating func answerStranger(_ peer: PeerID, _ status: Status, _ session: UInt64) {
    counters.strangers += 1
    forgetStrangers()
    guard strangers[peer] == nil, strangers.count < configuration.maximumStrangers else { return }
    strangers[peer] = now
    strangerQueue.append((peer, now))
    let header = MessageHeader(.reject, status: status, sessionID: session)
    actions.append(.send(PeerMessage(header, .control(.reject(Reject()))), to: peer))
  }

  mutating func forgetStrangers() {
    while let first = strangerQueue.first, now.since(first.time) >= .seconds(1) {
      strangers[first.peer] = nil
      strangerQueue.removeFirst()
    }
  }

  // MARK: Sending

  /// Sends a message in a session, whose id and version its header gets.
  mutating func send(_ body: MessageBody, _ header: MessageHeader, to session: Int) {
    send(PeerMessage(header, .control(body)), to: session)
  }

  mutating func send(_ message: PeerMessage<Payload>, to session: Int) {
    var message = message
    message.header.sessionID = sessions[session].id
    message.header.version = sessions[session].version
    sessions[session].liveness.noteSent(now)
    actions.append(.send(message, to: sessions[session].peer))
  }
}

extension GatewayNote.SessionEnd {
  /// Whether the worker may have died of what it was computing.
  var isCrash: Bool {
    switch self {
    case .bye, .drained: false
    case .disconnected, .expired, .replaced, .violation, .damage: true
    }
  }
}
