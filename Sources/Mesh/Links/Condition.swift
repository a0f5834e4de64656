#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ

/// A lock with a condition, for threads of our own that may wait (`pthread_cond_t` on the monotonic clock). Nothing of
/// the event loop waits on it; it only locks for a few instructions.
final class Condition: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` under the lock.
  func locked<Value>(_ body: () -> Value) -> Value {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Waits, under the lock, until somebody signals, `limit` has come, or for no reason.
  func wait(until limit: MonotonicInstant) {
    SystemTime.with(nanoseconds: limit.nanoseconds) { _ = pthread_cond_timedwait(condition, mutex, $0) }
  }

  func signal() { pthread_cond_signal(condition) }
  func broadcast() { pthread_cond_broadcast(condition) }
}
