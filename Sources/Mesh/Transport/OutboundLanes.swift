/// The order in which parked messages leave: control first.
package enum Lane: Sendable {
  case control
  case data
}

/// What became of a message given to a socket.
package enum SendOutcome: Sendable, Equatable {
  /// Handed to libzmq. The message is empty.
  case sent
  /// Kept until libzmq's queue to the peer has room; order within a lane is kept. The message is taken.
  case parked
  /// Neither libzmq nor we have room for that peer. The message is untouched; the caller decides.
  case full
  /// The peer is gone or not connected. The message is untouched or lost; the peer's state machine starts over.
  case gone
}

/// The messages for one peer that libzmq had no room for.
struct OutboundLanes {
  private var control = Ring()
  private var data = Ring()
  private(set) var byteCount = 0

  var isEmpty: Bool { control.isEmpty && data.isEmpty }
  var count: Int { control.count + data.count }

  /// Whether a message of this lane has to wait behind others: a control message behind control messages only.
  func mustWait(_ lane: Lane) -> Bool { lane == .control ? !control.isEmpty : !isEmpty }

  /// Keeps `message`; false if the limits do not allow it.
  mutating func park(_ message: Multipart, _ lane: Lane, _ limits: EdgeLimits) -> Bool {
    let size = message.byteCount
    switch lane {
    case .control:
      guard control.count < limits.maxParkedMessages else { return false }
      control.append(message)
    case .data:
      guard data.count < limits.maxParkedMessages, byteCount + size <= limits.maxParkedBytes else { return false }
      data.append(message)
    }
    byteCount += size
    return true
  }

  /// The message to send next.
  var first: Multipart? { control.first ?? data.first }

  /// Takes out what `first` returned; it held `byteCount` bytes.
  mutating func removeFirst(byteCount size: Int) {
    if control.isEmpty { data.removeFirst() } else { control.removeFirst() }
    byteCount -= size
  }

  mutating func removeAll() {
    control = Ring()
    data = Ring()
    byteCount = 0
  }

  /// A queue that does not allocate once it has grown.
  private struct Ring {
    private var slots: [Multipart?] = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var first: Multipart? { count == 0 ? nil : slots[head] }

    mutating func append(_ message: Multipart) {
      if count == slots.count {
        let ordered = (0..<count).map { slots[(head + $0) % slots.count] }
        slots = ordered + [Multipart?](repeating: nil, count: max(4, count))
        head = 0
      }
      slots[(head + count) % slots.count] = message
      count += 1
    }

    mutating func removeFirst() {
      slots[head] = nil
      head = (head + 1) % slots.count
      count -= 1
    }
  }
}
