#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import Synchronization

/// Threads that share out the indices of a loop.
///
/// Indices are handed out one by one, so which thread runs an index is left open: a body must compute the same numbers
/// whoever runs it. Everything in this package that is parallel cuts its work by the shape of the data, never by the
/// number of threads; that is half of why results have the same bits on one thread and on many (DESIGN.md, decision 4).
///
/// A loop within a loop runs on the thread that meets it. Compute has these threads to itself: nothing here blocks
/// Swift's cooperative pool unless it is called from there, so servers call it from a thread of their own.
public final class ThreadPool: @unchecked Sendable {
  /// The threads that work on a loop, the caller's among them.
  public let threads: Int

  private let state: PoolState
  private var handles: [pthread_t] = []
  /// One loop at a time: callers from several threads take turns.
  private let turn = Mutex<Void>(())

  /// A pool with threads of its own, which end with it.
  ///
  /// - Parameter threads: at least one; the default is one per core.
  public init(threads: Int = ThreadPool.coreCount) {
    self.threads = max(1, threads)
    state = PoolState()
    for worker in 1..<self.threads {
      if let handle = ThreadPool.start(worker: worker, state: state) { handles.append(handle) }
    }
  }

  deinit {
    state.stop()
    for handle in handles { pthread_join(handle, nil) }
  }

  /// The cores that this process may run on.
  public static var coreCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  /// Runs `body` once for every index below `count` and returns when all have run.
  ///
  /// - Parameter body: called from several threads at once with the index and the number of the worker, which is below
  ///   `threads` and may choose scratch memory. It must write only what its index, or its worker, owns.
  public func forEach(_ count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
    guard count > 0 else { return }
    guard threads > 1, count > 1, !PoolState.isInsideLoop else {
      for index in 0..<count { body(index, PoolState.currentWorker) }
      return
    }
    turn.withLock { _ in
      withoutActuallyEscaping(body) { body in
        // Threads get the closure's address: a copy of their own could outlive this call by a moment.
        withUnsafePointer(to: body) { state.run(count: count, body: $0) }
      }
    }
  }

  private static func start(worker: Int, state: PoolState) -> pthread_t? {
    #if canImport(Darwin)
      var handle: pthread_t?
    #else
      var handle = pthread_t()
    #endif
    let argument = Unmanaged.passRetained(Worker(number: worker, state: state))
    let status = pthread_create(
      &handle, nil,
      { argument in
        // An optional on Linux, not so elsewhere.
        let pointer: UnsafeMutableRawPointer? = argument
        guard let pointer else { return nil }
        let worker = Unmanaged<Worker>.fromOpaque(pointer).takeRetainedValue()
        worker.state.work(as: worker.number)
        return nil
      }, argument.toOpaque())
    if status != 0 { argument.release() }
    return status == 0 ? handle : nil
  }

  /// What a new thread is told.
  private final class Worker {
    let number: Int
    let state: PoolState

    init(number: Int, state: PoolState) {
      self.number = number
      self.state = state
    }
  }
}

/// What the threads of a pool share. The mutex and the conditions live at fixed addresses, as POSIX demands; the rest is
/// read and written under the mutex, but for the counters.
private final class PoolState: @unchecked Sendable {
  typealias Body = (Int, Int) -> Void

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var body: UnsafePointer<Body>?
  private var count = 0
  private var running = 0
  private var stopping = false
  /// Grows by one with every loop, so that a thread notices work without the lock.
  private let generation = Atomic<Int>(0)
  private let next = Atomic<Int>(0)
  private let finished = Atomic<Int>(0)

  /// How often a thread looks for work before it sleeps: a few microseconds, about the length of the gaps between the
  /// loops of one forward pass.
  private static let spins = 2_000

  init() {
    mutex.initialize(to: pthread_mutex_t())
    wake.initialize(to: pthread_cond_t())
    done.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(done, nil)
  }

  deinit {
    pthread_cond_destroy(done)
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    done.deallocate()
    wake.deallocate()
    mutex.deallocate()
  }

  func run(count: Int, body: UnsafePointer<Body>) {
    pthread_mutex_lock(mutex)
    self.body = body
    self.count = count
    next.store(0, ordering: .relaxed)
    finished.store(0, ordering: .relaxed)
    generation.add(1, ordering: .releasing)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)

    share(as: 0, body: body, count: count)

    var spin = 0
    while finished.load(ordering: .acquiring) < count, spin < PoolState.spins { spin += 1 }
    pthread_mutex_lock(mutex)
    while finished.load(ordering: .acquiring) < count || running > 0 { pthread_cond_wait(done, mutex) }
    self.body = nil
    self.count = 0
    pthread_mutex_unlock(mutex)
  }

  func work(as worker: Int) {
    var seen = 0
    while true {
      var spin = 0
      while generation.load(ordering: .acquiring) == seen, spin < PoolState.spins { spin += 1 }
      pthread_mutex_lock(mutex)
      while generation.load(ordering: .acquiring) == seen, !stopping { pthread_cond_wait(wake, mutex) }
      if stopping {
        pthread_mutex_unlock(mutex)
        return
      }
      seen = generation.load(ordering: .acquiring)
      guard let body else {
        // The loop was over before this thread woke.
        pthread_mutex_unlock(mutex)
        continue
      }
      let count = count
      running += 1
      pthread_mutex_unlock(mutex)

      share(as: worker, body: body, count: count)

      pthread_mutex_lock(mutex)
      running -= 1
      pthread_cond_signal(done)
      pthread_mutex_unlock(mutex)
    }
  }

  func stop() {
    pthread_mutex_lock(mutex)
    stopping = true
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  private func share(as worker: Int, body: UnsafePointer<Body>, count: Int) {
    PoolState.enterLoop(as: worker)
    defer { PoolState.leaveLoop() }
    while true {
      let index = next.add(1, ordering: .relaxed).oldValue
      guard index < count else { return }
      body.pointee(index, worker)
      finished.add(1, ordering: .releasing)
    }
  }

  // MARK: Which loop this thread is in

  /// Holds worker + 1 while the thread is inside a loop, zero otherwise.
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  static var isInsideLoop: Bool { pthread_getspecific(key) != nil }
  static var currentWorker: Int { max(0, Int(bitPattern: pthread_getspecific(key)) - 1) }
  private static func enterLoop(as worker: Int) {
    pthread_setspecific(key, UnsafeRawPointer(bitPattern: worker + 1))
  }
  private static func leaveLoop() { pthread_setspecific(key, nil) }
}
