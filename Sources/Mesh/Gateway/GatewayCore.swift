import GLTP
import Logging

/// The gateway on its I/O thread: turns what the sockets hear into events of the state machine, and its actions into
/// messages. Used on the loop's thread only.
final class GatewayCore: @unchecked Sendable {
  private let loop: EventLoop
  private let configuration: Gateway.Configuration
  private let logger: Logger
  private let drained: Latch<Bool>

  private var machine: GatewayMachine<MessageHandle>
  private var codec: GatewayCodec
  private var actions: [GatewayAction<MessageHandle>] = []
  /// Peers that we have given up while carrying out actions.
  private var abandoned: [PeerID] = []
  private var meters = GatewayMeters()

  private var clients: Listener?
  private var workers: Listener?
  private var allowList: AllowListSource?

  private var timer: LoopTimer?
  private var armedFor = MonotonicTime.distantFuture
  /// Set while timers wait for what may still lie in the sockets.
  private var resumeAt: MonotonicTime?

  private var closing: [(peer: Peer, listener: Listener, due: MonotonicTime)] = []
  private var closingTimer: LoopTimer?
  private var housekeepingTimer: LoopTimer?
  private var nextWarning = MonotonicTime.zero
  private var handshakeGate = LogGate()
  private var refusalGate = LogGate()
  private var acceptGate = LogGate()

  /// Time for a BYE to leave before its connection is cut.
  private static let farewell = MonotonicDuration.milliseconds(200)
  /// A timer that comes so late means that the process did not run.
  private static let tooLate = MonotonicDuration.milliseconds(250)
  private static let catchUp = MonotonicDuration.milliseconds(50)

  /// Opens both endpoints.
  ///
  /// - Throws: what ``Listener`` and ``AllowListSource`` throw.
  init(
    _ configuration: Gateway.Configuration, loop: EventLoop, logger: Logger, drained: Latch<Bool>
  ) throws(MeshError) {
    loop.assertOnLoop()
    self.loop = loop
    self.configuration = configuration
    self.logger = logger
    self.drained = drained
    machine = GatewayMachine(configuration: configuration.drawRules())
    codec = GatewayCodec(buffers: loop.buffers, messages: loop.messages)
    do throws(MeshError) {
      clients = try listen(on: configuration.clientEndpoint, .clients, configuration.clientLimits)
      workers = try listen(on: configuration.workerEndpoint, .workers, configuration.workerLimits)
    } catch {
      clients?.close()
      throw error
    }
    timer = loop.makeTimer { [weak self] in self?.timerFired() }
    closingTimer = loop.makeTimer { [weak self] in self?.cutClosing() }
    housekeepingTimer = loop.makeTimer { [weak self] in self?.keepHouse() }
    keepHouse()
    for endpoint in [clientEndpoint, workerEndpoint] {
      logger.info("gateway listens", metadata: [Logger.Key.endpoint: "\(endpoint)"])
    }
  }

  var clientEndpoint: Endpoint { clients?.endpoint ?? configuration.clientEndpoint }
  var workerEndpoint: Endpoint { workers?.endpoint ?? configuration.workerEndpoint }

  private func listen(
    on endpoint: Endpoint, _ edge: PeerID.Listener, _ limits: EdgeLimits
  ) throws(MeshError) -> Listener {
    try Listener(on: endpoint, loop: loop, security: try security(), limits: limits) { [weak self] _, event in
      self?.take(event, at: edge)
    }
  }

  private func security() throws(MeshError) -> ListenerSecurity {
    switch configuration.security {
    case .open: return .open(allowPublic: false)
    case .insecure: return .open(allowPublic: true)
    case .curve(let keys, let allowed):
      if let allowList { return .curve(keys, allowList) }
      let list = try source(of: allowed)
      allowList = list
      return .curve(keys, list)
    }
  }

  private func source(of allowed: Gateway.AllowedKeys) throws(MeshError) -> AllowListSource {
    switch allowed {
    case .list(let list): return AllowListSource(list)
    case .file(let path):
      let logger = logger
      return try AllowListSource(contentsOf: path, loop: loop) { source in
        let reason = source.failure.map { "\($0.message)" } ?? ""
        logger.info(
          source.failure == nil ? "allow-list is read again" : "allow-list cannot be used: nobody new is let in",
          metadata: [Logger.Key.reason: "\(reason)"])
      }
    }
  }

  // MARK: From the sockets

