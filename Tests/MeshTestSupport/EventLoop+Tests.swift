package import Mesh
import Testing

extension EventLoop {
  /// Runs `body` on the loop's thread and returns what it returns.
  package func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      execute { continuation.resume(with: Result { try body() }) }
    }
  }
}

/// Gives `body` an I/O thread and makes sure that it ends.
package func withLoop(_ body: (EventLoop) async throws -> Void) async throws {
  let thread = try IOThread()
  do {
    try await body(thread.loop)
  } catch {
    _ = await thread.stop()
    throw error
  }
  #expect(await thread.stop(), "the I/O thread did not end")
}

extension Multipart {
  package var bytes: [[UInt8]] { (0..<count).map { Array(self[$0]) } }

  package convenience init(_ parts: [UInt8]...) {
    self.init()
    for part in parts { append(copying: part) }
  }
}

extension LinkTimings {
  /// Reconnects fast enough for tests.
  package static let quick = {
    var timings = LinkTimings()
    timings.reconnect = .milliseconds(20)
    timings.reconnectMaximum = .milliseconds(100)
    return timings
  }()
}
