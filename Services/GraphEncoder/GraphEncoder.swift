import ArgumentParser
import Mesh
import ServiceSupport
import StageServices
import Tensors

/// `glta-graph-encoder`: from a request to candidates with a prior.
struct GraphEncoderCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glta-graph-encoder", abstract: "Serve the graph encoder of a bundle.",
    discussion: """
      Joins a running mesh as stage one. SIGTERM finishes what runs and leaves.

        glta-graph-encoder --bundle bundle --gateway tcp://127.0.0.1:5571
      """, version: "glta-graph-encoder \(BuildInformation.version)")

  @OptionGroup var options: WorkerOptions

  func run() async throws {
    do {
      try await WorkerService.run(options, role: .encoder) { (parts) throws(GLTAError) in
        let encoder = GraphEncoderService(parts.bundle)
        return (encoder, try encoder.warmUp())
      }
    } catch { ServiceFailure.exit(with: error) }
  }
}

@main
enum Main {
  static func main() async {
    StartUp.prepareProcess()
    await GraphEncoderCommand.main()
  }
}