  private func take(_ event: ListenerEvent, at edge: PeerID.Listener) {
    switch event {
    case .peerArrived(let peer):
      peer.attachment = GatewayPeer(
        id: PeerID(edge, UInt64(peer.id.number)), role: peer.identity.map { Role($0.role) })
    case .message(let message, let peer): receive(message, from: peer, at: edge)
    case .peerGone(let peer):
      if let known = GatewayCore.known(peer) { handle(.disconnected(known.id)) }
    case .offence(let offence, let peer):
      guard let known = GatewayCore.known(peer) else { return }
      if known.gate.pass(.now) != nil {
        logger.info("a peer broke a limit", metadata: [Logger.Key.peer: "\(peer)", Logger.Key.reason: "\(offence)"])
      }
      switch offence {
      // The message was dropped, the connection lives: the session must not go on as if nothing were missing.
      case .tooManyParts, .tooManyBytes: handle(.refused(.closesSession, nil, from: known.id))
      // The connection was cut; its end follows.
      case .endlessMessage, .noMessage, .ownRoutingID, .tooManyConnections, .keyRevoked: break
      }
    case .refused(let offence, let address):
      guard let suppressed = refusalGate.pass(.now) else { return }
      logger.info(
        "a connection was cut",
        metadata: [
          Logger.Key.peer: "\(address)", Logger.Key.reason: "\(offence)", Logger.Key.suppressed: "\(suppressed)",
        ])
    case .handshakeFailed(let failure):
      guard let suppressed = handshakeGate.pass(.now) else { return }
      logger.info(
        "a handshake failed",
        metadata: [Logger.Key.reason: "\(failure)", Logger.Key.suppressed: "\(suppressed)"])
    case .acceptFailed(let code):
      guard let suppressed = acceptGate.pass(.now) else { return }
      logger.info(
        "the system refused a connection",
        metadata: [Logger.Key.reason: "errno \(code)", Logger.Key.suppressed: "\(suppressed)"])
    case .unparked: break
    }
  }

  private static func known(_ peer: Peer) -> GatewayPeer? { peer.attachment as? GatewayPeer }

  private func receive(_ message: Multipart, from peer: Peer, at edge: PeerID.Listener) {
    guard let known = GatewayCore.known(peer) else { return }
    meters.bytesIn += UInt64(message.byteCount)
    do throws(FrameError) {
      let decoded = try codec.decode(message, from: edge)
      handle(.received(decoded, from: known.id, authenticatedAs: known.role))
    } catch {
      let now = MonotonicTime.now
      if let suppressed = known.gate.pass(now) {
        logger.info(
          "a message was refused",
          metadata: [
            Logger.Key.peer: "\(peer)", Logger.Key.reason: "\(error)", Logger.Key.suppressed: "\(suppressed)",
          ])
      }
      handle(.refused(error.consequence, GatewayCodec.header(of: message), from: known.id))
      if error.consequence != .overloaded, known.noteRefusal(now) { close(peer, edge) }
    }
  }

  // MARK: The state machine

  private func handle(_ event: GatewayEvent<MessageHandle>) {
    let now = MonotonicTime.now
    machine.handle(event, now: now, into: &actions)
    var index = 0
    while true {
      while index < actions.count {
        perform(actions[index], now)
        index += 1
      }
      guard let lost = abandoned.popLast() else { break }
      machine.handle(.disconnected(lost), now: now, into: &actions)
    }
    actions.removeAll(keepingCapacity: true)
    codec.sweep(4)
    armTimer()
  }

  private func perform(_ action: GatewayAction<MessageHandle>, _ now: MonotonicTime) {
    switch action {
    case .send(let message, let id): send(message, to: id)
    case .close(let id):
      if let (peer, _) = find(id) { close(peer, id.listener) }
    case .verify(let payload, let ticket):
      let isIntact = codec.isIntact(payload)
      machine.handle(.verified(ticket: ticket, isIntact: isIntact), now: now, into: &actions)
    case .report(let report, let header, let id): send(report, header, to: id, now)
    case .note(let note):
      if case .runEnded(_, let stage, _, _, let status, _, let timing, let flags) = note {
        meters.record(stage, status, timing, flags, at: now)
      }
      logger.note(note)
    case .drained:
      logger.info("gateway has drained")
      drained.open(true)
    }
  }

