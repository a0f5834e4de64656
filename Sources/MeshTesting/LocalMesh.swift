public import GLTP
public import Logging
public import Mesh
import Synchronization

/// A whole mesh in this process, on loopback sockets and free ports: gateways, workers and a client.
///
/// For integration tests of what you build on a mesh. Stages are yours, or `FakeStages`:
/// ```swift
/// import MeshTesting
/// import Testing
///
/// @Test func losesNoRequestWithARanker() async throws {
///   let stages = FakeStages()
///   try await LocalMesh.run(stages.encoder, stages.aligner) { mesh in
///     let first = try await mesh.addWorker(stages.ranker)
///     try await mesh.addWorker(stages.ranker)
///     try await mesh.waitUntilReady()
///
///     let query = RankingQuery(user: "u7", count: 10)
///     async let ranking = mesh.client.ranking(query)
///     await mesh.kill(first)
///     #expect(try await ranking.ids == stages.ranking(for: query).ids)
///
///     for try await update in mesh.client.rank(query) where update.isFinal {
///       #expect(update.ranking.itemsSeen == 100)
///     }
///   }
/// }
/// ```
/// Each part has the threads and sockets that it has in a process of its own. What needs a process that dies, such as
/// `kill -9`, needs real processes.
public final class LocalMesh: Sendable {
  /// A worker of the mesh.
  public struct WorkerID: Sendable, Hashable, CustomStringConvertible {
    fileprivate let number: Int
    /// The worker's name in reports.
    public var description: String { "worker \(number)" }
  }

  /// How fast a mesh notices what is wrong: faster than in production, so that tests need not wait.
  public struct Configuration: Sendable {
    /// Gateways; clients and workers know all of them.
    public var gateways = 1
    /// How long a peer is quiet before it pings.
    public var heartbeat = Duration.milliseconds(250)
    /// How long a peer may be silent.
    public var expiry = Duration.seconds(2)
    /// Longest wait for anything that the mesh itself waits for: workers to be ready, threads to end.
    public var patience = Duration.seconds(20)
    /// Where gateways and workers log; nowhere by default.
    public var logger = Logger(label: "glta.local-mesh") { _ in SwiftLogNoOpLogHandler() }

    /// One gateway and the defaults above.
    public init() {}
  }

  private struct WorkerHandle: Sendable {
    var isReady: @Sendable (_ sessions: Int) -> Bool
    var kill: @Sendable () async -> Void
    var drain: @Sendable (Duration) async -> Void
    var stop: @Sendable () async -> Void
    var exitReason: @Sendable () -> WorkerExit?
  }

  private struct Parts {
    var gateways: [Gateway?] = []
    var clientEndpoints: [Endpoint] = []
    var workerEndpoints: [Endpoint] = []
    var workers: [Int: WorkerHandle] = [:]
    var nextWorker = 1
    var client: MeshClient?
    var isStopped = false
  }

  /// As given to `init`.
  public let configuration: Configuration
  private let parts = Mutex(Parts())

  /// Starts nothing.
  public init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

  // MARK: Start and stop

  /// Starts gateways and workers, one for each handler, and returns once rankings can be asked for, if there is a handler
  /// for each stage.
  ///
  /// - Throws: `MeshError` where the machine has no ports, threads or sockets left, or is too slow for `patience`.
  public static func start<each Handler: StageHandler>(
    _ handlers: repeat each Handler, configuration: Configuration = Configuration()
  ) async throws(MeshError) -> LocalMesh {
    let mesh = LocalMesh(configuration)
    do throws(MeshError) {
      try await mesh.start()
      var stages: Set<Stage> = []
      for handler in repeat each handlers {
        stages.insert(handler.stage)
        try await mesh.addWorker(handler)
      }
      if stages.isSuperset(of: [.encoder, .aligner, .ranker]) { try await mesh.waitUntilReady() }
    } catch {
      await mesh.stop()
      throw error
    }
    return mesh
  }

  /// Gives `body` a mesh and stops it afterwards, whatever happens.
  ///
  /// - Throws: what `start` and `body` throw.
  public static func run<each Handler: StageHandler, Value>(
    _ handlers: repeat each Handler, configuration: Configuration = Configuration(),
    body: (LocalMesh) async throws -> Value
  ) async throws -> Value {
    let mesh = try await start(repeat each handlers, configuration: configuration)
    do {
      let value = try await body(mesh)
      await mesh.stop()
      return value
    } catch {
      await mesh.stop()
      throw error
    }
  }

  /// Starts the gateways. Workers come by `addWorker`.
  ///
  /// - Throws: `MeshError`.
  public func start() async throws(MeshError) {
    let loopback = Endpoint(tcp: "127.0.0.1", port: 0)
    for index in 0..<max(1, configuration.gateways) {
      let gateway = makeGateway(index, clients: loopback, workers: loopback)
      try gateway.start()
      guard let clients = gateway.clientEndpoint, let workers = gateway.workerEndpoint else {
        throw MeshError(.closed, "the mesh was stopped while it started")
      }
      parts.withLock { parts in
        parts.gateways.append(gateway)
        parts.clientEndpoints.append(clients)
        parts.workerEndpoints.append(workers)
      }
    }
    let client = makeClient()
    parts.withLock { $0.client = client }
  }

  private func makeGateway(_ index: Int, clients: Endpoint, workers: Endpoint) -> Gateway {
    var gateway = Gateway.Configuration(clientEndpoint: clients, workerEndpoint: workers)
    gateway.name = "gateway \(index)"
    gateway.rules.heartbeat = MonotonicDuration(configuration.heartbeat)
    gateway.rules.expiry = MonotonicDuration(configuration.expiry)
    return Gateway(gateway, logger: configuration.logger)
  }

