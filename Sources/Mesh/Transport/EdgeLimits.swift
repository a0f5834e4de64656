/// What one edge of a process accepts and holds. Sizes are in bytes, high-water marks in whole messages per peer.
package struct EdgeLimits: Sendable {
  /// The parts of a message, its routing id not counted; at most ``Multipart/capacity``.
  package var maxParts: Int
  /// The bytes of one part. libzmq closes a connection that announces more.
  package var maxPartBytes: Int
  /// The bytes of all parts of a message. A larger one is dropped while it is received and its sender reported.
  package var maxMessageBytes: Int
  /// The messages libzmq queues for one peer before a send says "again".
  package var sendHighWater: Int32
  /// The messages libzmq queues from one peer before it stops reading its connection.
  package var receiveHighWater: Int32
  /// The bytes that libzmq may have read from a TCP peer beyond the messages that were delivered. libzmq shows no part
  /// before the last one has arrived, so this alone bounds a message that never ends. Choose at least
  /// `receiveHighWater` x the largest honest message.
  package var maxUndeliveredBytes: Int
  /// The same for all peers of a listener together; the connection with the most is cut first.
  package var maxUndeliveredBytesInAll: Int
  /// The connections of a listener; further ones are cut as they are accepted.
  package var maxConnections: Int
  /// How long a connection may live before its first message.
  package var firstMessage: Duration
  /// The messages parked for one peer, per lane, while libzmq's queue to it is full.
  package var maxParkedMessages: Int
  /// The bytes parked for one peer.
  package var maxParkedBytes: Int

  /// For clients, who are many, small and not trusted: a message of 1 MiB of tensors in parts of at most 320 KiB.
  package static let client = EdgeLimits(
    maxParts: 10, maxPartBytes: 320 << 10, maxMessageBytes: 1088 << 10, sendHighWater: 32, receiveHighWater: 12,
    maxUndeliveredBytes: 2 << 20, maxUndeliveredBytesInAll: 32 << 20, maxConnections: 1_024,
    firstMessage: .seconds(20), maxParkedMessages: 64, maxParkedBytes: 4 << 20)

  /// Between the services of a mesh: parts of 9 MiB, messages of 33 MiB (the protocol's 32 MiB of tensors).
  package static let mesh = EdgeLimits(
    maxParts: 10, maxPartBytes: 9 << 20, maxMessageBytes: 33 << 20, sendHighWater: 256, receiveHighWater: 256,
    maxUndeliveredBytes: 64 << 20, maxUndeliveredBytesInAll: 1 << 30, maxConnections: 1_024,
    firstMessage: .seconds(20), maxParkedMessages: 1_024, maxParkedBytes: 64 << 20)

  /// Makes sure that the limits can be kept.
  ///
  /// - Throws: `MeshError.invalidArgument` naming the limit.
  func validate() throws(MeshError) {
    guard maxParts >= 1, maxParts <= Multipart.capacity else {
      throw MeshError(.invalidArgument, "maxParts is \(maxParts), expected 1 to \(Multipart.capacity)")
    }
    guard maxPartBytes >= 1, maxPartBytes <= Int(Int32.max), maxMessageBytes >= 1 else {
      throw MeshError(.invalidArgument, "limits of \(maxPartBytes) and \(maxMessageBytes) bytes cannot work")
    }
    guard sendHighWater >= 1, receiveHighWater >= 2 else {
      throw MeshError(
        .invalidArgument, "high-water marks are \(sendHighWater) and \(receiveHighWater), expected at least 1 and 2",
        hint: "a mark of zero means no limit in ZeroMQ")
    }
  }
}

/// What sizes become on the wire (ZMTP 3.1, RFC 37; CurveZMQ, RFC 26).
enum WireSize {
  /// What CURVE adds to a part: command name 8, nonce 8, authenticator 16, flags 1.
  static let curveOverhead = 33

  /// The bytes of a part of `byteCount` bytes in its frame.
  static func part(_ byteCount: Int, isEncrypted: Bool) -> Int {
    let body = byteCount + (isEncrypted ? curveOverhead : 0)
    return body + (body > 255 ? 9 : 2)
  }
}
