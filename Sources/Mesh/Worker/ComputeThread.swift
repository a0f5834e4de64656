#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ
import Synchronization

/// Threads of our own for computation, apart from Swift's cooperative pool, which nobody may block.
final class ComputeThreads: Sendable {
  private let ended = Latch<Void>()
  private let alive: Atomic<Int>

  /// - Parameter count: how many, at least one.
  /// - Throws: `MeshError.inputOutput` if the system refuses a thread; those that run end once `body` returns.
  init(_ count: Int, name: String, body: @escaping @Sendable () -> Void) throws(MeshError) {
    alive = Atomic(count)
    for index in 0..<count {
      do throws(MeshError) {
        try ComputeThreads.start("\(name)-\(index)") { [self] in
          body()
          leave()
        }
      } catch {
        for _ in index..<count { leave() }
        throw error
      }
    }
  }

  private func leave() {
    if alive.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { ended.open(()) }
  }

  /// Waits until all have ended; whether they did within `limit`.
  func waitForEnd(_ limit: Duration) async -> Bool { await ended.wait(for: limit) != nil }

  private final class Body {
    let name: String
    let run: () -> Void
    init(name: String, run: @escaping () -> Void) {
      self.name = name
      self.run = run
    }
  }

  private static func start(_ name: String, _ run: @escaping @Sendable () -> Void) throws(MeshError) {
    // Signals are for the program's own threads.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 8 << 20)
    var handle = pthread_t()
    let argument = Unmanaged.passRetained(Body(name: name, run: run))
    let status = pthread_create(
      &handle, &attributes,
      { argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        // The kernel keeps 15 bytes of a name.
        pthread_setname_np(pthread_self(), String(body.name.prefix(15)))
        body.run()
        return nil
      }, argument.toOpaque())
    pthread_attr_destroy(&attributes)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    guard status == 0 else {
      argument.release()
      errno = status
      throw systemError("start a compute thread")
    }
  }
}
