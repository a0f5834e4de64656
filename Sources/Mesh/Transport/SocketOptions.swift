import CZeroMQ

/// Times that both ends of a link keep. The defaults are those of the protocol's specification.
package struct LinkTimings: Sendable {
  /// How often ZMTP pings a silent peer.
  package var heartbeatInterval: Duration = .seconds(2)
  /// How long after a ping a peer that sends nothing counts as dead; peers are told the same of us.
  package var heartbeatTimeout: Duration = .seconds(6)
  /// How long a peer may take from the accept to the end of the handshake, authentication included.
  package var handshake: Duration = .seconds(10)
  /// How long a dialer waits for TCP to connect.
  package var connect: Duration = .seconds(5)
  /// The first pause before a dialer tries again, doubled up to `reconnectMaximum`.
  package var reconnect: Duration = .milliseconds(100)
  package var reconnectMaximum: Duration = .seconds(5)

  package init() {}
}

/// One ZeroMQ socket option and its value.
struct SocketOption {
  enum Value {
    case int32(Int32)
    case int64(Int64)
    case text(String)
  }

  let code: Int32
  let name: StaticString
  let value: Value

  private init(_ code: Int32, _ name: StaticString, _ value: Value) {
    self.code = code
    self.name = name
    self.value = value
  }

  // MARK: The table: every option that this package sets, and no default left to the library's version

  /// What a listener's ROUTER gets.
  static func listener(_ limits: EdgeLimits, _ timings: LinkTimings, isEncrypted: Bool) -> [SocketOption] {
    [
      // A send to a peer that is gone fails instead of vanishing; nobody may take over another's routing id.
      SocketOption(ZMQ_ROUTER_MANDATORY, "ROUTER_MANDATORY", .int32(1)),
      SocketOption(ZMQ_ROUTER_HANDOVER, "ROUTER_HANDOVER", .int32(0)),
      SocketOption(ZMQ_BACKLOG, "BACKLOG", .int32(256)),
    ] + common(limits, timings, isEncrypted: isEncrypted)
  }

  /// What a dialer's DEALER gets.
  static func dialer(_ limits: EdgeLimits, _ timings: LinkTimings, isEncrypted: Bool) -> [SocketOption] {
    [
      // Only links whose handshake is done are given messages.
      SocketOption(ZMQ_IMMEDIATE, "IMMEDIATE", .int32(1)),
      SocketOption(ZMQ_RECONNECT_IVL, "RECONNECT_IVL", .int32(timings.reconnect.milliseconds)),
      SocketOption(ZMQ_RECONNECT_IVL_MAX, "RECONNECT_IVL_MAX", .int32(timings.reconnectMaximum.milliseconds)),
      SocketOption(ZMQ_CONNECT_TIMEOUT, "CONNECT_TIMEOUT", .int32(timings.connect.milliseconds)),
    ] + common(limits, timings, isEncrypted: isEncrypted)
  }

  private static func common(_ limits: EdgeLimits, _ timings: LinkTimings, isEncrypted: Bool) -> [SocketOption] {
    // CURVE's boxes are compared with the limit before they are opened.
    let overhead = isEncrypted ? WireSize.curveOverhead : 0
    return [
      SocketOption(ZMQ_LINGER, "LINGER", .int32(0)),
      SocketOption(ZMQ_SNDHWM, "SNDHWM", .int32(limits.sendHighWater)),
      SocketOption(ZMQ_RCVHWM, "RCVHWM", .int32(limits.receiveHighWater)),
      SocketOption(ZMQ_MAXMSGSIZE, "MAXMSGSIZE", .int64(Int64(limits.maxPartBytes + overhead))),
      SocketOption(ZMQ_HANDSHAKE_IVL, "HANDSHAKE_IVL", .int32(timings.handshake.milliseconds)),
      SocketOption(ZMQ_HEARTBEAT_IVL, "HEARTBEAT_IVL", .int32(timings.heartbeatInterval.milliseconds)),
      SocketOption(ZMQ_HEARTBEAT_TIMEOUT, "HEARTBEAT_TIMEOUT", .int32(timings.heartbeatTimeout.milliseconds)),
      SocketOption(ZMQ_HEARTBEAT_TTL, "HEARTBEAT_TTL", .int32(timings.heartbeatTimeout.milliseconds)),
      SocketOption(ZMQ_TCP_KEEPALIVE, "TCP_KEEPALIVE", .int32(1)),
      SocketOption(ZMQ_TCP_KEEPALIVE_IDLE, "TCP_KEEPALIVE_IDLE", .int32(30)),
      SocketOption(ZMQ_TCP_KEEPALIVE_INTVL, "TCP_KEEPALIVE_INTVL", .int32(10)),
      SocketOption(ZMQ_TCP_KEEPALIVE_CNT, "TCP_KEEPALIVE_CNT", .int32(3)),
    ]
  }

  /// What the sockets that read monitor events get: their number is bounded by that of connections, and a monitor that
  /// fills up would stop ZeroMQ's own thread.
  static let monitor = [
    SocketOption(ZMQ_LINGER, "LINGER", .int32(0)),
    SocketOption(ZMQ_RCVHWM, "RCVHWM", .int32(0)),
  ]

  /// What the socket that answers authentication requests gets.
  static let authentication = [
    SocketOption(ZMQ_LINGER, "LINGER", .int32(0)),
    SocketOption(ZMQ_ROUTER_MANDATORY, "ROUTER_MANDATORY", .int32(0)),
    SocketOption(ZMQ_SNDHWM, "SNDHWM", .int32(0)),
    SocketOption(ZMQ_RCVHWM, "RCVHWM", .int32(0)),
  ]

  /// The domain makes libzmq ask for authentication even of peers without CURVE, which also shuts out ZMTP 1 and 2.
  static func domain(_ name: String) -> SocketOption { SocketOption(ZMQ_ZAP_DOMAIN, "ZAP_DOMAIN", .text(name)) }

  static func curveServer(_ keys: KeyPair) -> [SocketOption] {
    [
      SocketOption(ZMQ_CURVE_SERVER, "CURVE_SERVER", .int32(1)),
      SocketOption(ZMQ_CURVE_SECRETKEY, "CURVE_SECRETKEY", .text(keys.secretKey)),
    ]
  }

  static func curveClient(_ keys: KeyPair, server: CurvePublicKey) -> [SocketOption] {
    [
      SocketOption(ZMQ_CURVE_SERVERKEY, "CURVE_SERVERKEY", .text(server.z85)),
      SocketOption(ZMQ_CURVE_PUBLICKEY, "CURVE_PUBLICKEY", .text(keys.publicKey.z85)),
      SocketOption(ZMQ_CURVE_SECRETKEY, "CURVE_SECRETKEY", .text(keys.secretKey)),
    ]
  }

  static let ipv6 = SocketOption(ZMQ_IPV6, "IPV6", .int32(1))
}
