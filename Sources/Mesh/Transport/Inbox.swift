import Synchronization

/// Carries values from any thread to the thread of an event loop.
///
/// `post` takes a lock for one append and wakes the loop if it sleeps; the loop takes a whole batch per turn. Two arrays
/// change places, so nothing is allocated once they have grown to the size of the largest batch. Order is kept per
/// inbox. Made by ``EventLoop/makeInbox(of:_:)``.
package final class Inbox<Element: Sendable>: InboxDrain, @unchecked Sendable {
  private struct Pending {
    var elements: [Element] = []
    /// Whether somebody has rung for what is in there.
    var isUrgent = false
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
  ///
  /// - Parameter waking: whether to wake the loop, if it sleeps. Otherwise the element waits until somebody else does.
  package func post(_ element: Element, waking: Bool = true) {
    let (isFirst, isFirstUrgent) = pending.withLock { pending in
      guard !pending.isClosed else { return (false, false) }
      pending.elements.append(element)
      defer { if waking { pending.isUrgent = true } }
      return (pending.elements.count == 1, waking && !pending.isUrgent)
    }
    if isFirst || isFirstUrgent { alarm.ring(waking: waking) }
  }

  override func drain() {
    pending.withLock { pending in
      swap(&pending.elements, &batch)
      pending.isUrgent = false
    }
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
