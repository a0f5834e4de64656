import Foundation
public import GLTP
public import Mesh
import Synchronization

/// A mesh of real processes on loopback, each of which a test can kill, stop and wake.
///
/// For what `LocalMesh` cannot show: `kill -9`, a stopped process, memory, executables as they are shipped. SwiftPM does
/// not build a dependency's executables, so say where they are:
/// ```swift
/// let mesh = try await ProcessMesh.start(
///   .init(executables: "/opt/glta/bin", bundle: "bundle", rankers: 2))
/// async let ranking = mesh.client.ranking(RankingQuery(user: "42", count: 10))
/// try mesh.signal("ranker-0", SIGKILL)
/// #expect(try await ranking.ids.count == 10)
/// await mesh.stop()
/// ```
/// Processes are named after what they are: gateway-0, encoder-0, aligner-0, ranker-0, ranker-1. They end with the mesh,
/// and with this process, however that ends.
public final class ProcessMesh: Sendable {
  /// What runs.
  public struct Configuration: Sendable {
    /// The folder with `glta-gateway`, `glta-graph-encoder`, `glta-token-aligner` and `glta-logits-ranker`.
    public var executables: String
    /// The bundle to serve.
    public var bundle: String
    /// Gateways; workers and clients know all of them.
    public var gateways: Int
    /// Graph encoders.
    public var encoders = 1
    /// Token aligners.
    public var aligners = 1
    /// Logits rankers.
    public var rankers: Int
    /// A folder of CURVE keys for everybody; see `KeyFolder`.
    public var keys: String?
    /// Gateways on addresses of their own, 127.0.0.1, 127.0.0.2 and so on, and the same ports: as behind one name.
    public var spreadsAddresses = false
    /// More arguments for gateways.
    public var gatewayArguments: [String]
    /// More arguments for workers.
    public var workerArguments: [String] = []
    /// Longest wait for the mesh to be ready.
    public var patience = Duration.seconds(30)

    /// One worker of each stage behind one gateway, unless told otherwise.
    public init(
      executables: String, bundle: String, gateways: Int = 1, rankers: Int = 1, keys: String? = nil,
      gatewayArguments: [String] = []
    ) {
      self.executables = executables
      self.bundle = bundle
      self.gateways = gateways
      self.rankers = rankers
      self.keys = keys
      self.gatewayArguments = gatewayArguments
    }
  }

  private struct State {
    var port = 0
    var processes: [String: Process] = [:]
    var client: MeshClient?
  }

  /// As given to `start`.
  public let configuration: Configuration
  private let folder: String
  private let state = Mutex(State())

  private init(_ configuration: Configuration) throws(MeshError) {
    self.configuration = configuration
    folder = NSTemporaryDirectory() + "glta-mesh-" + UUID().uuidString
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch { throw MeshError(.inputOutput, "cannot make \(folder): \(error)") }
  }

