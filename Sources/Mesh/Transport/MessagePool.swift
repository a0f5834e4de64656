import Synchronization

/// Messages to be used again, for any thread.
package final class MessagePool: Sendable {
  private let free: Mutex<[Message]>
  private let limit: Int

  /// - Parameter limit: how many idle messages are kept, about 1.4 KiB each.
  package init(limit: Int = 2_048) {
    self.limit = limit
    var messages: [Message] = []
    messages.reserveCapacity(limit)
    free = Mutex(messages)
  }

  /// An empty message.
  package func take() -> Message { free.withLock { $0.popLast() } ?? Message() }

  /// Empties `message` and keeps it for later. The caller must hold the only reference.
  func recycle(_ message: Message) {
    message.removeAll()
    free.withLock { free in
      if free.count < limit { free.append(message) }
    }
  }
}
