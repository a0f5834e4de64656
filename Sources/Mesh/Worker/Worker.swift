public import GLTP
public import Logging
import Synchronization

/// A worker: computes the runs of one stage for all gateways that it is told of.
///
/// One I/O thread owns the sockets and answers heartbeats whatever is computed; each slot has a compute thread of its own,
/// which takes a run as soon as it is idle. Nothing here blocks Swift's cooperative pool.
///
/// ```swift
/// let worker = Worker(handler: ranker, configuration: configuration, logger: logger)
/// try worker.start()
/// let exit = await worker.waitForExit()   // or, on SIGTERM:
/// await worker.drain(deadline: .seconds(30))
/// ```
public final class Worker<Handler: StageHandler>: Sendable {
  /// Where a worker is in its life. It is used once.
  public enum State: Sendable, Hashable {
    /// Made, and nothing opened yet.
    case created
    /// `start` has opened its sockets and threads.
    case running
    /// It has left, and cannot be started again.
    case stopped
  }

  private struct Parts {
    var state = State.created
    var thread: IOThread?
    var core: WorkerCore?
    var compute: ComputeThreads?
  }

  /// As given to `init`.
  public let configuration: MeshWorkerConfiguration
  private let handler: Handler
  private let logger: Logger
  private let status = WorkerStatus()
  private let queue = RunQueue()
  private let parts = Mutex(Parts())
  private let stopped = Latch<Void>()

  /// Opens nothing and starts nothing.
  public init(
    handler: Handler, configuration: MeshWorkerConfiguration, logger: Logger = Logger(label: "glta.worker")
  ) {
    self.handler = handler
    self.configuration = configuration
    var logger = logger
    logger[metadataKey: "worker"] = "\(configuration.name)"
    self.logger = logger
  }

  deinit {
    queue.stop()
    if let core = parts.withLock({ $0.core }) { parts.withLock { $0.thread }?.loop.execute { core.close() } }
  }

  // MARK: State

  /// Where the worker is in its life.
  public var state: State { parts.withLock { $0.state } }
  /// Whether a gateway can give it runs: it has a session, and neither leaves nor is stuck.
  public var isReady: Bool { status.isReady.load(ordering: .relaxed) }
  /// Open sessions.
  public var sessions: Int { status.sessions.load(ordering: .relaxed) }
  /// Why the worker has left, once it has: drained, or stuck, which only a restart of the process helps.
  public var exitReason: WorkerExit? { status.exit.value }
  /// How long ago the I/O thread last showed life, for liveness probes: more than a few seconds means that it hangs. Nil
  /// before `start`.
  public var quietTime: Duration? {
    parts.withLock { $0.thread }.map { $0.loop.lastTurn.duration(to: .now) }
  }

  // MARK: Life

  /// Starts the threads and dials the gateways; returns at once. Gateways that do not answer are dialled again and again.
  ///
  /// - Throws: `MeshError.invalidArgument` for a configuration that cannot work, `.insecure` for an address beyond this
  ///   machine without keys, `.inputOutput` if the system refuses threads or sockets, `.closed` for a worker that has been
  ///   started before.
  public func start() throws(MeshError) {
    try configuration.check()
    guard let role = handler.stage.role else {
      throw MeshError(.invalidArgument, "a handler for no stage; expected encoder, aligner or ranker")
    }
    let isFirst = parts.withLock { parts in
      defer { parts.state = .running }
      return parts.state == .created
    }
    guard isFirst else { throw MeshError(.closed, "a worker is started once; make another one") }
    do throws(MeshError) {
      try open(role)
    } catch {
      let thread = parts.withLock { parts in
        parts.state = .stopped
        return parts.thread
      }
      queue.stop()
      _ = thread?.stopAndWait(deadline: .seconds(1))
      stopped.open(())
      throw error
    }
  }

