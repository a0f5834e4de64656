import ArgumentParser
import Foundation
import Tensors

/// The command line of GLTA.
struct GLTA: AsyncParsableCommand {
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

      The same rankings, served by processes of their own:

        glta up --bundle bundle --rankers 2
        glta rank --gateway tcp://127.0.0.1:5570 --user 42 --top 10 --stream

      Every command explains itself with --help and prints JSON with --json where it prints numbers.
      """,
    version: "glta 0.1.0",
    subcommands: [
      DataCommand.self, ModelCommand.self, TagsCommand.self, TrainCommand.self, TuneCommand.self, EvaluateCommand.self,
      RecommendCommand.self, InspectCommand.self, RetrievalCommand.self, UpCommand.self, RankCommand.self,
      MeshCommand.self, BenchCommand.self, KeysCommand.self,
    ])
}

@main
enum Main {
  static func main() async {
    StartUp.prepareProcess()
    await GLTA.main()
  }
}