  private func find(_ id: PeerID) -> (Peer, Listener)? {
    let listener = id.listener == .clients ? clients : workers
    guard let listener, let peer = listener.peers[RoutingID(number: UInt32(truncatingIfNeeded: id.number))] else {
      return nil
    }
    return (peer, listener)
  }

  // MARK: Sending

  private func send(_ message: PeerMessage<MessageHandle>, to id: PeerID) {
    guard let (peer, listener) = find(id), !peer.isExpelled else { return }
    do throws(FrameError) {
      send(try codec.encode(message), message.header.kind, to: peer, listener, id)
    } catch {
      logger.error(
        "a message of ours cannot be encoded",
        metadata: [Logger.Key.reason: "\(error)", Logger.Key.request: "\(message.header.requestID)"])
    }
  }

  private func send(_ multipart: Multipart, _ kind: MessageKind, to peer: Peer, _ listener: Listener, _ id: PeerID) {
    meters.bytesOut += UInt64(multipart.byteCount)
    switch listener.send(multipart, to: peer, lane: kind.lane) {
    case .sent, .parked: break
    // Its end is told by an event.
    case .gone: break
    case .full:
      // A message left out would be a gap, so a peer that does not read is lost altogether.
      logger.info("a peer does not read what it is sent and is cut", metadata: [Logger.Key.peer: "\(peer)"])
      listener.disconnect(peer)
      abandoned.append(id)
    }
  }

  private func send(_ report: GatewayReport, _ header: MessageHeader, to id: PeerID, _ now: MonotonicTime) {
    guard let (peer, listener) = find(id), !peer.isExpelled else { return }
    let json = report.json(configuration, meters, at: now)
    do throws(FrameError) {
      let tensor = loop.buffers.vector(.report, .u8, json)
      let multipart = try codec.encode(Message(header: header, body: .report(StatusReport(json: tensor))))
      send(multipart, .report, to: peer, listener, id)
    } catch {
      logger.error("a report cannot be encoded", metadata: [Logger.Key.reason: "\(error)"])
    }
  }

  // MARK: Closing connections

  /// Reads no more of a peer, and cuts its connection once what was sent has had time to leave.
  private func close(_ peer: Peer, _ edge: PeerID.Listener) {
    guard !peer.isExpelled, let listener = edge == .clients ? clients : workers else { return }
    peer.isExpelled = true
    closing.append((peer, listener, .now + GatewayCore.farewell))
    if closingTimer?.deadline == nil { closingTimer?.arm(after: Duration(GatewayCore.farewell)) }
  }

  private func cutClosing() {
    let now = MonotonicTime.now
    let due = closing.prefix { $0.due <= now }
    for entry in due { entry.listener.disconnect(entry.peer) }
    closing.removeFirst(due.count)
    if let next = closing.first { closingTimer?.arm(at: MonotonicInstant(next.due)) }
  }

  // MARK: Time

  private func armTimer() {
    let next = max(machine.nextTimer, resumeAt ?? .zero)
    guard next != armedFor else { return }
    armedFor = next
    if next == .distantFuture { timer?.disarm() } else { timer?.arm(at: MonotonicInstant(next)) }
  }

  /// A process that was stopped for a while must read what has come meanwhile before it takes anybody for dead.
  private func timerFired() {
    let now = MonotonicTime.now
    let isLate = now.since(armedFor) > GatewayCore.tooLate
    armedFor = .distantFuture
    if isLate, resumeAt == nil {
      resumeAt = now + GatewayCore.catchUp
      return armTimer()
    }
    resumeAt = nil
    handle(.timer)
  }

  /// Once a second: takes back memory, and warns who needs to be warned.
  private func keepHouse() {
    codec.sweep(4_096)
    housekeepingTimer?.arm(after: .seconds(1))
    let now = MonotonicTime.now
    guard configuration.isExposed, now >= nextWarning else { return }
    nextWarning = now + .seconds(60)
    logger.warning(
      "insecure: without keys anybody on the network can read, forge and flood requests",
      metadata: [Logger.Key.endpoint: "\(clientEndpoint), \(workerEndpoint)"])
  }

  // MARK: For the gateway's owner

  func drain() { handle(.drain) }

  var status: Gateway.Status {
    let now = MonotonicTime.now
    let report = machine.report()
    return Gateway.Status(
      report: report, footprint: machine.footprint, bytesIn: meters.bytesIn, bytesOut: meters.bytesOut,
      memory: loop.buffers.statistics, json: report.json(configuration, meters, at: now))
  }
}
