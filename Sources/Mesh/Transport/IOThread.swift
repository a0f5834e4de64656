#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ
package import GLTP
import Synchronization

/// The I/O thread of a process: starts an event loop on a thread of its own and ends it.
///
/// ```swift
/// let thread = try IOThread()
/// thread.loop.execute { ... make listeners and dialers ... }
/// _ = await thread.stop(linger: .seconds(2))
/// ```
/// Dropping the last reference stops the loop without waiting.
package final class IOThread: Sendable {
  /// The loop. Usable from the moment `init` returns until `stop`.
  package let loop: EventLoop
  private let ending: Ending

  /// What the thread and those who wait for its end share.
  private final class Ending: Sendable {
    struct State {
      var isOver = false
      var nextWaiter = 0
      var waiters: [Int: CheckedContinuation<Bool, Never>] = [:]
    }
    let state = Mutex(State())
    /// Readable from the end on, for those who wait without a task.
    let descriptor: Int32

    init() { descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)) }
    deinit { if descriptor >= 0 { close(descriptor) } }

    func end() {
      let waiters = state.withLock { state in
        state.isOver = true
        defer { state.waiters.removeAll() }
        return state.waiters
      }
      eventfd_write(descriptor, 1)
      for waiter in waiters.values { waiter.resume(returning: true) }
    }
  }

  private final class Launch {
    let loop: EventLoop
    let ending: Ending
    let isReady = Mutex<Result<Void, MeshError>?>(nil)
    let alarm: LoopAlarm

    init(loop: EventLoop, ending: Ending, alarm: LoopAlarm) {
      self.loop = loop
      self.ending = ending
      self.alarm = alarm
    }
  }

  /// Starts the thread. Returns once the authentication handler runs.
  ///
  /// - Parameter buffers: the process's memory for messages, whose budget bounds what decoding takes.
  /// - Throws: `MeshError.inputOutput` if the system refuses a thread, a socket or a descriptor.
  package init(buffers: BufferPool = BufferPool()) throws(MeshError) {
    loop = try EventLoop(buffers: buffers)
    ending = Ending()
    guard ending.descriptor >= 0 else { throw systemError("create an eventfd") }
    let launch = Launch(loop: loop, ending: ending, alarm: try LoopAlarm())

    // Signals are for the program's other threads: a handler that ran here would delay every peer.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var handle = pthread_t()
    let argument = Unmanaged.passRetained(launch)
    let status = pthread_create(
      &handle, &attributes,
      { argument in
        guard let argument else { return nil }
        IOThread.main(Unmanaged<Launch>.fromOpaque(argument).takeRetainedValue())
        return nil
      }, argument.toOpaque())
    pthread_attr_destroy(&attributes)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    guard status == 0 else {
      argument.release()
      errno = status
      throw systemError("start the I/O thread")
    }
    var wait = pollfd(fd: launch.alarm.descriptor, events: Int16(POLLIN), revents: 0)
    while launch.isReady.withLock({ $0 == nil }) { poll(&wait, 1, -1) }
    if case .failure(let error) = launch.isReady.withLock({ $0 }) { throw error }
  }

  private static func main(_ launch: Launch) {
    pthread_setname_np(pthread_self(), "glta-io")
    let loop = launch.loop
    let ending = launch.ending
    let result = Result { () throws(MeshError) in try loop.prepare() }
    launch.isReady.withLock { $0 = result }
    eventfd_write(launch.alarm.descriptor, 1)
    if case .failure = result { loop.stop(linger: .zero) }
    loop.run()
    ending.end()
  }

  deinit {
    let loop = loop
    loop.execute { loop.stop(linger: .zero) }
  }

  /// Closes every socket of the loop in order and ends the thread.
  ///
  /// Never waits longer than `deadline`: ending a ZeroMQ context waits for its threads, and a program that ends must not
  /// depend on them.
  ///
  /// - Parameters:
  ///   - linger: how long what has been sent may still be written to peers, in the background.
  ///   - deadline: when to give up waiting, counted from now; the linger time is added.
  /// - Returns: whether everything has ended. False leaves the rest to the end of the process.
  package func stop(linger: Duration = .zero, deadline: Duration = .seconds(5)) async -> Bool {
    requestStop(linger: linger)
    let ending = ending
    return await withCheckedContinuation { continuation in
      let waiter: Int? = ending.state.withLock { state in
        guard !state.isOver else { return nil }
        state.nextWaiter += 1
        state.waiters[state.nextWaiter] = continuation
        return state.nextWaiter
      }
      guard let waiter else { return continuation.resume(returning: true) }
      Task { [weak ending] in
        try? await Task.sleep(for: linger + deadline)
        ending?.state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume(returning: false)
      }
    }
  }

  /// `stop` for callers outside of a task; occupies the calling thread meanwhile.
  package func stopAndWait(linger: Duration = .zero, deadline: Duration = .seconds(5)) -> Bool {
    requestStop(linger: linger)
    let end = MonotonicInstant.now.advanced(by: linger + deadline)
    var wait = pollfd(fd: ending.descriptor, events: Int16(POLLIN), revents: 0)
    while true {
      let left = MonotonicInstant.now.duration(to: end).milliseconds
      if poll(&wait, 1, max(0, left)) > 0 { return true }
      if left <= 0 { return false }
    }
  }

  private func requestStop(linger: Duration) {
    let loop = loop
    loop.execute { loop.stop(linger: linger) }
  }
}
