import Foundation
import GLTP
import Mesh
import MeshTesting
import TestSupport
import Testing

/// What clients of a mesh of real processes see, numbered after the failure table of the design. One at a time: they
/// share two cores with what they start.
@Suite(.serialized, .timeLimit(.minutes(10))) struct MeshScenarios {}

/// Bundles whose logits have weight, trained once.
struct ServedWorld: Sendable {
  private static let shared = Result { try ServedWorld() }
  static func get() throws -> ServedWorld { try shared.get() }

  let bundle: String
  let other: String

  private init() throws {
    let world = try SmallWorld.get()
    (bundle, other) = (world.folder.path + "/mesh-bundle", world.folder.path + "/mesh-bundle-2")
    _ = try SmallWorld.train(data: world.data, out: bundle, ["--recipe", "paper"])
    _ = try SmallWorld.train(data: world.data, out: other, ["--recipe", "paper", "--seed", "2"])
  }
}

/// What `glta bench --json` reports.
struct LoadReport: Decodable {
  struct Latency: Decodable { let p50: Double, p99: Double, max: Double }
  let requests: Int
  let ok: Int
  let errors: [String: Int]
  let throughput: Double
  let latency_ms: Latency

  var isFaultless: Bool { ok > 0 && ok == requests && errors.isEmpty }
  var refused: Int { errors.values.reduce(0, +) }
}

extension ProcessMesh {
  /// The executables that were built with the tests.
  static let executables = URL(fileURLWithPath: Tool.path).deletingLastPathComponent().path

  /// A mesh of the small bundle.
  @inline(never)
  static func small(
    gateways: Int = 1, rankers: Int = 1, keys: String? = nil, gatewayArguments: [String] = [],
    spreadsAddresses: Bool = false
  ) async throws -> ProcessMesh {
    var configuration = Configuration(
      executables: executables, bundle: try ServedWorld.get().bundle, gateways: gateways, rankers: rankers,
      keys: keys, gatewayArguments: gatewayArguments)
    configuration.spreadsAddresses = spreadsAddresses
    return try await start(configuration)
  }

  /// What the tool needs to reach the mesh.
  var clientArguments: [String] {
    (0..<configuration.gateways).flatMap { ["--gateway", "\(clientEndpoint($0))"] }
      + (configuration.keys.map { ["--keys", $0] } ?? [])
  }

  /// `glta rank` through the mesh.
  func rank(_ arguments: [String]) throws -> Tool.Output { try Tool.run(["rank"] + clientArguments + arguments) }

  /// Load by `glta bench` in a process of its own; `during` runs meanwhile.
  @inline(never)
  func load(_ arguments: [String], during: () async throws -> Void) async throws -> LoadReport {
    let folder = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Tool.path)
    process.arguments = ["bench", "--bundle", configuration.bundle, "--json"] + clientArguments + arguments
    let (out, error) = (try folder.write("out", ""), try folder.write("error", ""))
    process.standardOutput = FileHandle(forWritingAtPath: out)
    process.standardError = FileHandle(forWritingAtPath: error)
    try process.run()
    try await during()
    let end = ContinuousClock.now + .seconds(120)
    while process.isRunning, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(20)) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    let text = try Data(contentsOf: URL(fileURLWithPath: out))
    let said = try String(contentsOfFile: error, encoding: .utf8)
    try #require(!text.isEmpty, "the benchmark failed: \(said)")
    return try JSONDecoder().decode(LoadReport.self, from: text)
  }

  /// Waits until a process has ended.
  @inline(never)
  func waitForExit(of name: String, _ limit: Duration = .seconds(10)) async throws -> Int32 {
    let end = ContinuousClock.now + limit
    while true {
      if let status = exitStatus(of: name) { return status }
      try #require(ContinuousClock.now < end, "\(name) did not end: \(log(name))")
      try await Task.sleep(for: .milliseconds(10))
    }
  }
}

func pause(_ duration: Duration) async throws { try await Task.sleep(for: duration) }

/// An answer as a line that can be compared: ids, titles and scores; JSON has floats that round-trip.
func answer(_ output: Tool.Output) throws -> String {
  let items = try #require(output.json["items"] as? [[String: Any]], "\(output.error)")
  return items.map {
    "\($0["id"] ?? "") \($0["title"] ?? "") \(($0["score"] as? NSNumber)?.floatValue.bitPattern ?? 0)"
  }
  .joined(separator: "; ")
}
