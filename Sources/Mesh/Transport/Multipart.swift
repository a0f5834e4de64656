import CZeroMQ
package import GLTP

/// A multipart message: an ordered list of parts whose memory belongs to ZeroMQ.
///
/// Received parts may be held as long as the message lives and sent onward without copying: `append(movingPart:of:)`
/// takes a part out of another message, `append(sharingPart:of:)` lets both own the same bytes (for replays). Sending
/// takes all parts out: after a send that did not answer `.full` or `.gone`, the message is empty and must not be used.
///
/// Messages come from ``MultipartPool`` and go back to it by themselves once the transport holds the last reference; one
/// that is merely dropped frees its memory like any object. A message may be filled, read and dropped on any thread, by
/// one thread at a time.
package final class Multipart: @unchecked Sendable {
  /// The parts that fit: as many as a message of GLTP has at most.
  package static let capacity = CodecLimits.parts

  /// How many parts there are.
  package private(set) var count = 0
  /// The bytes of all parts together.
  package private(set) var byteCount = 0
  /// `zmq_msg_t`s at fixed addresses: small parts live inside them.
  private let slots = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: Multipart.capacity)

  /// An empty message outside of any pool.
  package init() {}

  deinit {
    removeAll()
    slots.deallocate()
  }

  package var isEmpty: Bool { count == 0 }

  /// The bytes of part `index`. They stay valid and in place while the message holds the part.
  package subscript(index: Int) -> UnsafeRawBufferPointer {
    precondition(index >= 0 && index < count, "a message of \(count) parts has no part \(index)")
    let part = slots + index
    return UnsafeRawBufferPointer(start: zmq_msg_data(part), count: zmq_msg_size(part))
  }

  /// Adds a part with a copy of `bytes`.
  package func append(copying bytes: UnsafeRawBufferPointer) {
    let target = appendPart(byteCount: bytes.count)
    if let base = bytes.baseAddress, bytes.count > 0 {
      target.baseAddress?.copyMemory(from: base, byteCount: bytes.count)
    }
  }

  /// Adds a part with a copy of `bytes`.
  package func append(copying bytes: some Sequence<UInt8>) {
    let array = Array(bytes)
    array.withUnsafeBytes { append(copying: $0) }
  }

  /// Adds a part of `byteCount` bytes, allocated by ZeroMQ, to be filled in by the caller before the message is sent.
  package func appendPart(byteCount: Int) -> UnsafeMutableRawBufferPointer {
    let part = nextPart()
    let status = zmq_msg_init_size(part, byteCount)
    precondition(status == 0, "out of memory for a part of \(byteCount) bytes")
    grow(by: byteCount)
    return UnsafeMutableRawBufferPointer(start: zmq_msg_data(part), count: byteCount)
  }

  /// Adds a part of the codec's. Its bytes are sent where they lie, and its owner is held until ZeroMQ has written them
  /// out; nobody may write them meanwhile. Small parts, and those without an owner, are copied: that is cheaper than
  /// handing memory between threads, or the only way.
  package func append(_ part: MessagePart) {
    guard part.bytes.count > Multipart.copyThreshold, let owner = part.owner, let base = part.bytes.baseAddress else {
      return append(copying: part.bytes)
    }
    let target = nextPart()
    let held = Unmanaged.passRetained(owner)
    let status = zmq_msg_init_data(
      target, UnsafeMutableRawPointer(mutating: base), part.bytes.count,
      { _, held in
        guard let held else { return }
        Unmanaged<AnyObject>.fromOpaque(held).release()
      }, held.toOpaque())
    precondition(status == 0, "out of memory for a message")
    grow(by: part.bytes.count)
  }

  /// Adds all parts of a message that the codec has encoded.
  package func append(_ parts: borrowing MessageParts) {
    for index in 0..<parts.count { append(parts[index]) }
  }

  /// The parts as the codec reads them. They hold the message, so it is not used again as long as one of them lives.
  package var parts: MessageParts { parts(ownedBy: self) }

  /// Calls `body` with the parts as the codec reads them. They hold nothing: what they show must not outlive the call.
  package func withParts<Value, Failure: Error>(
    _ body: (borrowing MessageParts) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try body(parts(ownedBy: nil))
  }

  private func parts(ownedBy owner: AnyObject?) -> MessageParts {
    var view = MessageParts()
    for index in 0..<count { view.append(MessagePart(owner: owner, bytes: self[index])) }
    return view
  }

  /// At most this many bytes are copied where they could be handed over: about what the bookkeeping costs.
  package static let copyThreshold = 512

  /// Adds part `index` of `other` and leaves an empty part there. Copies nothing.
  package func append(movingPart index: Int, of other: Multipart) {
    precondition(index >= 0 && index < other.count, "a message of \(other.count) parts has no part \(index)")
    let part = nextPart()
    zmq_msg_init(part)
    let byteCount = zmq_msg_size(other.slots + index)
    zmq_msg_move(part, other.slots + index)
    other.byteCount -= byteCount
    grow(by: byteCount)
  }

  /// Adds part `index` of `other`, which keeps it: both own the same bytes, which neither may write any more.
  package func append(sharingPart index: Int, of other: Multipart) {
    precondition(index >= 0 && index < other.count, "a message of \(other.count) parts has no part \(index)")
    let part = nextPart()
    zmq_msg_init(part)
    zmq_msg_copy(part, other.slots + index)
    grow(by: zmq_msg_size(part))
  }

  /// Frees all parts.
  package func removeAll() {
    for index in 0..<count { zmq_msg_close(slots + index) }
    count = 0
    byteCount = 0
  }

  // MARK: For the sockets

  private func nextPart() -> UnsafeMutablePointer<zmq_msg_t> {
    precondition(count < Multipart.capacity, "a message holds at most \(Multipart.capacity) parts")
    return slots + count
  }

  private func grow(by bytes: Int) {
    count += 1
    byteCount += bytes
  }

  /// Moves a part that was received into the message.
  func append(received part: UnsafeMutablePointer<zmq_msg_t>) {
    let target = nextPart()
    zmq_msg_init(target)
    zmq_msg_move(target, part)
    grow(by: zmq_msg_size(target))
  }

  /// Part `index` for `zmq_msg_send`, which empties it.
  func rawPart(_ index: Int) -> UnsafeMutablePointer<zmq_msg_t> { slots + index }
}

extension MessageHandle {
  /// For the machines of gateways and workers, which hold nothing but such messages. A chunk of a worker's own making has a
  /// head that still lacks its place.
  init(_ message: Multipart) { self.init(message, byteCount: message.byteCount) }

  /// The message that was given to `init`.
  var multipart: Multipart { unsafeDowncast(object, to: Multipart.self) }
}
