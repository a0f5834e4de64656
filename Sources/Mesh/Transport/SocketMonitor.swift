import CZeroMQ

/// Why a handshake failed.
package enum HandshakeFailure: Sendable, Equatable {
  /// The connection ended or timed out before the handshake was over; an `errno` value, zero if the peer just left.
  case interrupted(Int32)
  /// The peer does not speak ZMTP 3, or another security mechanism than we do; libzmq's number for the details. A wrong
  /// server key appears as this, too: the first box cannot be opened.
  case protocolViolation(Int32)
  /// Authentication was refused; the ZAP status (RFC 27): 400 for this key, 500 while the allow-list
  /// cannot be used.
  case refused(Int32)
}

/// What libzmq's own threads report about the connections of a socket, read on the loop's thread (`zmq_socket_monitor`).
final class SocketMonitor {
  enum Event {
    case connected(descriptor: Int32)
    case accepted(descriptor: Int32)
    case acceptFailed(Int32)
    case disconnected(descriptor: Int32)
    case retrying(milliseconds: Int32)
    case handshakeDone
    case handshakeFailed(HandshakeFailure)
  }

  private let loop: EventLoop
  private let observed: ZeroMQSocket
  private let socket: ZeroMQSocket
  private let scratch: UnsafeMutablePointer<zmq_msg_t>
  /// Whether there may be events. To ask costs a system call, which most messages can do without.
  private var isPending = true

  /// Starts to observe `observed`, which must not be bound or connected yet.
  ///
  /// - Parameter serve: called when there are events; calls `next()` until there are none.
  init(loop: EventLoop, observed: ZeroMQSocket, serve: @escaping () -> Bool) throws(MeshError) {
    self.loop = loop
    self.observed = observed
    let endpoint = "inproc://" + loop.uniqueName("monitor")
    let kinds =
      ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED
      | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
      | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
    guard zmq_socket_monitor(observed.raw, endpoint, Int32(kinds)) == 0 else {
      throw zeroMQError("observe a socket")
    }
    socket = try ZeroMQSocket(context: loop.context, type: ZMQ_PAIR, options: SocketOption.monitor)
    scratch = .allocate(capacity: 1)
    zmq_msg_init(scratch)
    try socket.connect(endpoint)
    socket.serve = { [unowned self] in
      isPending = true
      return serve()
    }
    loop.add(socket)
  }

  deinit {
    zmq_msg_close(scratch)
    scratch.deallocate()
  }

  /// Lets `next` look for events of which the descriptor may not have told yet.
  func look() { isPending = true }

  /// The next event, if there is one that the descriptor has told of.
  func next() -> Event? {
    guard isPending || socket.isDirty else { return nil }
    isPending = true
    while !socket.isClosed, socket.receive(scratch) {
      var kind: Int32 = 0
      var value: Int32 = 0
      if zmq_msg_size(scratch) >= 6, let data = zmq_msg_data(scratch) {
        kind = Int32(data.loadUnaligned(as: UInt16.self))
        value = Int32(bitPattern: data.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
      }
      // The second part is our own endpoint, which we know.
      while zmq_msg_more(scratch) != 0, socket.receive(scratch) {}
      if let event = SocketMonitor.event(kind, value) { return event }
    }
    isPending = false
    return nil
  }

  private static func event(_ kind: Int32, _ value: Int32) -> Event? {
    switch kind {
    case Int32(ZMQ_EVENT_CONNECTED): .connected(descriptor: value)
    case Int32(ZMQ_EVENT_CONNECT_RETRIED): .retrying(milliseconds: value)
    case Int32(ZMQ_EVENT_ACCEPTED): .accepted(descriptor: value)
    case Int32(ZMQ_EVENT_ACCEPT_FAILED): .acceptFailed(value)
    case Int32(ZMQ_EVENT_DISCONNECTED): .disconnected(descriptor: value)
    case Int32(ZMQ_EVENT_HANDSHAKE_SUCCEEDED): .handshakeDone
    case Int32(ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL): .handshakeFailed(.interrupted(value))
    case Int32(ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL): .handshakeFailed(.protocolViolation(value))
    case Int32(ZMQ_EVENT_HANDSHAKE_FAILED_AUTH): .handshakeFailed(.refused(value))
    default: nil
    }
  }

  /// Stops observing. Before the observed socket closes, and before our end does: an event that nobody can receive would
  /// stop libzmq's own thread.
  func close() {
    guard !socket.isClosed else { return }
    if !observed.isClosed { zmq_socket_monitor(observed.raw, nil, 0) }
    loop.remove(socket)
    socket.close()
  }
}
