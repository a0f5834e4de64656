import Synchronization

/// Carries values from any thread to the thread of an event loop.
///
/// `post` takes a lock for one append and wakes the loop if it sleeps; the loop takes a whole batch per turn. Two arrays
/// change places, so nothing is allocated once they have grown to the size of the largest batch. Order is kept per
/// inbox. Made by ``EventLoop/makeInbox(of:_:)``.
package final class Inbox<Element: Sendable>: InboxDrain, @unchecked Sendable {
  private struct Pending {
    var elements: [Element] = []
    var isClosed = false
  }

  private let pending = Mutex(Pending())
  private var batch: [Element] = []
  private let receive: (Element) -> Void
  private let alarm: LoopAlarm

  init(alarm: LoopAlarm, receive: @escaping (Element) -> Void) {
    self.alarm = alarm
    self.receive = receive
  }

  /// Hands `element` to the loop. From any thread; never waits for the loop. After the loop has ended, what is posted is
  /// dropped.
  package func post(_ element: Element) {
    let isFirst = pending.withLock { pending in
      guard !pending.isClosed else { return false }
      pending.elements.append(element)
      return pending.elements.count == 1
    }
    if isFirst { alarm.ring() }
  }

  override func drain() {
    pending.withLock { swap(&$0.elements, &batch) }
    for element in batch { receive(element) }
    batch.removeAll(keepingCapacity: true)
  }

  override func close() {
    batch.removeAll()
    let dropped = pending.withLock { pending in
      pending.isClosed = true
      defer { pending.elements = [] }
      return pending.elements
    }
    // Outside of the lock: what is dropped here may post.
    withExtendedLifetime(dropped) {}
  }
}

/// An inbox without its element type.
package class InboxDrain {
  init() {}

  /// Hands out everything that is pending. Called on the loop's thread.
  func drain() {}

  /// Drops what is pending and what will be posted.
  func close() {}
}
