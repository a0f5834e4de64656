import CZeroMQ

/// What a peer did that no honest peer does.
package enum Offence: Sendable, Equatable {
  /// A message of more parts than allowed; it was dropped.
  case tooManyParts
  /// A message or a part of more bytes than allowed; it was dropped.
  case tooManyBytes
  /// Sent this many bytes without completing a message; the connection was cut.
  case endlessMessage(bytes: Int)
  /// Sent nothing within the allowed time after connecting; the connection was cut.
  case noMessage
  /// Chose a routing id of its own, which could collide with one of ours; the connection was cut.
  case ownRoutingID
  /// One connection more than the listener allows; the connection was cut.
  case tooManyConnections
  /// Its key is no longer in the allow-list; the connection was cut.
  case keyRevoked
}

/// Receives multipart messages within limits, on the loop's thread.
struct MultipartReceiver {
  private let socket: ZeroMQSocket
  private let limits: EdgeLimits
  private let isEncrypted: Bool
  private let scratch: UnsafeMutablePointer<zmq_msg_t>
  /// What the last message took on the wire.
  private(set) var wireBytes = 0

  init(socket: ZeroMQSocket, limits: EdgeLimits, isEncrypted: Bool) {
    self.socket = socket
    self.limits = limits
    self.isEncrypted = isEncrypted
    scratch = .allocate(capacity: 1)
    zmq_msg_init(scratch)
  }

  func deallocate() {
    zmq_msg_close(scratch)
    scratch.deallocate()
  }

  /// Receives the routing id that a ROUTER puts before a message; false if no message waits.
  func receiveRoutingID() -> Bool { socket.receive(scratch) }

  /// The routing id just received; nil if the peer has chosen it.
  var routingID: RoutingID? {
    RoutingID(UnsafeRawBufferPointer(start: zmq_msg_data(scratch), count: zmq_msg_size(scratch)))
  }

  /// The descriptor of the connection that the part just received came by; negative within the process.
  var sourceDescriptor: Int32 { zmq_msg_get(scratch, ZMQ_SRCFD) }

  /// A property of the connection that the part just received came by (RFC 37's metadata and ZAP's).
  func property(_ name: String) -> String? { zmq_msg_gets(scratch, name).map { String(cString: $0) } }

  enum Outcome {
    case none
    case message
    case offence(Offence)
  }

  /// Receives the parts of one message into `message`. What exceeds the limits is received and freed part by part, and
  /// `message` left empty: libzmq has the whole message already, so stopping early would only put the rest into the
  /// next one.
  mutating func receiveParts(into message: Multipart) -> Outcome {
    var parts = 0
    var offence: Offence?
    wireBytes = 0
    repeat {
      guard socket.receive(scratch) else { return parts == 0 ? .none : .offence(.tooManyParts) }
      parts += 1
      let size = zmq_msg_size(scratch)
      wireBytes += WireSize.part(size, isEncrypted: isEncrypted)
      let more = zmq_msg_more(scratch) != 0
      if offence == nil {
        if parts > limits.maxParts {
          offence = .tooManyParts
        } else if size > limits.maxPartBytes || message.byteCount + size > limits.maxMessageBytes {
          offence = .tooManyBytes
        }
        if offence == nil { message.append(received: scratch) } else { message.removeAll() }
      }
      if !more { break }
    } while true
    return offence.map { .offence($0) } ?? .message
  }
}
