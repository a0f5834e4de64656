import GLTP

/// The messages that the state machine has been given to keep. It does not say when it lets go of one, so they are looked
/// at in turn, some for each event, and those that nobody else holds go back to their pool.
struct ForwardedMessages {
  private var messages = ContiguousArray<Multipart>()
  private var cursor = 0
  private let pool: MultipartPool

  init(pool: MultipartPool) { self.pool = pool }

  var count: Int { messages.count }

  mutating func add(_ message: Multipart) -> MessageHandle {
    messages.append(message)
    return MessageHandle(message)
  }

  /// Looks at the next `limit` messages. Faster than they come, so that what is free is found.
  mutating func sweep(_ limit: Int) {
    for _ in 0..<min(limit, messages.count) {
      if cursor >= messages.count { cursor = 0 }
      guard isKnownUniquelyReferenced(&messages[cursor]) else {
        cursor += 1
        continue
      }
      messages.swapAt(cursor, messages.count - 1)
      pool.recycle(messages.removeLast())
    }
  }
}
