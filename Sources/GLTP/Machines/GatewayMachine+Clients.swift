// What clients say, and the snapshots that they are sent (gltp-1.md 10.3, the client's side).

extension GatewayMachine {
  mutating func receiveFromClient(_ message: PeerMessage<Payload>, _ session: Int) {
    let header = message.header
    switch message.body {
    case .control(.rank(let body)) where header.stage == .none: accept(body, header, session)
    case .control(.cancel) where header.stage == .none:
      guard let request = request(header, of: session) else { return countLate() }
      finish(request, .cancelled)
    case .control(.ack) where header.stage == .none && header.stream == .ranking:
      receiveClientAck(header, session)
    case .control(.status): receiveStatus(header, session)
    default: violation(session)
    }
  }

  /// The active request that a client's message is about.
  private func request(_ header: MessageHeader, of session: Int) -> Int? {
    guard let request = requestsByID[header.requestID], requests[request].client == session else { return nil }
    return request
  }

  mutating func countLate() { counters.late += 1 }

  private mutating func receiveClientAck(_ header: MessageHeader, _ session: Int) {
    guard let request = request(header, of: session), requests[request].clientAttempt == header.attempt else {
      return countLate()
    }
    switch requests[request].clientStream.acknowledge(header.sequence) {
    case .stale: break
    case .violation: violation(session)
    case .progress:
      requests[request].stalledSince = nil
      setTimer(request)
      sendSnapshot(request)
    }
  }

  /// A ranker's newest ranking, which replaces those before it.
  mutating func keepRanking(_ chunk: HeldChunk<Payload>, _ request: Int) {
    heldBytes += chunk.byteCount - (chunks[request].newest?.byteCount ?? 0)
    chunks[request].newest = chunk
    guard requests[request].flags.contains(.stream) else { return }
    if requests[request].hasUnsentRanking { counters.skippedSnapshots += 1 }
    requests[request].hasUnsentRanking = true
  }

  /// Sends the newest ranking to the client, if it wants snapshots, has not seen this one and has room.
  mutating func sendSnapshot(_ request: Int) {
    guard requests[request].hasUnsentRanking, requests[request].clientStream.isOpen,
      let newest = chunks[request].newest
    else { return }
    requests[request].hasUnsentRanking = false
    var header = newest.header
    header.kind = .partial
    header.flags.formIntersection(.provisional)
    header.stage = .none
    header.stream = .ranking
    header.attempt = requests[request].clientAttempt
    header.status = .ok
    header.sequence = requests[request].clientStream.send(isFinal: false)
    header.budgetMilliseconds = remaining(request)
    send(PeerMessage(header, .chunk(newest.payload)), to: requests[request].client)
    guard !requests[request].clientStream.isOpen else { return }
    requests[request].stalledSince = now
    setTimer(request)
  }
}
