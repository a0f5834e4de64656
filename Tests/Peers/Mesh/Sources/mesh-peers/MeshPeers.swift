import ArgumentParser

/// Puts GLTP and the mesh beside what else one would take: swift-protobuf, grpc-swift-2, and pyzmq with lz4.
@main
struct MeshPeers: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mesh-peers",
    abstract: "Measures the codec against swift-protobuf, and a mesh against gRPC and pyzmq + lz4, in one run.")

  @Flag(help: "Print JSON instead of tables.")
  var json = false

  @Option(help: "Seconds that each peer is measured in each round.")
  var seconds = 1.0

  @Option(help: "Rounds; peers take turns in each, and the median round counts.")
  var rounds = 5

  @Option(help: "A Python with pyzmq and lz4; without them its rows are left out.")
  var python = "python3"

  @Flag(help: "Leave out the mesh.")
  var codecOnly = false

  @Flag(help: "Leave out the codec.")
  var meshOnly = false

  func validate() throws {
    guard seconds > 0, rounds > 0 else { throw ValidationError("--seconds and --rounds must be positive") }
  }

  func run() async throws {
    var report = Report()
    if !meshOnly { report.codec = try CodecComparison(rounds: rounds).run() }
    if !codecOnly {
      let comparison = RequestComparison(seconds: seconds, rounds: rounds, python: python)
      (report.requests, report.skipped) = try await comparison.run()
    }
    print(json ? try report.json() : report.text())
  }
}
