import ArgumentParser
import Bundles
import Foundation
import Mesh
import StageServices
import Tensors
import UnixSignals

struct UpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Start a local mesh of separate processes from a bundle, and keep it up.",
    discussion: """
      Runs in the foreground. Gateway i (from 0) takes clients on --port + 10 i and workers one port above. A process that \
      ends is started again, ever more slowly while it keeps ending. Ctrl-C drains: runs are finished, then all leave. \
      More workers may join by hand:

        glta-logits-ranker --bundle bundle --gateway tcp://127.0.0.1:5571
      """)

  @Option(help: ArgumentHelp("The trained bundle to serve.", valueName: "dir"))
  var bundle: String
  @Option(
    help: ArgumentHelp(
      "The language model's directory or file, where it is not the one that training recorded.", valueName: "path"))
  var languageModel: String?
  @OptionGroup var precision: PrecisionOptions
  @Option(help: ArgumentHelp("Graph encoders.", valueName: "n"))
  var encoders = 1
  @Option(help: ArgumentHelp("Token aligners.", valueName: "n"))
  var aligners = 1
  @Option(
    help: ArgumentHelp("Logits rankers, which do nearly all of the work; each computes on one thread.", valueName: "n"))
  var rankers = 1
  @Option(help: ArgumentHelp("Gateways.", valueName: "n"))
  var gateways = 1
  @Option(help: ArgumentHelp("The first gateway's port for clients.", valueName: "port"))
  var port = 5570
  @Option(
    help: ArgumentHelp(
      "A folder of CURVE keys; `glta keys new` makes one. Turns CURVE on, for loopback too.", valueName: "dir"))
  var keys: String?
  @Option(help: ArgumentHelp("What the processes log: debug, info, notice, warning or error.", valueName: "level"))
  var logLevel = "notice"

  func validate() throws {
    for (name, count) in [("encoders", encoders), ("aligners", aligners), ("rankers", rankers), ("gateways", gateways)]
    {
      guard (1...64).contains(count) else { throw ValidationError("--\(name) is \(count), expected 1 to 64") }
    }
    guard port >= 1, port + 10 * gateways <= 65_535 else {
      throw ValidationError("--port is \(port), expected 1 to \(65_535 - 10 * gateways)")
    }
  }

  func run() async throws {
    // A bundle that cannot be served should not start ten processes first.
    let served = try ServedBundle(path: bundle)
    _ = try ServedBundle.languageModelPath(bundle: bundle, override: languageModel)
    let supervisor = Supervisor(try children()) { Terminal.note($0) }
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    let started = ContinuousClock.now
    try supervisor.start(.gateway)
    try supervisor.start(.worker)
    let ready = Task { await announceReadiness(served, since: started) }
    // The sequence has one iterator: the first signal drains, the second ends everything.
    let watch = Task {
      var drain: Task<Void, Never>?
      for await _ in signals {
        if drain != nil {
          supervisor.kill()
        } else {
          ready.cancel()
          Terminal.note("draining; Ctrl-C again to stop at once")
          drain = Task {
            await supervisor.drain(.worker, within: .seconds(35))
            await supervisor.drain(.gateway, within: .seconds(35))
          }
        }
      }
      await drain?.value
    }
    await supervisor.waitUntilEmpty()
    watch.cancel()
  }

  private func clientPort(_ gateway: Int) -> Int { port + 10 * gateway }

  private func children() throws -> [Supervisor.Child] {
    let folder = URL(fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      .deletingLastPathComponent().path
    let shared = ["--log-level", logLevel] + (keys.map { ["--keys", $0] } ?? [])
    var children = (0..<gateways).map { index in
      Supervisor.Child(
        name: "gateway \(index)", kind: .gateway, executable: folder + "/glta-gateway",
        arguments: [
          "--clients", "tcp://127.0.0.1:\(clientPort(index))", "--workers", "tcp://127.0.0.1:\(clientPort(index) + 1)",
          "--name", "gateway-\(index)",
        ] + shared)
    }
    let link = (0..<gateways).flatMap { ["--gateway", "tcp://127.0.0.1:\(clientPort($0) + 1)"] }
    var work = ["--bundle", bundle]
    if let languageModel { work += ["--language-model", languageModel] }
    if let precision = precision.precision { work += ["--precision", precision.rawValue] }
    work += link + shared
    for (role, program, count) in [
      ("encoder", "glta-graph-encoder", encoders), ("aligner", "glta-token-aligner", aligners),
      ("ranker", "glta-logits-ranker", rankers),
    ] {
      for index in 0..<count {
        // A slot for each gateway at least: a worker grants every gateway one.
        children.append(
          Supervisor.Child(
            name: "\(role) \(index)", kind: .worker, executable: folder + "/" + program,
            arguments: work + ["--name", "\(role)-\(index)"]))
      }
    }
    for child in children where !FileManager.default.isExecutableFile(atPath: child.executable) {
      throw MeshError(
        .inputOutput, "\(child.executable) is missing", hint: "`make build` builds the services beside the tool")
    }
    return children
  }

  /// Says when the first ranking can be asked for.
  private func announceReadiness(_ served: ServedBundle, since started: ContinuousClock.Instant) async {
    let endpoints = (0..<gateways).map { Endpoint(tcp: "127.0.0.1", port: clientPort($0)) }
    guard let client = try? MeshClient(to: endpoints, keys: keys, name: "glta up") else { return }
    defer { Task { await client.close() } }
    var waiting = endpoints
    while !Task.isCancelled, let endpoint = waiting.first {
      if let bytes = try? await client.status(of: endpoint, deadline: .seconds(1)),
        let report = try? MeshReport(json: bytes),
        report.workers(of: "encoder") >= encoders, report.workers(of: "aligner") >= aligners,
        report.workers(of: "ranker") >= rankers
      {
        waiting.removeFirst()
        continue
      }
      try? await Task.sleep(for: .milliseconds(100))
    }
    guard !Task.isCancelled else { return }
    let seconds = Double((ContinuousClock.now - started) / .milliseconds(1)) / 1_000
    Terminal.note(
      String(
        format: "ready after %.1f s: %d gateways, %d encoders, %d aligners, %d rankers, bundle %@", seconds, gateways,
        encoders, aligners, rankers, String("\(served.hash)".prefix(16))))
    let user = served.bundle.userIDs.first ?? "ID"
    Terminal.note("next: glta rank --gateway \(endpoints[0]) --user \(user) --top 10 --stream")
  }
}
