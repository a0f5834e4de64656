import Synchronization

/// A value that comes once, and tasks that wait for it without occupying a thread.
final class Latch<Value: Sendable>: Sendable {
  private struct State {
    var value: Value?
    var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
    var nextWaiter = 0
  }

  private let state = Mutex(State())

  /// The value, if it is there.
  var value: Value? { state.withLock { $0.value } }

  /// Sets the value, unless it is set, and resumes those who wait for it. Returns whether it was set by this call.
  @discardableResult
  func open(_ value: Value) -> Bool {
    let waiters: [Int: CheckedContinuation<Value?, Never>]? = state.withLock { state in
      guard state.value == nil else { return nil }
      state.value = value
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters ?? [:] { waiter.value.resume(returning: value) }
    return waiters != nil
  }

  /// Waits for the value.
  ///
  /// - Parameter limit: how long at most; nil waits until the value comes or the task is cancelled.
  /// - Returns: nil where it did not come in time, or the task was cancelled.
  func wait(for limit: Duration? = nil) async -> Value? {
    let number = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    let timer = limit.map { limit in
      Task { [weak self] in
        try? await Task.sleep(for: limit)
        self?.giveUp(number)
      }
    }
    defer { timer?.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (isOver, value) = state.withLock { state -> (Bool, Value?) in
          if state.value != nil || Task.isCancelled { return (true, state.value) }
          state.waiters[number] = continuation
          return (false, nil)
        }
        if isOver { continuation.resume(returning: value) }
      }
    } onCancel: {
      giveUp(number)
    }
  }

  private func giveUp(_ number: Int) {
    state.withLock { $0.waiters.removeValue(forKey: number) }?.resume(returning: nil)
  }
}
