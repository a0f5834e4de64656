import GLTP

/// What happens to the sockets of a peer that dials.
enum LinkEvent {
  case appeared(LinkID, name: String)
  case disappeared(LinkID)
  case connected(LinkID)
  case disconnected(LinkID, reason: String)
  case message(LinkID, Multipart)
  /// The gateway broke a limit of the transport.
  case offence(LinkID, Offence)
  /// A name that cannot be looked up, or an address that cannot be dialled.
  case failed(Endpoint, MeshError)
}

/// The sockets behind the links of a worker's or a client's state machine: one for each gateway address, closed and
/// opened again as the machine says. Used on the loop's thread only.
final class LinkSockets {
  private final class Link {
    let id: LinkID
    let endpoint: Endpoint
    /// Whether the resolver still names the address.
    var isCurrent = true
    /// Whether the dialer is that of the group's, at work since the address appeared.
    var isFresh = true
    var dialer: Dialer?
    var redial: LoopTimer?

    init(id: LinkID, endpoint: Endpoint, dialer: Dialer) {
      self.id = id
      self.endpoint = endpoint
      self.dialer = dialer
    }
  }

  /// How long a closed socket may still write what was sent.
  private static let linger = Duration.seconds(1)

  private let loop: EventLoop
  private let security: DialerSecurity
  private let timings: LinkTimings
  private let handler: (LinkEvent) -> Void
  private var group: DialerGroup?
  private var links: [Link] = []
  private var nextID: UInt32 = 1
  private var isClosed = false

  /// Bytes of messages received and sent.
  private(set) var bytesIn = 0
  private(set) var bytesOut = 0

  /// - Parameter handler: called on the loop's thread, never from within this initialiser.
  /// - Throws: what `DialerGroup` throws.
  init(
    to endpoints: [Endpoint], loop: EventLoop, security: LinkSecurity, resolver: any AddressResolver,
    resolveInterval: Duration, timings: LinkTimings, handler: @escaping (LinkEvent) -> Void
  ) throws(MeshError) {
    self.loop = loop
    self.security = security.dialer
    self.timings = timings
    self.handler = handler
    group = try DialerGroup(
      to: endpoints, loop: loop, security: security.dialer, timings: timings, resolver: resolver,
      interval: resolveInterval
    ) { [weak self] _, event in self?.take(event) }
  }

  // MARK: What the machine wants

  /// Closes the link's socket and opens a new one after a while. The first call after the link appeared leaves the socket
  /// that is at work.
  func dial(_ id: LinkID, after wait: MonotonicDuration) {
    guard let link = link(id), !isClosed else { return }
    if link.isFresh, link.dialer != nil {
      link.isFresh = false
      return
    }
    closeDialer(of: link, linger: LinkSockets.linger)
    guard wait > .zero else { return open(link) }
    let timer =
      link.redial
      ?? loop.makeTimer { [weak self, weak link] in
        guard let self, let link else { return }
        self.open(link)
      }
    link.redial = timer
    timer.arm(after: .microseconds(Int64(clamping: wait.microseconds)))
  }

  /// Closes the link's socket for good.
  func close(_ id: LinkID) {
    guard let index = links.firstIndex(where: { $0.id == id }) else { return }
    closeDialer(of: links[index], linger: LinkSockets.linger)
    links.remove(at: index)
  }

  /// Sends or parks a message; it belongs to the transport afterwards.
  ///
  /// - Returns: false where the gateway has not read for so long that there is no room for it.
  func send(_ message: Multipart, to id: LinkID, lane: Lane) -> Bool {
    guard let dialer = link(id)?.dialer else { return true }
    bytesOut += message.byteCount
    switch dialer.send(message, lane: lane) {
    case .sent, .parked: return true
    // The connection's end is told by an event of its own.
    case .gone: return true
    case .full: return false
    }
  }

  /// The link that has been made for an address, or for an address of a name.
  func link(of endpoint: Endpoint) -> LinkID? {
    let addresses = group?.addresses(of: endpoint) ?? []
    return links.first { $0.isCurrent && addresses.contains($0.endpoint) }?.id
  }

  /// Closes all sockets. No event follows.
  func closeAll(linger: Duration) {
    guard !isClosed else { return }
    isClosed = true
    group?.close(linger: linger)
    for link in links { closeDialer(of: link, linger: linger) }
    links.removeAll()
  }

  // MARK: What the sockets say

  private func link(_ id: LinkID) -> Link? { links.first { $0.id == id } }

  private func take(_ event: DialerGroupEvent) {
    guard !isClosed else { return }
    switch event {
    case .appeared(let dialer):
      let link = Link(id: LinkID(rawValue: nextID), endpoint: dialer.endpoint, dialer: dialer)
      nextID &+= 1
      links.append(link)
      dialer.attachment = link
      handler(.appeared(link.id, name: "\(dialer.endpoint)"))
    case .disappeared(let dialer):
      guard let link = links.first(where: { $0.isCurrent && $0.endpoint == dialer.endpoint }) else { return }
      link.isCurrent = false
      handler(.disappeared(link.id))
    case .dialer(let dialer, let event):
      guard let link = dialer.attachment as? Link else { return }
      take(event, from: dialer, of: link)
    case .failed(let endpoint, let error): handler(.failed(endpoint, error))
    }
  }

  private func take(_ event: DialerEvent, from dialer: Dialer, of link: Link) {
    guard link.dialer === dialer, !isClosed else { return }
    switch event {
    case .connected: handler(.connected(link.id))
    case .disconnected: handler(.disconnected(link.id, reason: "the connection ended"))
    case .message(let message):
      bytesIn += message.byteCount
      handler(.message(link.id, message))
    case .offence(let offence): handler(.offence(link.id, offence))
    case .handshakeFailed(let failure): handler(.disconnected(link.id, reason: failure.reason))
    case .retrying: handler(.disconnected(link.id, reason: "nobody answers"))
    case .unparked: break
    }
  }

  private func open(_ link: Link) {
    guard !isClosed, link.dialer == nil, links.contains(where: { $0 === link }) else { return }
    do throws(MeshError) {
      link.dialer = try Dialer(to: link.endpoint, loop: loop, security: security, timings: timings) {
        [weak self, weak link] dialer, event in
        guard let self, let link else { return }
        self.take(event, from: dialer, of: link)
      }
    } catch {
      handler(.disconnected(link.id, reason: error.message))
    }
  }

  private func closeDialer(of link: Link, linger: Duration) {
    link.isFresh = false
    link.redial?.disarm()
    link.dialer?.attachment = nil
    link.dialer?.close(linger: linger)
    link.dialer = nil
  }
}

extension HandshakeFailure {
  /// What went wrong, for people.
  var reason: String {
    switch self {
    case .interrupted(0): "the connection ended during the handshake"
    case .interrupted(let code): "the connection ended during the handshake (error \(code))"
    case .protocolViolation:
      "the handshake failed: not a gateway's port, no keys where keys are needed, or the wrong gateway key"
    case .refused(400): "the gateway's allow-list does not have our key"
    case .refused(let code): "the gateway refused our key for now (\(code))"
    }
  }
}

extension Offence {
  /// What was done, for people.
  var reason: String {
    switch self {
    case .tooManyParts: "a message of too many parts"
    case .tooManyBytes: "a message of too many bytes"
    case .endlessMessage(let bytes): "\(bytes) bytes without the end of a message"
    case .noMessage: "no message at all"
    case .ownRoutingID: "a routing id of its own"
    case .tooManyConnections: "too many connections"
    case .keyRevoked: "a key that was revoked"
    }
  }
}