  private func open(_ role: Role) throws(MeshError) {
    let thread = try IOThread(buffers: configuration.buffers)
    parts.withLock { $0.thread = thread }
    let loop = thread.loop
    var random = SystemRandomNumberGenerator()
    let machine = WorkerConfiguration(
      role: role, bundles: [handler.bundle], slots: configuration.slots, inputRoom: UInt32(configuration.inputRoom),
      stuckLimit: MonotonicDuration(configuration.stuckLimit), stuckGrace: MonotonicDuration(configuration.stuckGrace),
      peerID: WireText(configuration.name), bootID: BootID(high: random.next(), low: random.next()),
      build: WireText(configuration.build))
    let core = WorkerCore(
      machine, configuration: configuration, loop: loop, queue: queue, status: status, logger: logger)
    let reports = loop.makeInbox(of: ComputeReport.self) { [weak core] in core?.take($0) }
    let (handler, queue) = (handler, queue)
    let compute = try ComputeThreads(configuration.slots, name: "glta-compute") {
      var scratch = handler.makeScratch()
      let exchange = RunExchange(buffers: loop.buffers, messages: loop.messages, reports: reports)
      while let run = queue.next() {
        exchange.begin(run)
        var failure: StageFailure?
        do throws(StageFailure) {
          try handler.run(exchange, scratch: &scratch)
        } catch { failure = error }
        exchange.conclude(failure)
      }
    }
    parts.withLock { parts in
      parts.core = core
      parts.compute = compute
    }
    let opened = loop.wait { Result { () throws(MeshError) in try core.open() } }
    guard let opened else { throw MeshError(.closed, "the I/O thread has ended") }
    try opened.get()
  }

  /// Waits until the worker leaves: because it was drained or stopped, or because computation is stuck.
  ///
  /// - Returns: nil where the task was cancelled before.
  public func waitForExit() async -> WorkerExit? { await status.exit.wait() }

  /// Takes no more runs, finishes those it has, says goodbye, and stops.
  ///
  /// - Parameter deadline: when to give up what is not finished; gateways run it elsewhere.
  /// - Returns: why it left; nil for a worker that was never started.
  @discardableResult
  public func drain(deadline: Duration) async -> WorkerExit? {
    await leave(within: deadline)
    return exitReason
  }

  /// Gives up what runs, says goodbye, and stops.
  public func stop() async { await leave(within: .zero) }

  private func leave(within limit: Duration) async {
    let (state, thread, core) = parts.withLock { parts in
      if parts.state == .created { parts.state = .stopped }
      return (parts.state, parts.thread, parts.core)
    }
    guard state == .running, let thread, let core else { return }
    thread.loop.execute { core.drain(limit) }
    // Not bound to the caller's task: one that is cancelled must not leave threads behind.
    await Task { _ = await status.exit.wait(for: limit + .seconds(2)) }.value
    await close(thread, linger: .milliseconds(250)) { core.close() }
  }

  /// Ends as a killed process does: sockets close without a word.
  package func vanish() async {
    let (thread, core) = parts.withLock { ($0.thread, $0.core) }
    guard let thread, let core else { return }
    await close(thread, linger: .zero) { core.vanish() }
  }

  private func close(_ thread: IOThread, linger: Duration, _ body: @escaping @Sendable () -> Void) async {
    let compute: ComputeThreads? = parts.withLock { parts in
      guard parts.state == .running else { return nil }
      parts.state = .stopped
      return parts.compute
    }
    guard let compute else {
      await Task { _ = await stopped.wait(for: .seconds(10)) }.value
      return
    }
    thread.loop.execute(body)
    queue.stop()
    let hasEnded = await Task { await compute.waitForEnd(.seconds(2)) }.value
    if !hasEnded { logger.error("a compute thread does not return; it ends with the process") }
    if await !thread.stop(linger: linger) { logger.error("the I/O thread does not end; it ends with the process") }
    status.isReady.store(false, ordering: .relaxed)
    status.sessions.store(0, ordering: .relaxed)
    status.exit.open(.drainLimit(unfinished: 0))
    stopped.open(())
  }
}
