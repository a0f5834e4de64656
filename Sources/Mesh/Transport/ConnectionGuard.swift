/// Watches what the connections of a listener have sent against what has been delivered from them.
///
/// libzmq hands over a message once its last part is there and holds all parts until then, without a limit. So the guard
/// compares, per connection, the bytes that libzmq has read with the wire bytes of the messages that came out, and cuts
/// connections over ``EdgeLimits/maxUndeliveredBytes``, or the largest ones while all together are over
/// ``EdgeLimits/maxUndeliveredBytesInAll``.
///
/// **The bound.** Peers of a listener hold at most `maxUndeliveredBytesInAll`, plus what arrives between two looks
/// (`lookInterval` times the line rate, 13 MB at 10 Gbit/s) and what the kernel has buffered for a connection when it is
/// cut (6 MiB unless configured otherwise), counted as bytes on the wire. libzmq spends 64 bytes on a
/// part beside its content, so the memory can be 33 times that for empty parts of 2 bytes, and less than 3 times with
/// CURVE, whose parts have at least 35; for parts of a kilobyte and more it is about the bytes themselves.
///
/// Handshakes and heartbeats are read but never delivered. They are forgiven as soon as a later message arrives: it
/// follows them in the stream. A peer that sends nothing but heartbeats would be cut after a day or more (42 bytes every
/// two seconds against megabytes) and simply reconnects.
final class ConnectionGuard {
  private var connections: [Int32: Connection] = [:]
  private let limits: EdgeLimits
  /// What a look finds, kept so that looking allocates nothing.
  private var cuts: [(Connection, Offence)] = []
  private var pending: [(connection: Connection, bytes: Int)] = []

  /// How often connections are looked at while there are few. Many are looked at less often, so that looking (about a
  /// microsecond each) takes at most a fiftieth of the thread.
  static let lookInterval = Duration.milliseconds(10)

  init(limits: EdgeLimits) { self.limits = limits }

  var isEmpty: Bool { connections.isEmpty }
  var count: Int { connections.count }
  var all: Dictionary<Int32, Connection>.Values { connections.values }

  /// When to look next.
  var interval: Duration { max(ConnectionGuard.lookInterval, .microseconds(50 * connections.count)) }

  func connection(of descriptor: Int32) -> Connection? { connections[descriptor] }

  /// Begins to watch a connection.
  func add(_ connection: Connection) { connections[connection.descriptor] = connection }

  func remove(_ descriptor: Int32) -> Connection? { connections.removeValue(forKey: descriptor) }

  /// Counts a message that was delivered, or dropped for its size, from `connection`.
  func delivered(_ wireBytes: Int, from connection: Connection) {
    connection.acknowledged += wireBytes
    connection.hasDelivered = true
  }

  /// Looks at every connection and returns those to cut, with the reason.
  ///
  /// - Parameter isDrained: whether every message that libzmq has completed has been received.
  func look(at now: MonotonicInstant, isDrained: Bool) -> [(Connection, Offence)] {
    cuts.removeAll(keepingCapacity: true)
    defer { pending.removeAll(keepingCapacity: true) }
    var total = 0
    for connection in connections.values where connection.cut == nil {
      guard let received = connection.received else { continue }
      let read = max(0, received - connection.unread)
      if connection.hasDelivered, isDrained, let processed = connection.processed {
        connection.acknowledged = max(connection.acknowledged, processed)
      }
      // Deliveries from a former connection with the same descriptor must not become credit.
      connection.acknowledged = min(connection.acknowledged, read)
      connection.hasDelivered = false
      connection.processed = isDrained ? read : nil
      let undelivered = read - connection.acknowledged
      if undelivered > limits.maxUndeliveredBytes {
        cuts.append((connection, .endlessMessage(bytes: undelivered)))
        continue
      }
      if connection.peer == nil, connection.acceptedAt.duration(to: now) > limits.firstMessage {
        cuts.append((connection, .noMessage))
        continue
      }
      total += undelivered
      if undelivered > 0 { pending.append((connection, undelivered)) }
    }
    guard total > limits.maxUndeliveredBytesInAll else { return cuts }
    for (connection, bytes) in pending.sorted(by: { $0.bytes > $1.bytes }) {
      cuts.append((connection, .endlessMessage(bytes: bytes)))
      total -= bytes
      if total <= limits.maxUndeliveredBytesInAll { break }
    }
    return cuts
  }
}
