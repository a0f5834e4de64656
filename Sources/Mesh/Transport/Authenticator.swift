import CZeroMQ

/// Answers libzmq's questions who may connect (ZAP, RFC 27), on the loop's thread.
///
/// It runs before anything is bound: without it, libzmq would let in everybody who needs no key. Every listener has a
/// domain of its own, and a domain that is not known lets nobody in. Listeners without keys ask as well, so that no peer
/// can claim an identity in its handshake: what ZAP says goes before what the peer says.
final class Authenticator {
  enum Policy {
    /// Any peer without encryption.
    case anybody
    /// Peers with CURVE and a key of the list.
    case keys(AllowListSource)
  }

  private unowned let loop: EventLoop
  private let socket: ZeroMQSocket
  private var policies: [String: Policy] = [:]

  init(loop: EventLoop) throws(MeshError) {
    self.loop = loop
    socket = try ZeroMQSocket(context: loop.context, type: ZMQ_ROUTER, options: SocketOption.authentication)
    do throws(MeshError) {
      try socket.bind("inproc://zeromq.zap.01")
    } catch {
      socket.close()
      throw error
    }
    socket.serve = { [unowned self] in serve() }
    loop.add(socket)
  }

  func admit(domain: String, _ policy: Policy) { policies[domain] = policy }
  func dismiss(domain: String) { policies[domain] = nil }

  func close() {
    guard !socket.isClosed else { return }
    loop.remove(socket)
    socket.close()
  }

  /// Reads requests of the frames: id, empty, version, request id, domain, address, identity, mechanism, credentials.
  private func serve() -> Bool {
    for _ in 0..<64 {
      let request = loop.messages.take()
      defer { loop.reuse(request) }
      guard receive(request) else { return false }
      // libzmq itself asks, so a request that is not one is a mistake within the process; its peer is not let in.
      guard request.count >= 8, text(request[2]) == "1.0" else { continue }
      answer(request)
    }
    return true
  }

  private func receive(_ request: Multipart) -> Bool {
    var part = zmq_msg_t()
    zmq_msg_init(&part)
    defer { zmq_msg_close(&part) }
    guard socket.receive(&part) else { return false }
    while true {
      let more = zmq_msg_more(&part) != 0
      if request.count < Multipart.capacity { request.append(received: &part) }
      guard more, socket.receive(&part) else { return true }
    }
  }

  private func answer(_ request: Multipart) {
    var status = "400"
    var reason = "No access"
    var userID = ""
    switch (policies[text(request[4])], text(request[7])) {
    case (.anybody, "NULL"):
      status = "200"
      reason = "OK"
    case (.keys(let source), "CURVE"):
      guard request.count >= 9, let key = CurvePublicKey(bytes: request[8]) else { break }
      if let role = source.role(of: key) {
        status = "200"
        reason = "OK"
        userID = PeerIdentity(role: role, key: key).userID
      } else if source.list == nil {
        // The list is broken, not the peer. ZAP's 300 would say so, too, but libzmq then leaves the peer waiting for the
        // handshake's timeout.
        status = "500"
        reason = "No list"
      }
    default: break
    }
    let reply = loop.messages.take()
    reply.append(movingPart: 0, of: request)
    reply.append(copying: [])
    reply.append(copying: "1.0".utf8)
    reply.append(movingPart: 3, of: request)
    for frame in [status, reason, userID, ""] { reply.append(copying: frame.utf8) }
    _ = socket.send(reply, to: nil)
    loop.reuse(reply)
  }

  private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
}
