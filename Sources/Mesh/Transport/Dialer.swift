import CZeroMQ

/// What a dialer tells its owner, on the loop's thread.
package enum DialerEvent {
  /// The handshake is done; messages can be sent.
  case connected
  /// The connection is gone, with all that was parked or under way; libzmq dials again by itself. Messages received
  /// before come before this event; right after a reconnection the first ones of the new connection may, too.
  case disconnected
  /// A message. Keep it as long as you like; what is not kept is used again.
  case message(Multipart)
  /// The other end broke a limit and its message was dropped.
  case offence(Offence)
  /// The connection ended before its handshake was over; the next attempt follows by itself.
  case handshakeFailed(HandshakeFailure)
  /// Nobody answers; the next attempt follows after this pause.
  case retrying(after: Duration)
  /// Parked messages have left, and there is room again.
  case unparked
}

/// How a dialer protects itself.
package enum DialerSecurity: Sendable {
  /// No keys. Only on loopback and within the process, unless `allowPublic` is set.
  case open(allowPublic: Bool)
  /// CURVE with our own pair and the listener's public key.
  case curve(KeyPair, server: CurvePublicKey)
}

/// A socket that dials one address and keeps dialling (DEALER). Used on the loop's thread only.
package final class Dialer: @unchecked Sendable {
  package let endpoint: Endpoint
  package let limits: EdgeLimits
  /// Whether the handshake is done and the connection was not lost since.
  package private(set) var isConnected = false
  /// For the layer above.
  package var attachment: AnyObject?

  private let loop: EventLoop
  private let handler: (Dialer, DialerEvent) -> Void
  private let options: [SocketOption]
  private let isEncrypted: Bool
  private let timings: LinkTimings
  private var link: Link
  private var lanes = OutboundLanes()
  private var retryTimer: LoopTimer?
  private var redialTimer: LoopTimer?
  private var redialPause: Duration
  private var isClosed = false

  /// What is replaced when a link must be made anew.
  private struct Link {
    let socket: ZeroMQSocket
    let monitor: SocketMonitor?
    var receiver: MultipartReceiver
  }

  /// Dials `endpoint`. Returns at once; `connected` follows.
  ///
  /// - Parameter handler: called on the loop's thread, never from within this initialiser; must not wait.
  /// - Throws: `MeshError.insecure` for an address beyond this machine without keys, `.invalidArgument` for a name where
  ///   a numeric address is expected (see ``DialerGroup``), `.inputOutput` if the system has no sockets left.
  package init(
    to endpoint: Endpoint, loop: EventLoop, security: DialerSecurity, limits: EdgeLimits = .mesh,
    timings: LinkTimings = LinkTimings(), handler: @escaping (Dialer, DialerEvent) -> Void
  ) throws(MeshError) {
    loop.assertOnLoop()
    try limits.validate()
    self.loop = loop
    self.endpoint = endpoint
    self.limits = limits
    self.handler = handler
    self.timings = timings
    redialPause = timings.reconnect
    var curve: [SocketOption] = []
    switch security {
    case .open(let allowPublic):
      isEncrypted = false
      try endpoint.requireKeysUnlessLocal(isAllowed: allowPublic, action: "connect to")
    case .curve(let keys, let server):
      isEncrypted = endpoint.transport == .tcp
      if isEncrypted { curve = SocketOption.curveClient(keys, server: server) }
    }
    let address = endpoint.isIPv6 ? [SocketOption.ipv6] : []
    options = SocketOption.dialer(limits, timings, isEncrypted: isEncrypted) + address + curve
    let relay = Relay()
    link = try Dialer.open(endpoint, loop, options, limits, isEncrypted, relay)
    relay.dialer = self
    loop.add(self)
    retryTimer = loop.makeTimer { [unowned self] in retryParked() }
    redialTimer = loop.makeTimer { [unowned self] in redial() }
  }

  /// Sockets call the dialer, which does not exist yet when they are made.
  private final class Relay {
    weak var dialer: Dialer?
  }

  deinit { link.receiver.deallocate() }

  private static func open(
    _ endpoint: Endpoint, _ loop: EventLoop, _ options: [SocketOption], _ limits: EdgeLimits, _ isEncrypted: Bool,
    _ relay: Relay
  ) throws(MeshError) -> Link {
    let socket = try ZeroMQSocket(context: loop.context, type: ZMQ_DEALER, options: options)
    var monitor: SocketMonitor?
    do throws(MeshError) {
      if endpoint.transport != .inproc {
        monitor = try SocketMonitor(loop: loop, observed: socket) { relay.dialer?.serve() ?? false }
      }
      try socket.connect(endpoint.connectText)
    } catch {
      monitor?.close()
      socket.close()
      throw error
    }
    socket.serve = { relay.dialer?.serve() ?? false }
    loop.add(socket)
    return Link(
      socket: socket, monitor: monitor,
      receiver: MultipartReceiver(socket: socket, limits: limits, isEncrypted: isEncrypted))
  }

  private func closeLink(linger: Duration) {
    link.monitor?.close()
    loop.remove(link.socket)
    link.socket.close(linger: linger)
  }

  // MARK: Dialling again

  /// libzmq dials again after a connection is lost, but not after a handshake that was refused: it takes that to be final.
  /// For us it is not, because allow-lists change.
  private func scheduleRedial() {
    guard redialTimer?.deadline == nil else { return }
    redialTimer?.arm(after: redialPause)
    redialPause = min(redialPause * 2, timings.reconnectMaximum)
  }

  private func redial() {
    guard !isClosed, !isConnected else { return }
    let relay = Relay()
    // Without a socket to spare, the old one stays and the next attempt follows.
    guard let fresh = try? Dialer.open(endpoint, loop, options, limits, isEncrypted, relay) else {
      scheduleRedial()
      return
    }
    relay.dialer = self
    closeLink(linger: .zero)
    link.receiver.deallocate()
    link = fresh
  }

  // MARK: Sending

  /// Sends `message`, or parks it if libzmq's queue is full. Never waits. `.gone` while there is no connection.
  ///
  /// After `.sent` and `.parked` the message belongs to the transport.
  package func send(_ message: Multipart, lane: Lane = .data) -> SendOutcome {
    loop.assertOnLoop()
    guard isConnected, !isClosed, !message.isEmpty else { return .gone }
    guard !lanes.mustWait(lane) else { return park(message, lane) }
    link.socket.isDirty = true
    switch link.socket.send(message, to: nil) {
    case .sent:
      loop.reuse(message)
      return .sent
    case .again: return park(message, lane)
    case .gone: return .gone
    }
  }

  private func park(_ message: Multipart, _ lane: Lane) -> SendOutcome {
    guard lanes.park(message, lane, limits) else { return .full }
    if retryTimer?.deadline == nil { retryTimer?.arm(after: Listener.retryInterval) }
    return .parked
  }

  /// The messages that wait because libzmq's queue is full.
  package var parkedMessages: Int { lanes.count }

  private func retryParked() {
    flushParked()
    if !lanes.isEmpty { retryTimer?.arm(after: Listener.retryInterval) }
  }

  private func flushParked() {
    guard !lanes.isEmpty else { return }
    var isBlocked = false
    while !isBlocked, let message = lanes.first {
      let size = message.byteCount
      if link.socket.send(message, to: nil) == .again {
        isBlocked = true
      } else {
        lanes.removeFirst(byteCount: size)
        loop.reuse(message)
      }
    }
    if link.socket.hasInput { link.socket.isDirty = true }
    if lanes.isEmpty { handler(self, .unparked) }
  }

  // MARK: Receiving

  /// The messages taken per turn before timers and other sockets have theirs.
  private static let batch = 128

  private func serve() -> Bool {
    guard !isClosed else { return false }
    if endpoint.transport == .inproc, !isConnected { connected() }
    while !isClosed, let event = link.monitor?.next() {
      switch event {
      case .handshakeDone: connected()
      case .disconnected: disconnected()
      case .handshakeFailed(let failure):
        if case .interrupted = failure {} else { scheduleRedial() }
        handler(self, .handshakeFailed(failure))
      case .retrying(let milliseconds): handler(self, .retrying(after: .milliseconds(milliseconds)))
      case .connected, .accepted, .acceptFailed: break
      }
    }
    for _ in 0..<Dialer.batch {
      guard !isClosed else { return false }
      guard receiveMessage() else {
        flushParked()
        return false
      }
    }
    return true
  }

  private func connected() {
    guard !isConnected else { return }
    isConnected = true
    redialPause = timings.reconnect
    redialTimer?.disarm()
    handler(self, .connected)
  }

  private func disconnected() {
    guard isConnected else { return }
    while !isClosed, receiveMessage() {}
    guard !isClosed else { return }
    isConnected = false
    while let message = lanes.first {
      lanes.removeFirst(byteCount: message.byteCount)
      loop.reuse(message)
    }
    retryTimer?.disarm()
    handler(self, .disconnected)
  }

  /// Receives one message; false if there is none.
  private func receiveMessage() -> Bool {
    let message = loop.messages.take()
    defer { loop.reuse(message) }
    switch link.receiver.receiveParts(into: message) {
    case .none: return false
    case .message: handler(self, .message(message))
    case .offence(let offence): handler(self, .offence(offence))
    }
    return true
  }

  // MARK: The end

  /// Closes the socket. What was sent is still written for `linger`, in the background; what is parked is dropped. No
  /// event follows.
  package func close(linger: Duration = .zero) {
    loop.assertOnLoop()
    guard !isClosed else { return }
    isClosed = true
    isConnected = false
    lanes.removeAll()
    retryTimer?.disarm()
    redialTimer?.disarm()
    closeLink(linger: linger)
    loop.remove(self)
  }
}

extension Dialer: LoopMember {
  var closingOrder: Int { 1 }
}
