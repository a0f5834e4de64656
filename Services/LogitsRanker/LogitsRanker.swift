import ArgumentParser
import Mesh
import ServiceSupport
import StageServices
import Tensors

/// `glta-logits-ranker`: the frozen language model reads the prompt, GLLM ranks the candidates.
struct LogitsRankerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glta-logits-ranker", abstract: "Serve the logits ranker of a bundle.",
    discussion: """
      Joins a running mesh as stage three, where nearly all of the time goes: add rankers to serve more. Each slot ranks \
      one request at a time on --threads threads. SIGTERM finishes what runs and leaves.

        glta-logits-ranker --bundle bundle --gateway tcp://127.0.0.1:5571
      """, version: "glta-logits-ranker \(BuildInformation.version)")

  @OptionGroup var options: WorkerOptions
  @Option(help: "Threads of one ranking; more make one ranking quicker, and fewer at once.")
  var threads = 1

  func validate() throws {
    guard (1...256).contains(threads) else { throw ValidationError("--threads is \(threads), expected 1 to 256") }
  }

  func run() async throws {
    let threads = threads
    do {
      try await WorkerService.run(options, role: .ranker) { (parts) throws(GLTAError) in
        let pool = threads == 1 ? ThreadPool.serial : ThreadPool(threads: threads)
        let model = try parts.loadLanguageModel()
        let ranker = try LogitsRankerService(parts.bundle, model, pool: pool)
        return (ranker, try ranker.warmUp(aligner: TokenAlignerService(parts.bundle, model)))
      }
    } catch { ServiceFailure.exit(with: error) }
  }
}

@main
enum Main {
  static func main() async {
    StartUp.prepareProcess()
    await LogitsRankerCommand.main()
  }
}
