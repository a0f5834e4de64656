import Foundation
import Synchronization
import Testing

/// One thread of another process, stopped while the others run on; ptrace can do that, signals stop whole processes.
final class StoppedThread: Sendable {
  private final class Shared: Sendable {
    let error = Mutex<Int32>(0)
    let isStopped = DispatchSemaphore(value: 0)
    let isReleased = Atomic(false)
  }

  private let shared = Shared()

  /// Stops the first thread of a process whose name starts so.
  init(named prefix: String, in pid: Int32) throws {
    let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task").compactMap { Int32($0) }
    let id = try #require(
      threads.sorted().first { id in
        let name = try? String(contentsOfFile: "/proc/\(pid)/task/\(id)/comm", encoding: .utf8)
        return name?.hasPrefix(prefix) ?? false
      }, "no thread \(prefix) in \(pid)")
    // A tracer is a thread: what it has stopped goes on when it ends.
    Thread.detachNewThread { [shared] in
      shared.error.withLock { $0 = StoppedThread.stop(id) }
      shared.isStopped.signal()
      StoppedThread.hold(id) { shared.isReleased.load(ordering: .acquiring) }
    }
    shared.isStopped.wait()
    let error = shared.error.withLock { $0 }
    try #require(error == 0, "ptrace: \(String(cString: strerror(error)))")
  }

  deinit { release() }

  /// Lets the thread go on.
  func release() { shared.isReleased.store(true, ordering: .releasing) }

  private static func stop(_ thread: Int32) -> Int32 {
    typealias Trace = @convention(c) (Int, Int, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Int
    // C's declaration takes any number of arguments, which Swift does not import.
    guard let symbol = dlsym(nil, "ptrace") else { return ENOSYS }
    let trace = unsafeBitCast(symbol, to: Trace.self)
    let (seize, interrupt) = (0x4206, 0x4207)
    guard trace(seize, Int(thread), nil, nil) == 0, trace(interrupt, Int(thread), nil, nil) == 0 else { return errno }
    return 0
  }

  /// Waits until the thread is released or gone. A process is not over before its tracer has taken note of each thread.
  private static func hold(_ thread: Int32, until isReleased: () -> Bool) {
    let everyKind: Int32 = 0x4000_0000
    while !isReleased() {
      var status: Int32 = 0
      let found = waitpid(thread, &status, WNOHANG | everyKind)
      if found < 0 || found == thread && status & 0xFF != 0x7F { return }
      usleep(20_000)
    }
  }
}
