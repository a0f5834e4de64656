import CZeroMQ

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A ZeroMQ socket and its place in an event loop. Used on the loop's thread only.
final class ZeroMQSocket {
  let raw: UnsafeMutableRawPointer
  /// Becomes readable when ZeroMQ has something to tell; edge-triggered, so `isDirty` must be kept.
  let descriptor: Int32
  /// Whether there may be something to receive that the descriptor does not announce: after it was signalled, and after
  /// every send, because sending takes in what the other threads of ZeroMQ report.
  var isDirty = true
  private(set) var isClosed = false
  /// Serves the socket; true asks to be called again in the next turn.
  var serve: (() -> Bool)?

  /// - Throws: `MeshError.inputOutput` if libzmq refuses, as it does beyond 1023 sockets.
  init(context: UnsafeMutableRawPointer, type: Int32, options: [SocketOption]) throws(MeshError) {
    guard let raw = zmq_socket(context, type) else { throw zeroMQError("open a ZeroMQ socket") }
    self.raw = raw
    var descriptor: Int32 = -1
    var size = MemoryLayout<Int32>.size
    zmq_getsockopt(raw, ZMQ_FD, &descriptor, &size)
    self.descriptor = descriptor
    do throws(MeshError) {
      for option in options { try set(option) }
    } catch {
      close()
      throw error
    }
  }

  func set(_ option: SocketOption) throws(MeshError) {
    let status: Int32
    switch option.value {
    case .int32(var value): status = zmq_setsockopt(raw, option.code, &value, MemoryLayout<Int32>.size)
    case .int64(var value): status = zmq_setsockopt(raw, option.code, &value, MemoryLayout<Int64>.size)
    case .text(let value): status = zmq_setsockopt(raw, option.code, value, value.utf8.count)
    }
    guard status == 0 else { throw zeroMQError("set the socket option \(option.name)", code: .invalidArgument) }
  }

  func bind(_ endpoint: String) throws(MeshError) {
    guard zmq_bind(raw, endpoint) == 0 else {
      throw zeroMQError(
        "listen on \(endpoint)", code: .endpointUnavailable, hint: "choose another port, or port 0 for a free one")
    }
  }

  func connect(_ endpoint: String) throws(MeshError) {
    guard zmq_connect(raw, endpoint) == 0 else {
      throw zeroMQError("connect to \(endpoint)", code: .endpointUnavailable)
    }
  }

  /// The endpoint that a bind ended at, with the port the system chose.
  var lastEndpoint: String {
    var text = [CChar](repeating: 0, count: 256)
    var size = text.count
    guard zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, &text, &size) == 0 else { return "" }
    return String(decoding: text.prefix(max(0, size - 1)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Whether a message waits. Takes in everything the other threads of ZeroMQ have reported.
  var hasInput: Bool {
    var events: Int32 = 0
    var size = MemoryLayout<Int32>.size
    return zmq_getsockopt(raw, ZMQ_EVENTS, &events, &size) == 0 && events & ZMQ_POLLIN != 0
  }

  /// Closes the socket. What it still has to send is written in the background for `linger`, then dropped.
  func close(linger: Duration = .zero) {
    guard !isClosed else { return }
    isClosed = true
    serve = nil
    var milliseconds = linger.milliseconds
    zmq_setsockopt(raw, ZMQ_LINGER, &milliseconds, MemoryLayout<Int32>.size)
    zmq_close(raw)
  }

  // MARK: Messages

  enum SendResult {
    case sent
    /// The queue to the peer is full; nothing was sent.
    case again
    /// There is no such peer (any more). The message may be partly lost.
    case gone
  }

  /// Sends all parts of `message`, after the routing id `peer` on a ROUTER. Never waits. The message is emptied unless
  /// nothing could be sent.
  func send(_ message: Multipart, to peer: RoutingID?) -> SendResult {
    if let peer {
      var frame = zmq_msg_t()
      peer.fill(&frame)
      if !ZeroMQSocket.send(&frame, raw, ZMQ_DONTWAIT | ZMQ_SNDMORE) {
        let error = zmq_errno()
        zmq_msg_close(&frame)
        return error == EAGAIN ? .again : .gone
      }
    }
    var isLost = false
    for index in 0..<message.count {
      let more = index + 1 < message.count ? ZMQ_SNDMORE : 0
      let part = message.rawPart(index)
      if !ZeroMQSocket.send(part, raw, ZMQ_DONTWAIT | more) {
        if index == 0, peer == nil { return zmq_errno() == EAGAIN ? .again : .gone }
        // The peer went while its message was handed over. libzmq drops the rest, but must be given it.
        isLost = true
      }
    }
    message.removeAll()
    return isLost ? .gone : .sent
  }

  private static func send(_ part: UnsafeMutablePointer<zmq_msg_t>, _ raw: UnsafeMutableRawPointer, _ flags: Int32)
    -> Bool
  {
    while zmq_msg_send(part, raw, flags) < 0 {
      guard zmq_errno() == EINTR else { return false }
    }
    return true
  }

  /// Receives one part if there is one. Never waits.
  func receive(_ part: UnsafeMutablePointer<zmq_msg_t>) -> Bool {
    while zmq_msg_recv(part, raw, ZMQ_DONTWAIT) < 0 {
      guard zmq_errno() == EINTR else {
        // It has taken in all reports before it said so: what was sent until now hides nothing, and looking again would
        // cost another system call.
        isDirty = false
        return false
      }
    }
    return true
  }
}
