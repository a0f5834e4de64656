#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import CProcessor
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

  /// The calling thread alone: for work inside the loops of another pool. Its worker is 0 on every thread, so scratch
  /// memory for one worker is enough and belongs to whoever runs the loop.
  public static let serial = ThreadPool(threads: 1)

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
      let worker = threads > 1 ? PoolState.currentWorker : 0
      for index in 0..<count { body(index, worker) }
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

/// What the threads of a pool share.
///
/// One word says which loop is open and how many threads are in it; joining, leaving and closing are single steps on that
/// word, so that handing over a loop to a thread that looks for one takes no lock. Mutex and conditions are for threads
/// that sleep; they live at fixed addresses, as POSIX demands.
private final class PoolState: @unchecked Sendable {
  typealias Body = (Int, Int) -> Void

  /// The loop's number, whether it is closed to those who have not joined, and the threads in it beside the caller.
  private struct Gate {
    static let closed = 1 << 20
    static let loop = 1 << 21
    static func members(_ word: Int) -> Int { word & (closed - 1) }
    static func isClosed(_ word: Int) -> Bool { word & closed != 0 }
  }

  private let gate = Atomic<Int>(Gate.closed)
  private let next = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  /// Written while the gate is closed and empty, read by members.
  private var body: UnsafePointer<Body>?
  private var count = 0

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let left = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let sleepers = Atomic<Int>(0)
  private let callerSleeps = Atomic<Bool>(false)

  /// How often a thread looks before it sleeps: some 50 microseconds, what waking it would take. The gaps between the
  /// loops of one forward pass are shorter.
  private static let spins = 2_000

  init() {
    mutex.initialize(to: pthread_mutex_t())
    wake.initialize(to: pthread_cond_t())
    left.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(left, nil)
  }

  deinit {
    pthread_cond_destroy(left)
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    left.deallocate()
    wake.deallocate()
    mutex.deallocate()
  }

  func run(count: Int, body: UnsafePointer<Body>) {
    self.body = body
    self.count = count
    next.store(0, ordering: .relaxed)
    // Opens the next loop. Sequentially consistent, here and in `awaitLoop`: either this sees a sleeper or it sees this.
    gate.store((gate.load(ordering: .relaxed) & ~Gate.closed) &+ Gate.loop, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 { locked { pthread_cond_broadcast(wake) } }

    share(as: 0, body: body, count: count)

    // No index is left: whoever has not joined need not, and an index that runs is a member's.
    gate.bitwiseOr(Gate.closed, ordering: .sequentiallyConsistent)
    awaitMembers()
    self.body = nil
  }

  func work(as worker: Int) {
    var seen = 0
    while awaitLoop(after: seen) {
      let word = join()
      seen = word & ~(Gate.loop - 1)
      // Closed: the loop was over before this thread woke.
      guard !Gate.isClosed(word), let body else { continue }
      share(as: worker, body: body, count: count)
      gate.subtract(1, ordering: .sequentiallyConsistent)
      if callerSleeps.load(ordering: .sequentiallyConsistent) { locked { pthread_cond_signal(left) } }
    }
  }

  func stop() {
    stopping.store(true, ordering: .sequentiallyConsistent)
    locked { pthread_cond_broadcast(wake) }
  }

  /// Becomes a member of the open loop, if one is open; returns the word as it was.
  private func join() -> Int {
    var word = gate.load(ordering: .acquiring)
    while !Gate.isClosed(word) {
      let (done, original) = gate.weakCompareExchange(
        expected: word, desired: word + 1, ordering: .acquiringAndReleasing)
      if done { break }
      word = original
    }
    return word
  }

  /// Waits for another loop than the one that was seen; false where the pool is given up.
  private func awaitLoop(after seen: Int) -> Bool {
    func hasCome() -> Bool {
      gate.load(ordering: .sequentiallyConsistent) & ~(Gate.loop - 1) != seen
        || stopping.load(ordering: .sequentiallyConsistent)
    }
    if !spin(until: hasCome) {
      locked {
        sleepers.add(1, ordering: .sequentiallyConsistent)
        while !hasCome() { pthread_cond_wait(wake, mutex) }
        sleepers.subtract(1, ordering: .sequentiallyConsistent)
      }
    }
    return !stopping.load(ordering: .sequentiallyConsistent)
  }

  private func awaitMembers() {
    func haveLeft() -> Bool { Gate.members(gate.load(ordering: .sequentiallyConsistent)) == 0 }
    if spin(until: haveLeft) { return }
    locked {
      callerSleeps.store(true, ordering: .sequentiallyConsistent)
      while !haveLeft() { pthread_cond_wait(left, mutex) }
      callerSleeps.store(false, ordering: .sequentiallyConsistent)
    }
  }

  @inline(__always)
  private func spin(until condition: () -> Bool) -> Bool {
    for _ in 0..<PoolState.spins {
      if condition() { return true }
      glta_pause()
    }
    return false
  }

  private func locked(_ body: () -> Void) {
    pthread_mutex_lock(mutex)
    body()
    pthread_mutex_unlock(mutex)
  }

  private func share(as worker: Int, body: UnsafePointer<Body>, count: Int) {
    PoolState.enterLoop(as: worker)
    defer { PoolState.leaveLoop() }
    while true {
      let index = next.add(1, ordering: .relaxed).oldValue
      guard index < count else { return }
      body.pointee(index, worker)
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
