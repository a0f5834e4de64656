import Foundation
import Synchronization
import TestSupport
import Testing

/// A mesh of real processes on loopback, each of which a test can kill, stop and wake.
final class ProcessMesh {
  /// A bundle whose logits have weight, trained once.
  struct World: Sendable {
    private static let shared = Result { try World() }
    static func get() throws -> World { try shared.get() }

    let bundle: String
    let other: String

    private init() throws {
      let world = try SmallWorld.get()
      (bundle, other) = (world.folder.path + "/mesh-bundle", world.folder.path + "/mesh-bundle-2")
      _ = try SmallWorld.train(data: world.data, out: bundle, ["--recipe", "paper"])
      _ = try SmallWorld.train(data: world.data, out: other, ["--recipe", "paper", "--seed", "2"])
    }
  }

  private static let nextPort = Atomic<Int>(21_000 + Int(getpid()) % 1_000 * 30)

  let folder: TemporaryFolder
  let keys: String?
  private let port: Int
  private(set) var processes: [String: Process] = [:]
  private let gatewayCount: Int

  /// Starts `gateways` gateways and one worker of each stage, or as many rankers as asked for.
  init(gateways: Int = 1, rankers: Int = 1, keys: String? = nil, bundle: String? = nil) throws {
    folder = try TemporaryFolder()
    self.keys = keys
    gatewayCount = gateways
    port = ProcessMesh.nextPort.add(30, ordering: .relaxed).oldValue % 30_000 + 21_000
    for index in 0..<gateways { try startGateway(index) }
    try start("encoder", bundle: bundle)
    try start("aligner", bundle: bundle)
    for index in 0..<rankers { try start("ranker", named: "ranker-\(index)", bundle: bundle) }
    try waitUntilReady(rankers: rankers)
  }

  deinit {
    for process in processes.values where process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  func clientEndpoint(_ gateway: Int = 0) -> String { "tcp://127.0.0.1:\(port + 10 * gateway)" }
  private func workerEndpoint(_ gateway: Int) -> String { "tcp://127.0.0.1:\(port + 10 * gateway + 1)" }

  /// What the tool needs to reach the mesh.
  var clientArguments: [String] {
    (0..<gatewayCount).flatMap { ["--gateway", clientEndpoint($0)] } + (keys.map { ["--keys", $0] } ?? [])
  }

  func startGateway(_ index: Int = 0) throws {
    try launch(
      "glta-gateway", named: "gateway-\(index)",
      ["--clients", clientEndpoint(index), "--workers", workerEndpoint(index)])
  }

  /// Starts a worker of a stage: "encoder", "aligner" or "ranker".
  func start(_ stage: String, named name: String? = nil, bundle: String? = nil) throws {
    let program = ["encoder": "glta-graph-encoder", "aligner": "glta-token-aligner", "ranker": "glta-logits-ranker"]
    try launch(
      try #require(program[stage]), named: name ?? stage,
      ["--bundle", try bundle ?? World.get().bundle] + (0..<gatewayCount).flatMap { ["--gateway", workerEndpoint($0)] })
  }

  private func launch(_ program: String, named name: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Tool.path).deletingLastPathComponent().appendingPathComponent(program)
    process.arguments = arguments + ["--name", name, "--log-level", "error"] + (keys.map { ["--keys", $0] } ?? [])
    process.standardError = FileHandle(forWritingAtPath: try folder.write("\(name).log", ""))
    process.standardOutput = FileHandle.nullDevice
    // The services end with the test run, however it ends.
    process.environment = ProcessInfo.processInfo.environment.merging(["GLTA_SUPERVISOR_PID": "\(getpid())"]) { $1 }
    try process.run()
    processes[name] = process
  }

  /// Sends a signal to a process of the mesh.
  func signal(_ name: String, _ number: Int32) throws {
    kill(try #require(processes[name], "no \(name)").processIdentifier, number)
  }

  /// What a process has logged.
  func log(_ name: String) -> String {
    (try? String(contentsOfFile: folder.path + "/\(name).log", encoding: .utf8)) ?? ""
  }

  /// The status of a gateway; nil where it does not answer.
  func status(_ gateway: Int = 0) -> [String: Any]? {
    let arguments =
      ["mesh", "status", "--gateway", clientEndpoint(gateway), "--json"] + (keys.map { ["--keys", $0] } ?? [])
    guard let output = try? Tool.run(arguments), output.status == 0 else { return nil }
    return output.json
  }

  /// Sessions of a role that a gateway has.
  func sessions(_ role: String, _ gateway: Int = 0) -> [[String: Any]] {
    (status(gateway)?["sessions"] as? [[String: Any]] ?? []).filter { $0["role"] as? String == role }
  }

  /// Waits until every gateway has so many workers.
  func waitUntilReady(encoders: Int = 1, aligners: Int = 1, rankers: Int = 1) throws {
    let deadline = Date().addingTimeInterval(30)
    for gateway in 0..<gatewayCount {
      while sessions("encoder", gateway).count < encoders || sessions("aligner", gateway).count < aligners
        || sessions("ranker", gateway).count < rankers
      {
        try #require(
          Date() < deadline, "the mesh was not ready within 30 s: \(processes.keys.map { "\($0): \(log($0))" })")
        usleep(20_000)
      }
    }
  }

  /// `glta rank` through the mesh.
  func rank(_ arguments: [String]) throws -> Tool.Output { try Tool.run(["rank"] + clientArguments + arguments) }

  /// Load in the background; `during` runs meanwhile. Returns the benchmark's report.
  func load(_ arguments: [String], during: () throws -> Void) throws -> [String: Any] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Tool.path)
    process.arguments = ["bench", "--bundle", try World.get().bundle, "--json"] + clientArguments + arguments
    let out = try folder.write("bench-\(UUID().uuidString).json", "")
    process.standardOutput = FileHandle(forWritingAtPath: out)
    process.standardError = FileHandle.nullDevice
    try process.run()
    try during()
    let deadline = Date().addingTimeInterval(90)
    while process.isRunning, Date() < deadline { usleep(20_000) }
    try #require(!process.isRunning, "the benchmark did not end")
    let data = try Data(contentsOf: URL(fileURLWithPath: out))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }
}

/// An answer as a line that can be compared: ids, titles and scores; JSON has floats that round-trip.
func answer(_ output: Tool.Output) throws -> String {
  let items = try #require(output.json["items"] as? [[String: Any]], "\(output.error)")
  return items.map {
    "\($0["id"] ?? "") \($0["title"] ?? "") \(($0["score"] as? NSNumber)?.floatValue.bitPattern ?? 0)"
  }
  .joined(separator: "; ")
}
