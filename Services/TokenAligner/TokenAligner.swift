import ArgumentParser
import Bundles
import LanguageModels
import Mesh
import ServiceSupport
import StageServices
import Tensors

/// `glta-token-aligner`: from a user's vector and history to a prompt.
struct TokenAlignerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glta-token-aligner", abstract: "Serve the token aligner of a bundle.",
    discussion: """
      Joins a running mesh as stage two. SIGTERM finishes what runs and leaves.

        glta-token-aligner --bundle bundle --gateway tcp://127.0.0.1:5571
      """, version: "glta-token-aligner \(BuildInformation.version)")

  @OptionGroup var options: WorkerOptions

  func run() async throws {
    do {
      try await WorkerService.run(options, role: .aligner) { (parts) throws(GLTAError) in
        let aligner = try TokenAlignerService(parts.bundle, parts.loadTokenizer())
        return (aligner, try aligner.warmUp())
      }
    } catch { ServiceFailure.exit(with: error) }
  }
}

@main
enum Main {
  static func main() async {
    StartUp.prepareProcess()
    await TokenAlignerCommand.main()
  }
}
