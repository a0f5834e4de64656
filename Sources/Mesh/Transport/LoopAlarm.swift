#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ
import Synchronization

/// Wakes a loop's thread out of its poll: an eventfd, written only while the loop sleeps.
final class LoopAlarm: Sendable {
  /// Readable after a ring.
  let descriptor: Int32
  private let isRung = Atomic<Bool>(false)
  private let isAsleep = Atomic<Bool>(false)

  /// - Throws: `MeshError.inputOutput` if the process has no descriptor left.
  init() throws(MeshError) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    guard descriptor >= 0 else { throw systemError("create an eventfd") }
  }

  deinit { close(descriptor) }

  /// From any thread. Without `waking`, a loop that sleeps finds it when it wakes for another reason.
  func ring(waking: Bool = true) {
    isRung.store(true, ordering: .sequentiallyConsistent)
    if waking, isAsleep.load(ordering: .sequentiallyConsistent) { eventfd_write(descriptor, 1) }
  }

  /// Whether somebody has rung since the last call.
  func takeRing() -> Bool { isRung.exchange(false, ordering: .sequentiallyConsistent) }

  /// Says that the loop is about to sleep. False means that somebody has rung: do not sleep. Ring and sleep each write
  /// before they read, so one of them sees the other.
  func prepareToSleep() -> Bool {
    isAsleep.store(true, ordering: .sequentiallyConsistent)
    return !isRung.load(ordering: .sequentiallyConsistent)
  }

  /// Says that the loop is awake and forgets the rings that reached the descriptor.
  func wake(wasSignalled: Bool) {
    isAsleep.store(false, ordering: .sequentiallyConsistent)
    if wasSignalled {
      var count: eventfd_t = 0
      eventfd_read(descriptor, &count)
    }
  }
}
