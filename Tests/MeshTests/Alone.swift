import Synchronization
import Testing

/// Runs a suite's tests while no other test with this trait runs, of whatever suite: many count the descriptors or the
/// memory of the process, or tell times.
struct Alone: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    // A suite as a whole waits for nobody; its tests do.
    guard testCase != nil else { return try await function() }
    await Turn.shared.begin()
    defer { Turn.shared.end() }
    try await function()
  }

  /// One test at a time, in the order of asking.
  private final class Turn: Sendable {
    static let shared = Turn()
    private struct State {
      var isTaken = false
      var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func begin() async {
      await withCheckedContinuation { continuation in
        let isFree = state.withLock { state in
          if state.isTaken { state.waiting.append(continuation) }
          defer { state.isTaken = true }
          return !state.isTaken
        }
        if isFree { continuation.resume() }
      }
    }

    func end() {
      let next: CheckedContinuation<Void, Never>? = state.withLock { state in
        guard !state.waiting.isEmpty else {
          state.isTaken = false
          return nil
        }
        return state.waiting.removeFirst()
      }
      next?.resume()
    }
  }
}

extension Trait where Self == Alone {
  static var alone: Alone { Alone() }
}
