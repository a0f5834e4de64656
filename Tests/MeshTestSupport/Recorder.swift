import Synchronization
package import Testing

/// What happened on a loop, in order, to be read by the test's own thread.
package final class Recorder<Event: Sendable>: Sendable {
  private let events = Mutex<[Event]>([])

  package init() {}

  package func add(_ event: Event) { events.withLock { $0.append(event) } }
  package var all: [Event] { events.withLock { $0 } }
  package var count: Int { events.withLock { $0.count } }

  /// Waits until the events satisfy `condition`; fails the test after `deadline`.
  package func wait(
    _ deadline: Duration = .seconds(10), _ what: String = "events", sourceLocation: SourceLocation = #_sourceLocation,
    until condition: ([Event]) -> Bool
  ) async throws {
    try await eventually(deadline, "\(what); there were \(all.suffix(20))", sourceLocation: sourceLocation) {
      condition(all)
    }
  }
}

package struct Timeout: Error {
  package init() {}
}

/// Waits until `condition` holds; fails the test after `deadline`.
@inline(never)
package func eventually(
  _ deadline: Duration = .seconds(10), _ what: @autoclosure () -> String = "condition",
  sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + deadline
  while try await !condition() {
    guard ContinuousClock.now < end else {
      Issue.record("timed out waiting for \(what())", sourceLocation: sourceLocation)
      throw Timeout()
    }
    try await Task.sleep(for: .milliseconds(2))
  }
}
