public import GLTP
public import Logging
import Synchronization

/// A gateway: accepts clients and workers, and owns a request from its arrival to its END (gltp-1.md).
///
/// ```swift
/// let gateway = Gateway(configuration, logger: logger)
/// try gateway.start()
/// ...
/// _ = await gateway.drain(deadline: .seconds(30))
/// await gateway.stop()
/// ```
/// It computes nothing and waits for nobody: one thread of its own moves messages and decides. A gateway is started once.
public final class Gateway: Sendable {
  /// What a gateway knows of itself at one moment.
  public struct Status: Sendable {
    /// Sessions, queues and counters.
    public var report: GatewayReport
    /// How much is remembered.
    public var footprint: GatewayFootprint
    /// Bytes of messages received and sent, without what the transport adds.
    public var bytesIn: UInt64
    /// Bytes of messages sent, without what the transport adds.
    public var bytesOut: UInt64
    /// The memory that decoded and encoded messages take.
    public var memory: BufferPool.Statistics
    /// The REPORT of gltp-1.md 5.6 in UTF-8.
    public var json: [UInt8]

    /// Whether requests can be served: each stage has a worker of the current bundle, and the gateway does not drain.
    public var isReady: Bool {
      guard let bundle = report.bundle, !report.isDraining else { return false }
      return [Role.encoder, .aligner, .ranker].allSatisfy { role in
        report.sessions.contains { $0.role == role && !$0.isDraining && $0.bundles.contains(bundle) }
      }
    }
  }

  private enum State {
    case new
    case running(IOThread, GatewayCore, client: Endpoint, worker: Endpoint)
    case stopped
  }

  /// As given to `init`.
  public let configuration: Configuration
  private let logger: Logger
  private let state = Mutex(State.new)
  private let drained = Latch<Bool>()

  /// Makes a gateway that does nothing yet.
  public init(_ configuration: Configuration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
  }

  /// Starts the thread and opens both endpoints. Returns once peers can connect; takes milliseconds.
  ///
  /// - Throws: `MeshError.insecure` for an address beyond this machine without keys, `.endpointUnavailable` for one that
  ///   is taken, `.invalidFile` or `.inputOutput` for an allow-list that cannot be used, `.invalidArgument` for a
  ///   configuration that cannot work, `.closed` for a gateway that has been started before.
  public func start() throws(MeshError) {
    try configuration.validate()
    try state.withLock { state throws(MeshError) in
      guard case .new = state else {
        throw MeshError(.closed, "a gateway is started once", hint: "make another Gateway")
      }
      let thread = try IOThread(buffers: BufferPool(budget: configuration.decodingBudget))
      let loop = thread.loop
      let (configuration, logger, drained) = (configuration, logger, drained)
      let result = loop.wait { () -> Result<(GatewayCore, Endpoint, Endpoint), MeshError> in
        Result { () throws(MeshError) in
          let core = try GatewayCore(configuration, loop: loop, logger: logger, drained: drained)
          return (core, core.clientEndpoint, core.workerEndpoint)
        }
      }
      guard let result else { throw MeshError(.closed, "the gateway's thread has ended") }
      let (core, client, worker) = try result.get()
      state = .running(thread, core, client: client, worker: worker)
    }
  }

  /// Where clients connect, with the port that the system chose; nil unless the gateway runs.
  public var clientEndpoint: Endpoint? {
    state.withLock { if case .running(_, _, let endpoint, _) = $0 { endpoint } else { nil } }
  }

  /// Where workers connect, with the port that the system chose; nil unless the gateway runs.
  public var workerEndpoint: Endpoint? {
    state.withLock { if case .running(_, _, _, let endpoint) = $0 { endpoint } else { nil } }
  }

  /// Whether the gateway runs and its thread has taken a turn within the last seconds: for liveness probes.
  public var isAlive: Bool {
    guard let (thread, _) = running else { return false }
    return thread.loop.lastTurn.duration(to: .now) < .seconds(10)
  }

  /// What the gateway knows of itself; nil unless it runs.
  public func status() async -> Status? {
    guard let (thread, core) = running else { return nil }
    return await thread.loop.ask { core.status }
  }

  /// Tells all peers to go elsewhere, refuses new requests with DRAINING, and waits until those in flight are over.
  ///
  /// - Returns: whether all are over. False after `deadline`, when the task is cancelled, or where the gateway does not
  ///   run; it goes on draining then. Call ``stop(linger:)`` in any case.
  public func drain(deadline: Duration) async -> Bool {
    guard let (thread, core) = running else { return false }
    thread.loop.execute { core.drain() }
    return await drained.wait(for: deadline) ?? false
  }

  /// Closes all sockets and ends the thread. Requests that are in flight are lost; see ``drain(deadline:)``.
  ///
  /// - Parameter linger: how long what has been sent may still be written to peers.
  /// - Returns: whether everything has ended in time.
  @discardableResult
  public func stop(linger: Duration = .seconds(1)) async -> Bool {
    let before = state.withLock { state in
      defer { state = .stopped }
      return state
    }
    guard case .running(let thread, let core, _, _) = before else { return true }
    let isOver = await thread.stop(linger: linger)
    withExtendedLifetime(core) {}
    return isOver
  }

  private var running: (IOThread, GatewayCore)? {
    state.withLock { if case .running(let thread, let core, _, _) = $0 { (thread, core) } else { nil } }
  }
}
