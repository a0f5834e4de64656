import ArgumentParser
import GraphEncoding
import Tensors

struct RetrievalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retrieval", abstract: "Measure how the best items are found.", subcommands: [Benchmark.self])

  struct Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure exact searches of a whole catalogue against this machine's matrix product.",
      discussion: "Vectors are random: with bounds on scores, what is searched matters as much as how much.")

    @Option(help: "How many items.")
    var items = 1_000_000
    @Option(help: "Numbers of a vector.")
    var dimensions = 64
    @Option(help: ArgumentHelp("Items that a query asks for.", valueName: "n"))
    var top = 200
    @Option(parsing: .upToNextOption, help: ArgumentHelp("Queries that are asked together.", valueName: "n"))
    var batch = [1, 64]
    @Option(help: "Rounds, of which the best counts.")
    var rounds = 5
    @Flag(help: "Print JSON.")
    var json = false
    @OptionGroup var threading: ThreadOptions

    func validate() throws {
      guard (1...100_000_000).contains(items), (1...4096).contains(dimensions), items * dimensions <= 1 << 31 else {
        throw ValidationError(
          "expected 1 to 100 million items of 1 to 4096 dimensions, two billion numbers at the most")
      }
      guard top >= 1, rounds >= 1, !batch.isEmpty, batch.allSatisfy({ (1...100_000).contains($0) }) else {
        throw ValidationError("expected --top and --rounds of at least 1, and batches of 1 to 100,000")
      }
    }

    func run() throws {
      let report = try RetrievalBenchmark.run(
        .init(items: items, dimensions: dimensions, wanted: top), batches: batch, rounds: rounds,
        pool: threading.makePool())
      if json { return try Terminal.printJSON(report) }
      print(report.text)
    }
  }
}