  deinit {
    for process in state.withLock({ $0.processes }).values where process.isRunning {
      kill(process.processIdentifier, SIGKILL)
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  // MARK: Start and stop

  /// Starts the processes and returns once rankings can be asked for.
  ///
  /// - Throws: `MeshError.inputOutput` where an executable is missing, `.unreachable` with what the processes logged where
  ///   the mesh does not get ready.
  public static func start(_ configuration: Configuration) async throws(MeshError) -> ProcessMesh {
    let mesh = try ProcessMesh(configuration)
    do throws(MeshError) {
      try await mesh.startGateways()
      try mesh.openClient()
      for (stage, count) in [
        (Stage.encoder, configuration.encoders), (.aligner, configuration.aligners), (.ranker, configuration.rankers),
      ] {
        for index in 0..<count { try mesh.start(stage, named: "\(stage)-\(index)") }
      }
      try await mesh.waitUntilReady()
    } catch {
      await mesh.stop()
      throw error
    }
    return mesh
  }

  /// Kills all processes, and closes the client.
  public func stop() async {
    await state.withLock { $0.client }?.close()
    for process in state.withLock({ $0.processes }).values where process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
  }

  /// Free ports can be taken by others before a gateway listens: then it tries other ones.
  private func startGateways() async throws(MeshError) {
    for _ in 0..<5 {
      guard let port = FreePorts.first(of: 10 * configuration.gateways) else { break }
      state.withLock { $0.port = port }
      for index in 0..<configuration.gateways { try startGateway(index) }
      if try await gatewaysListen() { return }
      for index in 0..<configuration.gateways { signalIfRunning("gateway-\(index)", SIGKILL) }
    }
    throw MeshError(.endpointUnavailable, "no gateway could listen:\n\(logs)")
  }

  private func gatewaysListen() async throws(MeshError) -> Bool {
    let end = ContinuousClock.now + configuration.patience
    for index in 0..<configuration.gateways {
      while !(isListening(clientEndpoint(index)) && isListening(workerEndpoint(index))) {
        guard exitStatus(of: "gateway-\(index)") == nil else { return false }
        guard ContinuousClock.now < end else { return false }
        try await pause()
      }
    }
    return exitedGateways.isEmpty
  }

  private func isListening(_ endpoint: Endpoint) -> Bool { FreePorts.isTaken(endpoint.port, of: endpoint.host) }

  private var exitedGateways: [Int] {
    (0..<configuration.gateways).filter { exitStatus(of: "gateway-\($0)") != nil }
  }

  /// Starts a gateway, again after it has ended, at its own addresses.
  ///
  /// - Throws: `MeshError.inputOutput`.
  public func startGateway(_ index: Int) throws(MeshError) {
    try launch(
      "glta-gateway", named: "gateway-\(index)",
      ["--clients", "\(clientEndpoint(index))", "--workers", "\(workerEndpoint(index))"]
        + configuration.gatewayArguments)
  }

  /// Starts one more worker.
  ///
  /// - Parameters:
  ///   - bundle: another one than the mesh's.
  ///   - gateways: other addresses of gateways than all of the mesh's.
  /// - Throws: `MeshError.inputOutput`.
  public func start(
    _ stage: Stage, named name: String, bundle: String? = nil, gateways: [Endpoint]? = nil
  ) throws(MeshError) {
    let program: String
    switch stage {
    case .encoder: program = "glta-graph-encoder"
    case .aligner: program = "glta-token-aligner"
    case .ranker: program = "glta-logits-ranker"
    default: throw MeshError(.invalidArgument, "\(stage) is no stage of a worker")
    }
    let dialled = gateways ?? (0..<configuration.gateways).map(workerEndpoint)
    try launch(
      program, named: name,
      ["--bundle", bundle ?? configuration.bundle] + dialled.flatMap { ["--gateway", "\($0)"] }
        + configuration.workerArguments)
  }

  private func launch(_ program: String, named name: String, _ arguments: [String]) throws(MeshError) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: configuration.executables + "/" + program)
    process.arguments =
      arguments + ["--name", name, "--log-level", "error"] + (configuration.keys.map { ["--keys", $0] } ?? [])
    let log = logPath(name)
    if !FileManager.default.fileExists(atPath: log) { _ = FileManager.default.createFile(atPath: log, contents: nil) }
    let output = FileHandle(forWritingAtPath: log)
    _ = try? output?.seekToEnd()
    process.standardError = output
    process.standardOutput = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    // What the services watch, so as not to outlive whoever started them.
    process.environment = ProcessInfo.processInfo.environment.merging(["GLTA_SUPERVISOR_PID": "\(getpid())"]) { $1 }
    do { try process.run() } catch {
      throw MeshError(
        .inputOutput, "cannot start \(program): \(error)", hint: "is it in \(configuration.executables)?")
    }
    state.withLock { $0.processes[name] = process }
  }

  // MARK: Asking

  private func endpoint(_ gateway: Int, _ offset: Int) -> Endpoint {
    let port = state.withLock { $0.port } + offset
    return configuration.spreadsAddresses
      ? Endpoint(tcp: "127.0.0.\(1 + gateway)", port: port) : Endpoint(tcp: "127.0.0.1", port: port + 10 * gateway)
  }

  /// Where clients reach a gateway.
  public func clientEndpoint(_ gateway: Int = 0) -> Endpoint { endpoint(gateway, 0) }
  /// Where workers reach a gateway.
  public func workerEndpoint(_ gateway: Int = 0) -> Endpoint { endpoint(gateway, 1) }

  private func openClient() throws(MeshError) {
    let client = try makeClient()
    state.withLock { $0.client = client }
  }