  /// Stops client, workers and gateways. Whatever is under way fails.
  public func stop() async {
    let (client, workers, gateways) = parts.withLock { parts in
      defer {
        parts.isStopped = true
        parts.workers = [:]
        parts.gateways = parts.gateways.map { _ in nil }
      }
      return (parts.client, Array(parts.workers.values), parts.gateways.compactMap { $0 })
    }
    await client?.close()
    await withTaskGroup(of: Void.self) { group in
      for worker in workers { group.addTask { await worker.stop() } }
    }
    await withTaskGroup(of: Void.self) { group in
      for gateway in gateways { group.addTask { await gateway.stop(linger: .zero) } }
    }
  }

  // MARK: Asking

  /// A client of all gateways, ready once the mesh has started.
  public var client: MeshClient {
    guard let client = parts.withLock({ $0.client }) else { return makeClient() }
    return client
  }

  /// Another client of all gateways. Close it yourself.
  public func makeClient(_ change: (inout MeshClient.Configuration) -> Void = { _ in }) -> MeshClient {
    var configuration = MeshClient.Configuration()
    change(&configuration)
    return MeshClient(gateways: clientEndpoints, configuration: configuration, logger: self.configuration.logger)
  }

  /// Where clients reach the gateways.
  public var clientEndpoints: [Endpoint] { parts.withLock { $0.clientEndpoints } }
  /// Where workers reach the gateways.
  public var workerEndpoints: [Endpoint] { parts.withLock { $0.workerEndpoints } }
  /// The gateways that run.
  public var gateways: [Gateway] { parts.withLock { $0.gateways.compactMap { $0 } } }

  /// Waits until each gateway that runs has a worker for each stage.
  ///
  /// - Throws: `MeshError.unreachable` where that takes longer than `patience`.
  public func waitUntilReady() async throws(MeshError) {
    try await wait("each stage has a worker") {
      for gateway in gateways {
        guard await gateway.status()?.isReady ?? false else { return false }
      }
      return true
    }
  }

  private func wait(_ what: String, until condition: () async -> Bool) async throws(MeshError) {
    let end = ContinuousClock.now + configuration.patience
    while await !condition() {
      guard ContinuousClock.now < end, !parts.withLock({ $0.isStopped }) else {
        throw MeshError(
          .unreachable, "the local mesh did not get so far that \(what), within \(configuration.patience)")
      }
      do { try await Task.sleep(for: .milliseconds(2)) } catch {
        throw MeshError(.cancelled, "cancelled while waiting")
      }
    }
  }

  // MARK: Workers

  /// Adds a worker that works for all gateways, and returns once it has a session with each that runs.
  ///
  /// - Parameter change: changes the worker's configuration before it starts.
  /// - Throws: `MeshError`.
  @discardableResult
  public func addWorker(
    _ handler: some StageHandler, slots: Int = 1, _ change: (inout MeshWorkerConfiguration) -> Void = { _ in }
  ) async throws(MeshError) -> WorkerID {
    let id = parts.withLock { parts in
      defer { parts.nextWorker += 1 }
      return WorkerID(number: parts.nextWorker)
    }
    var configuration = MeshWorkerConfiguration(gateways: workerEndpoints)
    configuration.slots = slots
    configuration.name = id.description
    change(&configuration)
    let worker = Worker(handler: handler, configuration: configuration, logger: self.configuration.logger)
    try worker.start()
    let handle = WorkerHandle(
      isReady: { worker.isReady && worker.sessions >= $0 }, kill: { await worker.vanish() },
      drain: { await worker.drain(deadline: $0) }, stop: { await worker.stop() },
      exitReason: { worker.exitReason })
    parts.withLock { $0.workers[id.number] = handle }
    let sessions = gateways.count
    try await wait("\(id) has its sessions") { handle.isReady(sessions) }
    return id
  }

  /// Drops a worker's sockets without a goodbye, as a process does that dies; its runs are computed elsewhere.
  public func kill(_ worker: WorkerID) async { await take(worker)?.kill() }

  /// Lets a worker finish what it has, say goodbye and stop.
  public func drain(_ worker: WorkerID, deadline: Duration = .seconds(10)) async { await take(worker)?.drain(deadline) }

  /// Why a worker has left by itself; nil while it works.
  public func exitReason(of worker: WorkerID) -> WorkerExit? {
    parts.withLock { $0.workers[worker.number] }?.exitReason()
  }

  private func take(_ worker: WorkerID) -> WorkerHandle? {
    parts.withLock { $0.workers.removeValue(forKey: worker.number) }
  }

  // MARK: Gateways

  /// Drops a gateway's sockets without a goodbye.
  ///
  /// - Parameter index: from zero, in the order of `clientEndpoints`.
  public func killGateway(_ index: Int) async {
    let gateway = parts.withLock { parts in
      guard parts.gateways.indices.contains(index) else { return nil as Gateway? }
      defer { parts.gateways[index] = nil }
      return parts.gateways[index]
    }
    await gateway?.stop(linger: .zero)
  }

  /// Starts a gateway that was killed again, at its old addresses.
  ///
  /// - Throws: `MeshError`.
  public func restartGateway(_ index: Int) async throws(MeshError) {
    let old = parts.withLock { parts -> (Endpoint, Endpoint)? in
      guard parts.gateways.indices.contains(index), parts.gateways[index] == nil, !parts.isStopped else { return nil }
      return (parts.clientEndpoints[index], parts.workerEndpoints[index])
    }
    guard let old else { throw MeshError(.invalidArgument, "gateway \(index) has not been killed") }
    let gateway = makeGateway(index, clients: old.0, workers: old.1)
    try gateway.start()
    parts.withLock { $0.gateways[index] = gateway }
  }
}
