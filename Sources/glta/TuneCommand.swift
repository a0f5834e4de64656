import ArgumentParser
import Bundles
import Foundation
import GraphEncoding
import Tensors
import Training

struct TuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune",
    abstract: "Search settings of the graph encoder on validation data.",
    discussion: """
      The first trial has the settings as they are; each further one draws from the space, by the seed. A trial that is \
      worse than half of those before it at the same point is left early. OUT keeps the table (trials.tsv) and the best \
      settings (best.json, for `glta train --config`); the same command goes on where a stopped one was.

      The space is a JSON file of lists and ranges, by the names that `glta train --print-config` shows under "graph":

        {"layers": [1, 2, 3], "temperature": {"from": 0.05, "to": 0.5, "scale": "log"}}
      """)

  @Option(help: ArgumentHelp("The data set: a directory or file of a format below.", valueName: "path"))
  var data: String
  @Option(help: ArgumentHelp("What reads the texts, for methods that need them.", valueName: "dir"))
  var languageModel: String?
  @Option(help: ArgumentHelp("The search's folder.", valueName: "dir"))
  var out: String
  @Option(help: ArgumentHelp("What to search; a space for the method where left out.", valueName: "file"))
  var space: String?
  @Option(help: "Trials at most.")
  var trials = 20
  @Option(help: ArgumentHelp("Time of all trials together, earlier calls included.", valueName: "n"))
  var minutes: Double?
  @Option(help: "The seed of everything random. (default: 42)")
  var seed: UInt64?
  @Option(help: "random (80/10/10 per user), leave-last-out (by time) or given (the data set's own).")
  var split: SplitChoice?
  @Option(help: ArgumentHelp("A JSON file whose values replace the defaults.", valueName: "file"))
  var config: String?
  @OptionGroup(title: "Graph encoder") var graph: GraphFlags
  @OptionGroup(title: "Data format") var format: FormatOptions
  @OptionGroup var threading: ThreadOptions
  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    var choices = TrainingConfiguration.Choices(seed: seed)
    if let split { choices.splitMethod = { split.method(seed: $0) } }
    let configuration = try TrainCommand.configuration(choices, config: config, graph: graph)
    let space = try makeSpace(configuration)
    let limits = try TuningRun.Limits(trials: trials, seconds: minutes.map { $0 * 60 })
    Interrupt.install()
    let bar = ProgressBar()
    var run = try TuningRun(
      configuration: configuration, space: space, limits: limits, dataset: try format.load(data),
      languageModel: try languageModel.map { try LoadedLanguageModel(path: $0) }, out: out, pool: threading.makePool(),
      reporter: TrainingRun.Reporter(
        say: { line in
          bar.begin()
          Terminal.note(line)
        },
        progress: { progress in
          bar.update(progress)
          return !Interrupt.wasRequested
        }))
    let trials = try run.run()
    bar.close()
    if json {
      struct Result: Encodable {
        let best: TuningTrial?
        let trials: [TuningTrial]
      }
      return try Terminal.printJSON(Result(best: trials.best, trials: trials))
    }
    print(trials.table, terminator: "")
    print("best settings: \(out)/best.json; train with: glta train --data \(data) --config \(out)/best.json ...")
  }

  private func makeSpace(_ configuration: TrainingConfiguration) throws -> TuningSpace {
    guard let space else { return .suggested(for: configuration.graph.method) }
    guard let data = FileManager.default.contents(atPath: space) else {
      throw GLTAError(.inputOutput, "cannot read the space \(space)")
    }
    return try TuningSpace(json: data, source: space)
  }
}