  /// Another client of all gateways. Close it yourself.
  ///
  /// - Throws: what reading keys throws.
  public func makeClient(
    _ change: (inout MeshClient.Configuration) -> Void = { _ in }
  ) throws(MeshError) -> MeshClient {
    var client = MeshClient.Configuration()
    change(&client)
    let security = try configuration.keys.map { keys throws(MeshError) in
      try KeyFolder(path: keys).linkSecurity(of: .client)
    }
    return MeshClient(
      gateways: (0..<configuration.gateways).map { clientEndpoint($0) }, security: security ?? .open,
      configuration: client)
  }

  /// A client of all gateways, open once the mesh has started.
  public var client: MeshClient { state.withLock { $0.client } ?? MeshClient(gateways: []) }

  /// A gateway's report.
  ///
  /// - Throws: `MeshError` where it does not answer.
  public func report(of gateway: Int = 0) async throws(MeshError) -> MeshReport {
    let bytes = try await client.status(of: clientEndpoint(gateway), deadline: .seconds(2))
    do { return try JSONDecoder().decode(MeshReport.self, from: Data(bytes)) } catch {
      throw MeshError(.lost, "a report that cannot be read: \(error)")
    }
  }

  /// Waits until every gateway that runs has so many workers of a bundle, or as many as the mesh was started with.
  ///
  /// - Throws: `MeshError.unreachable` with what the processes logged.
  public func waitUntilReady(
    encoders: Int? = nil, aligners: Int? = nil, rankers: Int? = nil
  ) async throws(MeshError) {
    let wanted = [
      ("encoder", encoders ?? configuration.encoders), ("aligner", aligners ?? configuration.aligners),
      ("ranker", rankers ?? configuration.rankers),
    ]
    let end = ContinuousClock.now + configuration.patience
    for gateway in 0..<configuration.gateways where exitStatus(of: "gateway-\(gateway)") == nil {
      while !(await has(wanted, gateway)) {
        guard ContinuousClock.now < end else {
          throw MeshError(.unreachable, "the mesh was not ready within \(configuration.patience):\n\(logs)")
        }
        try await pause()
      }
    }
  }

  private func has(_ wanted: [(String, Int)], _ gateway: Int) async -> Bool {
    guard let report = try? await report(of: gateway) else { return false }
    return report.bundle != nil
      && wanted.allSatisfy { role, count in
        report.sessions.count { $0.role == role && !$0.isDraining } >= count
      }
  }

  private func pause() async throws(MeshError) {
    do { try await Task.sleep(for: .milliseconds(10)) } catch {
      throw MeshError(.cancelled, "cancelled while waiting for the mesh")
    }
  }

  // MARK: Processes

  /// Sends a signal to a process of the mesh.
  ///
  /// - Throws: `MeshError.invalidArgument` for a name that is not known.
  public func signal(_ name: String, _ number: Int32) throws(MeshError) {
    kill(try pid(of: name), number)
  }

  private func signalIfRunning(_ name: String, _ number: Int32) {
    guard let process = state.withLock({ $0.processes[name] }), process.isRunning else { return }
    kill(process.processIdentifier, number)
    process.waitUntilExit()
  }

  /// A process's id.
  ///
  /// - Throws: `MeshError.invalidArgument` for a name that is not known.
  public func pid(of name: String) throws(MeshError) -> Int32 {
    guard let process = state.withLock({ $0.processes[name] }) else {
      throw MeshError(.invalidArgument, "the mesh has no \(name)")
    }
    return process.processIdentifier
  }

  /// The exit status of a process, or the signal that ended it as a negative number; nil while it runs.
  public func exitStatus(of name: String) -> Int32? {
    guard let process = state.withLock({ $0.processes[name] }), !process.isRunning else { return nil }
    return process.terminationReason == .uncaughtSignal ? -process.terminationStatus : process.terminationStatus
  }

  /// What a process has logged.
  public func log(_ name: String) -> String { (try? String(contentsOfFile: logPath(name), encoding: .utf8)) ?? "" }

  private func logPath(_ name: String) -> String { folder + "/" + name + ".log" }

  private var logs: String {
    state.withLock { $0.processes.keys.sorted() }.map { "\($0): \(log($0))" }.joined(separator: "\n")
  }
}
