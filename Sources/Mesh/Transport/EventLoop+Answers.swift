#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ
import Synchronization

extension EventLoop {
  /// Runs `body` on the loop's thread and returns what it returns; nil where the loop has ended.
  package func ask<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
    await withCheckedContinuation { continuation in
      post(Answer { continuation.resume(returning: $0) }, body)
    }
  }

  /// `ask` for callers outside of a task; occupies the calling thread meanwhile. Not for the loop's own thread.
  package func wait<Value: Sendable>(for body: @escaping @Sendable () -> Value) -> Value? {
    precondition(!isCurrent, "a loop cannot wait for itself")
    let reply = Reply<Value>()
    post(Answer { reply.set($0) }, body)
    return reply.wait()
  }

  private func post<Value: Sendable>(_ answer: Answer<Value>, _ body: @escaping @Sendable () -> Value) {
    execute { answer.give(body()) }
  }
}

/// Where an answer goes. Nobody gives one once the loop has ended: then it is nil as soon as the question is dropped.
private final class Answer<Value: Sendable>: Sendable {
  private let finish: Mutex<(@Sendable (Value?) -> Void)?>

  init(_ finish: @escaping @Sendable (Value?) -> Void) { self.finish = Mutex(finish) }

  deinit { take()?(nil) }

  func give(_ value: Value) { take()?(value) }

  private func take() -> (@Sendable (Value?) -> Void)? {
    finish.withLock { finish in
      defer { finish = nil }
      return finish
    }
  }
}

/// An answer for a thread that waits.
private final class Reply<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let descriptor = eventfd(0, Int32(EFD_CLOEXEC))

  init() { precondition(descriptor >= 0, "the process has no descriptor left") }
  deinit { close(descriptor) }

  func set(_ value: Value?) {
    self.value.withLock { $0 = value }
    eventfd_write(descriptor, 1)
  }

  func wait() -> Value? {
    var count: eventfd_t = 0
    while eventfd_read(descriptor, &count) != 0, errno == EINTR {}
    return value.withLock { $0 }
  }
}
