import ArgumentParser
import Foundation
import Tensors

/// The command line of GLTA.
struct GLTA: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glta",
    abstract: "Train and serve an LLM recommender by graph-language token alignment.",
    discussion: """
      A first ranking, from nothing:

        glta model fetch minilm --out minilm
        glta data fetch ml-100k --out ml-100k
        glta train --data ml-100k --language-model minilm --out bundle
        glta evaluate --bundle bundle
        glta recommend --bundle bundle --user 42 --top 10

      Every command explains itself with --help and prints JSON with --json where it prints numbers.
      """,
    version: "glta 0.1.0",
    subcommands: [
      DataCommand.self, ModelCommand.self, TrainCommand.self, EvaluateCommand.self, RecommendCommand.self,
      InspectCommand.self,
    ])
}

@main
enum Main {
  static func main() {
    StartUp.chooseBLASKernels()
    // A peer that goes away must end a write with an error, not the process.
    signal(SIGPIPE, SIG_IGN)
    // So must a file beyond `ulimit -f`.
    signal(SIGXFSZ, SIG_IGN)
    GLTA.main()
  }
}

/// What has to happen before anything else.
enum StartUp {
  /// Starts the program again with OPENBLAS_CORETYPE where OpenBLAS misjudged the CPU: the variable is read when the
  /// library loads, which is before `main`.
  static func chooseBLASKernels() {
    let variable = "OPENBLAS_CORETYPE"
    guard getenv(variable) == nil, let core = Processor.betterOpenBLASCore else { return }
    setenv(variable, core, 1)
    var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
    arguments.append(nil)
    // Returns only where it failed; then the slower kernels serve.
    execv("/proc/self/exe", arguments)
  }
}
