// HELLO, and who is let in (gltp-1.md 5.2, 6.1, 6.2).

extension GatewayMachine {
  mutating func greet(_ hello: Hello, _ peer: PeerID, authenticatedAs role: Role?) {
    guard let version = configuration.versions.common(with: hello.versions) else {
      return reject(hello, peer, .version, Reject(versions: configuration.versions))
    }
    let isClient = hello.role == .client
    guard isClient == (peer.listener == .clients) else {
      let detail: WireText =
        isClient
        ? "workers connect here; clients do one port below, as a rule"
        : "clients connect here; workers do one port above, as a rule"
      return reject(hello, peer, .unauthorized, Reject(detail: detail))
    }
    guard hello.role != .gateway, role == nil || role == hello.role else {
      return reject(hello, peer, .unauthorized, Reject(detail: "the key is not listed for this role"))
    }
    guard !hasDrained, !(isClient && isDraining) else {
      return reject(hello, peer, .draining, Reject(retryAfterMilliseconds: 1000))
    }
    guard isClient || hello.slots ?? 0 > 0 && (1...8).contains(hello.bundles.count) else {
      return reject(hello, peer, .protocol, Reject(detail: "a worker needs slots and 1 to 8 bundles"))
    }
    let hasRoom =
      isClient ? clientCount < configuration.maximumClients : workerCount < configuration.maximumWorkers
    guard hasRoom, let offered = isClient ? [] : bundleSlots(hello.bundles) else {
      return reject(hello, peer, .overloaded, Reject(retryAfterMilliseconds: 1000))
    }
    let session = openSession(hello, peer, version)
    welcome(session)
    if !isClient { join(session, offered) }
  }

  private mutating func reject(_ hello: Hello, _ peer: PeerID, _ status: Status, _ reject: Reject) {
    let message = PeerMessage<Payload>(MessageHeader(.reject, status: status), .control(.reject(reject)))
    actions.append(.send(message, to: peer))
    actions.append(.note(.helloRejected(peer, hello.role, status)))
  }

  private mutating func openSession(_ hello: Hello, _ peer: PeerID, _ version: ProtocolVersion) -> Int {
    let slot = sessionSlots.take()
    if slot == sessions.count { sessions.append(GatewaySession()) }
    let id = nextSessionID
    nextSessionID = nextSessionID == .max ? 1 : nextSessionID + 1
    sessions[slot].id = id
    sessions[slot].peer = peer
    sessions[slot].role = hello.role
    sessions[slot].name = hello.peerID
    sessions[slot].build = hello.build
    sessions[slot].version = version
    sessions[slot].process = hello.bootID ?? BootID(high: 0, low: id)
    sessions[slot].window = hello.limits.window
    sessions[slot].slots = hello.slots ?? 0
    sessions[slot].openedAt = now
    sessions[slot].liveness = Liveness(
      heartbeat: configuration.heartbeat, expiry: configuration.expiry, now: now)
    sessionsByPeer[peer] = slot
    sessionsByID[id] = slot
    sessionTimers.set(slot, sessions[slot].liveness.nextTimer)
    if hello.role == .client { clientCount += 1 } else { workerCount += 1 }
    actions.append(.note(.sessionOpened(session: id, hello.role, name: hello.peerID, peer)))
    return slot
  }

  private mutating func welcome(_ session: Int) {
    let isClient = sessions[session].role == .client
    let welcome = Welcome(
      version: sessions[session].version, heartbeatMilliseconds: configuration.heartbeat.wholeMilliseconds,
      expiryMilliseconds: configuration.expiry.wholeMilliseconds,
      limits: isClient ? configuration.clientLimits : configuration.workerLimits, peerID: configuration.name,
      bootID: configuration.bootID, build: configuration.build,
      bundles: currentBundle.flatMap { bundles[$0] }.map { [$0.hash] } ?? [])
    send(.welcome(welcome), MessageHeader(.welcome), to: session)
    if isDraining { send(.drain(detail: nil), MessageHeader(.drain), to: session) }
  }
}
