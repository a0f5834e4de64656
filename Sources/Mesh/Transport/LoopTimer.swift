/// A timer of an event loop, made once and armed as often as needed without allocating.
///
/// Made by ``EventLoop/makeTimer(_:)``; used on the loop's thread only.
package final class LoopTimer: @unchecked Sendable {
  /// When it fires; nil while it is not armed.
  package var deadline: MonotonicInstant? { position == LoopTimer.idle ? nil : due }

  fileprivate static let idle = -1
  /// Taken from the heap, about to fire in this turn of the loop.
  fileprivate static let firing = -2

  fileprivate var due = MonotonicInstant(nanoseconds: 0)
  /// The order of arming, which decides among equal deadlines.
  fileprivate var sequence: UInt64 = 0
  fileprivate var position = LoopTimer.idle
  fileprivate let fire: () -> Void
  private unowned let loop: EventLoop

  init(loop: EventLoop, fire: @escaping () -> Void) {
    self.loop = loop
    self.fire = fire
  }

  /// Makes the timer fire once at `deadline`, or in the loop's next turn if that has passed. A deadline set before is
  /// forgotten.
  package func arm(at deadline: MonotonicInstant) {
    loop.assertOnLoop()
    loop.timers.insert(self, due: deadline)
  }

  /// Makes the timer fire once, `delay` from now.
  package func arm(after delay: Duration) { arm(at: MonotonicInstant.now.advanced(by: delay)) }

  /// Keeps the timer from firing.
  package func disarm() {
    loop.assertOnLoop()
    loop.timers.remove(self)
  }
}

/// The armed timers of a loop: a binary heap by deadline, then by the order of arming.
struct TimerHeap {
  private var heap: [LoopTimer] = []
  private var firing: [LoopTimer] = []
  private var armed: UInt64 = 0

  /// The next deadline.
  var next: MonotonicInstant? { heap.first?.due }

  mutating func insert(_ timer: LoopTimer, due: MonotonicInstant) {
    remove(timer)
    timer.due = due
    timer.sequence = armed
    armed += 1
    timer.position = heap.count
    heap.append(timer)
    siftUp(timer.position)
  }

  mutating func remove(_ timer: LoopTimer) {
    let position = timer.position
    timer.position = LoopTimer.idle
    guard position >= 0 else { return }
    let last = heap.removeLast()
    guard last !== timer else { return }
    heap[position] = last
    last.position = position
    siftUp(position)
    siftDown(last.position)
  }

  /// Takes the timers that are due at `now` off the heap, in order; `fireTaken` runs them. Two steps, so that a timer
  /// which arms itself for a past moment does not keep the loop from its sockets.
  mutating func takeDue(at now: MonotonicInstant) -> Int {
    while let first = heap.first, first.due <= now {
      remove(first)
      first.position = LoopTimer.firing
      firing.append(first)
    }
    return firing.count
  }

  /// The `index`th of the timers taken, unless it has been disarmed or armed anew since.
  mutating func taken(_ index: Int) -> (() -> Void)? {
    let timer = firing[index]
    guard timer.position == LoopTimer.firing else { return nil }
    timer.position = LoopTimer.idle
    return timer.fire
  }

  mutating func forgetTaken() { firing.removeAll(keepingCapacity: true) }

  mutating func removeAll() {
    for timer in heap { timer.position = LoopTimer.idle }
    heap.removeAll()
    firing.removeAll()
  }

  private func precedes(_ left: LoopTimer, _ right: LoopTimer) -> Bool {
    left.due == right.due ? left.sequence < right.sequence : left.due < right.due
  }

  private mutating func exchange(_ left: Int, _ right: Int) {
    heap.swapAt(left, right)
    heap[left].position = left
    heap[right].position = right
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard precedes(heap[child], heap[parent]) else { return }
      exchange(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var least = parent
      for child in (2 * parent + 1)...(2 * parent + 2) where child < heap.count && precedes(heap[child], heap[least]) {
        least = child
      }
      guard least != parent else { return }
      exchange(parent, least)
      parent = least
    }
  }
}
