import Synchronization

/// Messages to be used again, for any thread.
package final class MultipartPool: Sendable {
  private let free: Mutex<[Multipart]>
  private let limit: Int

  /// - Parameter limit: how many idle messages are kept, about 1.4 KiB each.
  package init(limit: Int = 2_048) {
    self.limit = limit
    var messages: [Multipart] = []
    messages.reserveCapacity(limit)
    free = Mutex(messages)
  }

  /// An empty message.
  package func take() -> Multipart { free.withLock { $0.popLast() } ?? Multipart() }

  /// Empties `message` and keeps it for later. The caller must hold the only reference.
  func recycle(_ message: Multipart) {
    message.removeAll()
    free.withLock { free in
      if free.count < limit { free.append(message) }
    }
  }
}
