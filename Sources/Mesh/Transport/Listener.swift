import CZeroMQ

/// What a listener tells its owner, on the loop's thread.
package enum ListenerEvent {
  /// A peer's first message is about to follow.
  case peerArrived(Peer)
  /// A message. Keep it as long as you like; what is not kept is used again.
  case message(Multipart, from: Peer)
  /// The peer is gone, and everything parked for it is dropped. The last event about it.
  case peerGone(Peer)
  /// The peer broke a limit and its message was dropped. Cut connections are followed by `peerGone`.
  case offence(Offence, by: Peer)
  /// A connection that never became a peer broke a limit and was cut.
  case refused(Offence, address: String)
  /// A connection ended before its handshake was over.
  case handshakeFailed(HandshakeFailure)
  /// The system could not accept a connection; an `errno` value.
  case acceptFailed(Int32)
  /// Parked messages have left, and the peer has room again.
  case unparked(Peer)
}

/// How a listener protects itself.
package enum ListenerSecurity {
  /// No keys. Only on loopback and within the process, unless `allowPublic` is set.
  case open(allowPublic: Bool)
  /// CURVE: peers need the server's public key, and a key of their own that the list knows.
  case curve(KeyPair, AllowListSource)
}

/// A bound socket (ROUTER): many peers, each with its own outbound queue. Used on the loop's thread only.
package final class Listener: @unchecked Sendable {
  /// The endpoint that peers connect to, with the port that the system chose.
  package let endpoint: Endpoint
  package let limits: EdgeLimits
  /// The peers that have sent a message and are not gone.
  package private(set) var peers: [RoutingID: Peer] = [:]

  private let loop: EventLoop
  private let socket: ZeroMQSocket
  private var receiver: MultipartReceiver
  private let connections: ConnectionGuard
  private let handler: (Listener, ListenerEvent) -> Void
  private let domain: String?
  private let isEncrypted: Bool
  private var monitor: SocketMonitor?
  private var parked: [Peer] = []
  private var lost: [Peer] = []
  private var lookTimer: LoopTimer?
  private var retryTimer: LoopTimer?
  /// Whether the last service received everything that libzmq had completed.
  private var isDrained = true
  private var isClosed = false

  /// Binds a socket.
  ///
  /// - Parameters:
  ///   - endpoint: `tcp://ADDRESS:PORT` with a numeric address, `*` or `localhost` and any port, or `inproc://NAME`.
  ///   - handler: called on the loop's thread; must not wait.
  /// - Throws: `MeshError.insecure` for an address beyond this machine without keys, `.endpointUnavailable` if it is
  ///   taken, `.invalidArgument` for limits that cannot work, `.inputOutput` if the system has no sockets left.
  package init(
    on endpoint: Endpoint, loop: EventLoop, security: ListenerSecurity, limits: EdgeLimits,
    timings: LinkTimings = LinkTimings(), handler: @escaping (Listener, ListenerEvent) -> Void
  ) throws(MeshError) {
    loop.assertOnLoop()
    try limits.validate()
    self.loop = loop
    self.limits = limits
    self.handler = handler
    connections = ConnectionGuard(limits: limits)
    var curve: [SocketOption] = []
    switch security {
    case .open(let allowPublic):
      isEncrypted = false
      try endpoint.requireKeysUnlessLocal(isAllowed: allowPublic, action: "listen on")
    case .curve(let keys, _):
      isEncrypted = endpoint.transport == .tcp
      if isEncrypted { curve = SocketOption.curveServer(keys) }
    }
    var options = SocketOption.listener(limits, timings, isEncrypted: isEncrypted)
    if endpoint.isIPv6 { options.append(SocketOption.ipv6) }
    // Messages within the process pass no handshake, so there is nobody to authenticate.
    if endpoint.transport == .inproc {
      domain = nil
    } else {
      let name = loop.uniqueName("listener")
      domain = name
      options.append(SocketOption.domain(name))
    }
    socket = try ZeroMQSocket(context: loop.context, type: ZMQ_ROUTER, options: options + curve)
    receiver = MultipartReceiver(socket: socket, limits: limits, isEncrypted: isEncrypted)
    if let domain {
      switch security {
      case .open: loop.authenticator?.admit(domain: domain, .anybody)
      case .curve(_, let list): loop.authenticator?.admit(domain: domain, .keys(list))
      }
    }
    do throws(MeshError) {
      var bound = endpoint
      let events = MonitorRelay()
      if endpoint.transport != .inproc {
        monitor = try SocketMonitor(loop: loop, observed: socket) { events.serve?() ?? false }
      }
      try socket.bind(endpoint.bindText)
      if endpoint.transport == .tcp { bound = try Endpoint(socket.lastEndpoint) }
      self.endpoint = bound
      events.serve = { [unowned self] in serve() }
    } catch {
      monitor?.close()
      if let domain { loop.authenticator?.dismiss(domain: domain) }
      receiver.deallocate()
      socket.close()
      throw error
    }
    socket.serve = { [unowned self] in serve() }
    loop.add(socket)
    loop.add(self)
    retryTimer = loop.makeTimer { [unowned self] in retryParked() }
    lookTimer = loop.makeTimer { [unowned self] in look() }
    if case .curve(_, let list) = security {
      // The list keeps the closure, so the closure must not keep the list.
      list.observe(self) { [unowned self, unowned list] in cutRevoked(list) }
    }
  }

  /// The monitor exists before the listener is whole.
  private final class MonitorRelay {
    var serve: (() -> Bool)?
  }

  deinit { receiver.deallocate() }

  // MARK: Sending

  /// Sends `message` to `peer`, or parks it if libzmq's queue to the peer is full. Never waits.
  ///
  /// After `.sent` and `.parked` the message belongs to the transport.
  package func send(_ message: Multipart, to peer: Peer, lane: Lane = .data) -> SendOutcome {
    loop.assertOnLoop()
    guard peer.isReachable, !isClosed, !message.isEmpty else { return .gone }
    guard !peer.lanes.mustWait(lane) else { return park(message, for: peer, lane) }
    socket.isDirty = true
    switch socket.send(message, to: peer.id) {
    case .sent:
      loop.reuse(message)
      return .sent
    case .again: return park(message, for: peer, lane)
    case .gone:
      lose(peer)
      return .gone
    }
  }

  private func park(_ message: Multipart, for peer: Peer, _ lane: Lane) -> SendOutcome {
    guard peer.lanes.park(message, lane, limits) else { return .full }
    if !peer.isParked {
      peer.isParked = true
      parked.append(peer)
      if retryTimer?.deadline == nil { retryTimer?.arm(after: Listener.retryInterval) }
    }
    return .parked
  }

  /// libzmq wakes us when a queue drains. The wake may be taken in by a send to somebody else, so we also look ourselves.
  static let retryInterval = Duration.milliseconds(5)

  private func retryParked() {
    flushParked()
    if !parked.isEmpty { retryTimer?.arm(after: Listener.retryInterval) }
  }

  private func flushParked() {
    guard !parked.isEmpty else { return }
    var freed: [Peer] = []
    var index = 0
    while index < parked.count {
      let peer = parked[index]
      if flush(peer) {
        peer.isParked = false
        parked.swapAt(index, parked.count - 1)
        parked.removeLast()
        if peer.isReachable { freed.append(peer) }
      } else {
        index += 1
      }
    }
    if socket.hasInput { socket.isDirty = true }
    for peer in freed where peer.isReachable { handler(self, .unparked(peer)) }
  }

  /// Sends what is parked for `peer` as far as there is room; whether nothing is left.
  private func flush(_ peer: Peer) -> Bool {
    while peer.isReachable, let message = peer.lanes.first {
      let size = message.byteCount
      switch socket.send(message, to: peer.id) {
      case .sent:
        peer.lanes.removeFirst(byteCount: size)
        loop.reuse(message)
      case .again: return false
      case .gone: lose(peer)
      }
    }
    return true
  }

  // MARK: Peers

  /// Ends the connection of `peer`. `peerGone` follows once libzmq has noticed; messages that still come are dropped.
  package func disconnect(_ peer: Peer) {
    loop.assertOnLoop()
    peer.isExpelled = true
    peer.connection?.shutDown(abruptly: false)
  }

  /// Notes that `peer` cannot be reached. Its owner is told at the end of this service, never from within a send.
  private func lose(_ peer: Peer) {
    guard peer.isReachable else { return }
    peer.isReachable = false
    peer.lanes.removeAll()
    lost.append(peer)
    socket.isDirty = true
  }

  private func announceLost() {
    while let peer = lost.popLast() {
      guard peers[peer.id] === peer else { continue }
      peers[peer.id] = nil
      handler(self, .peerGone(peer))
    }
  }

  private func cut(_ connection: Connection, for offence: Offence) {
    connection.cut = offence
    connection.shutDown(abruptly: true)
    if let peer = connection.peer {
      peer.isExpelled = true
      handler(self, .offence(offence, by: peer))
    } else {
      handler(self, .refused(offence, address: connection.address))
    }
  }

  private func cutRevoked(_ list: AllowListSource) {
    for connection in connections.all where connection.cut == nil {
      guard let identity = connection.peer?.identity, !list.allows(identity) else { continue }
      cut(connection, for: .keyRevoked)
    }
  }

  private func look() {
    // What libzmq has completed while the loop was busy is not the peers' fault.
    monitor?.look()
    if serve() { socket.isDirty = true }
    guard !isClosed else { return }
    for (connection, offence) in connections.look(at: .now, isDrained: isDrained) {
      cut(connection, for: offence)
    }
    if !connections.isEmpty { lookTimer?.arm(after: connections.interval) }
  }

  // MARK: Receiving

  /// The messages taken per turn before timers and other sockets have theirs.
  private static let batch = 128

  private func serve() -> Bool {
    guard !isClosed else { return false }
    serveMonitor()
    isDrained = false
    for _ in 0..<Listener.batch where !isClosed {
      guard receiveMessage() else {
        isDrained = true
        break
      }
    }
    guard !isClosed else { return false }
    // A connection's last messages come before its end.
    if isDrained {
      flushParked()
      announceLost()
    }
    return !isDrained
  }

  private func serveMonitor() {
    while let event = monitor?.next() {
      switch event {
      case .accepted(let descriptor):
        if let former = connections.remove(descriptor) { ended(former) }
        let connection = Connection(descriptor: descriptor, now: .now)
        connections.add(connection)
        if connections.count > limits.maxConnections { cut(connection, for: .tooManyConnections) }
        if lookTimer?.deadline == nil { lookTimer?.arm(after: connections.interval) }
      case .disconnected(let descriptor):
        if let connection = connections.remove(descriptor) { ended(connection) }
      case .handshakeFailed(let failure): handler(self, .handshakeFailed(failure))
      case .acceptFailed(let error): handler(self, .acceptFailed(error))
      case .connected, .retrying, .handshakeDone: break
      }
    }
  }

  private func ended(_ connection: Connection) {
    if let peer = connection.peer { lose(peer) }
  }

  /// Receives one message; false if there is none.
  private func receiveMessage() -> Bool {
    guard receiver.receiveRoutingID() else { return false }
    let id = receiver.routingID
    let descriptor = receiver.sourceDescriptor
    let known = id.flatMap { peers[$0] }
    var connection = known?.connection
    if known == nil, descriptor >= 0 {
      connection = connections.connection(of: descriptor)
      if connection == nil || connection?.peer != nil {
        // The descriptor has changed hands, and the monitor can say so by now.
        monitor?.look()
        serveMonitor()
        connection = connections.connection(of: descriptor)
        if connection?.peer != nil { connection = nil }
      }
    }
    // The peer's properties belong to this part; the next receive overwrites it.
    let arrived: Peer? = known == nil ? newPeer(id, connection) : nil
    let message = loop.messages.take()
    defer { loop.reuse(message) }
    let outcome = receiver.receiveParts(into: message)
    if let connection { connections.delivered(receiver.wireBytes, from: connection) }
    guard let peer = known ?? arrived else {
      if let connection, connection.cut == nil { cut(connection, for: .ownRoutingID) }
      return true
    }
    if let arrived {
      peers[arrived.id] = arrived
      connection?.peer = arrived
      handler(self, .peerArrived(arrived))
    }
    guard !peer.isExpelled, !isClosed else { return true }
    switch outcome {
    case .message: handler(self, .message(message, from: peer))
    case .offence(let offence): handler(self, .offence(offence, by: peer))
    case .none: break
    }
    return true
  }

  private func newPeer(_ id: RoutingID?, _ connection: Connection?) -> Peer? {
    // An id that is shaped like ours shows as an empty property: its first byte ends the text. It gains its owner nothing.
    guard let id, receiver.property("Identity")?.isEmpty ?? true else { return nil }
    // Properties that ZAP set cannot be set by the peer; without ZAP, as within the process, none is believed.
    let identity = isEncrypted ? receiver.property("User-Id").flatMap(PeerIdentity.init(userID:)) : nil
    if isEncrypted, identity == nil { return nil }
    let address = connection?.address ?? endpoint.transport.rawValue
    return Peer(id: id, identity: identity, address: address, connection: connection)
  }

  // MARK: The end

  /// Closes the socket. What was sent is still written for `linger`, in the background; what is parked is dropped. No
  /// event follows.
  package func close(linger: Duration = .zero) {
    loop.assertOnLoop()
    guard !isClosed else { return }
    isClosed = true
    for peer in peers.values {
      peer.isReachable = false
      peer.lanes.removeAll()
    }
    peers.removeAll()
    parked.removeAll()
    lookTimer?.disarm()
    retryTimer?.disarm()
    monitor?.close()
    if let domain { loop.authenticator?.dismiss(domain: domain) }
    loop.remove(socket)
    socket.close(linger: linger)
    loop.remove(self)
  }
}

extension Listener: LoopMember {
  var closingOrder: Int { 2 }
}
