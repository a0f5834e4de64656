import GLTP

/// The runs that wait for a compute thread.
final class RunQueue: @unchecked Sendable {
  private let condition = Condition()
  private var waiting: [RunChannel] = []
  private var isStopped = false

  func add(_ runs: [RunChannel]) {
    condition.locked {
      waiting += runs
      for _ in runs { condition.signal() }
    }
  }

  /// Takes a run out that no compute thread has taken yet; whether it was there.
  func remove(_ run: RunChannel) -> Bool {
    condition.locked {
      guard let index = waiting.firstIndex(where: { $0 === run }) else { return false }
      waiting.remove(at: index)
      return true
    }
  }

  /// The run of the highest priority, of these the first; waits for one. Nil once the queue has been stopped.
  func next() -> RunChannel? {
    condition.locked {
      while !isStopped {
        if var best = waiting.indices.first {
          for index in waiting.indices where waiting[index].start.priority > waiting[best].start.priority {
            best = index
          }
          return waiting.remove(at: best)
        }
        condition.wait(until: .now.advanced(by: .seconds(10)))
      }
      return nil
    }
  }

  /// Lets the compute threads end.
  func stop() {
    condition.locked {
      isStopped = true
      waiting.removeAll()
      condition.broadcast()
    }
  }
}
