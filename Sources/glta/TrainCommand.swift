import ArgumentParser
import Bundles
import Foundation
import GraphEncoding
import Interactions
import RankingEvaluation
import Tensors
import TokenAlignment
import Training

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train all three stages and write a bundle.",
    discussion: """
      Stage 1 pretrains the graph (--method), stage 2 aligns items with their texts, stage 3 users with items; then the \
      weights of the final score are fitted on validation users. Each epoch leaves a checkpoint in OUT.run; after a stop, \
      the same command with --resume goes on to the same bytes.

      With --graph-only, stage 1 alone is trained and ranks the test split; no language model is needed but by methods that \
      read texts, and --out is a file of vectors.
      """)

  @Option(help: ArgumentHelp("The data set: a directory or file of a format below.", valueName: "path"))
  var data: String?
  @OptionGroup(title: "Data format") var format: FormatOptions
  @Option(help: ArgumentHelp("A pretrained BERT-class model: a Hugging Face directory.", valueName: "dir"))
  var languageModel: String?
  @Option(
    help: ArgumentHelp(
      "The bundle to write. One that is there is replaced when the new one is whole.", valueName: "dir"))
  var out: String?
  @Option(help: "default (the best we know) or paper (the paper's structure). (default: default)")
  var recipe: Recipe?
  @Option(
    name: .customLong("without"), parsing: .singleValue,
    help: ArgumentHelp(
      "Leave a part out: item-alignment, user-alignment, profile, prediction or contrastive. May be repeated.",
      valueName: "part"))
  var without: [Ablation] = []
  @Option(help: "The seed of everything random. (default: 42)")
  var seed: UInt64?
  @Option(
    help:
      "random (80/10/10 per user), leave-last-out (by time), given (the data set's own), given-whole (the same, nothing lent for validation) or cold-items (all of some items are test). (default: random)"
  )
  var split: SplitChoice?
  @Option(help: ArgumentHelp("cold-items: the share of items that is withheld.", valueName: "share"))
  var withholdItems = 0.1
  @Option(help: ArgumentHelp("A JSON file whose values replace the recipe's; see --print-config.", valueName: "file"))
  var config: String?
  @Flag(help: "Train and measure stage 1 alone.")
  var graphOnly = false
  @Flag(
    help: ArgumentHelp(
      "With --graph-only, for popularity, ease and text-knn: rank the test split once more, fitted to training and validation interactions."
    ))
  var refit = false
  @OptionGroup(title: "Graph encoder") var graph: GraphFlags
  @Flag(help: "Print the configuration as JSON, and do nothing. Needs no data.")
  var printConfig = false
  @Flag(help: "Go on from the checkpoints of an earlier run with the same arguments.")
  var resume = false
  @Flag(help: "Put the language model into the bundle.")
  var copyLanguageModel = false
  @Flag(help: "Print the result as JSON.")
  var json = false
  @OptionGroup var threading: ThreadOptions

  enum SplitChoice: String, ExpressibleByArgument, CaseIterable {
    case random
    case leaveLastOut = "leave-last-out"
    case given
    case givenWhole = "given-whole"
    case coldItems = "cold-items"

    func method(seed: UInt64, withholding share: Double = 0.1) -> SplitMethod {
      switch self {
      case .random: .random(seed: seed)
      case .leaveLastOut: .leaveLastOut
      case .given: .given
      case .givenWhole: .givenWhole
      case .coldItems: .coldItems(share: share, seed: seed)
      }
    }
  }

  func validate() throws {
    guard !printConfig else { return }
    guard graphOnly || !refit else { throw ValidationError("--refit measures a graph method: it needs --graph-only") }
    let needed = [("--data", data), ("--out", out)] + (graphOnly ? [] : [("--language-model", languageModel)])
    for (name, value) in needed where value == nil {
      throw ValidationError("Missing expected argument '\(name)'")
    }
  }

  func run() throws {
    let configuration = try makeConfiguration()
    guard !printConfig, let data, let out else { return try Terminal.printJSON(configuration) }
    Interrupt.install()
    guard !graphOnly, let languageModel else { return try trainGraph(configuration, data: data, out: out) }
    let started = Date()
    let dataset = try format.load(data)
    let pool = threading.makePool()
    let model = try LoadedLanguageModel(path: languageModel)
    let bar = ProgressBar()
    let reporter = TrainingRun.Reporter(
      say: { line in
        bar.begin()
        Terminal.note(line)
      },
      progress: { progress in
        bar.update(progress)
        return !Interrupt.wasRequested
      })
    if resume, let bundle = try finishedBundle(at: out, configuration, dataset, model) {
      Terminal.note("\(out) is already trained by these arguments")
      if copyLanguageModel { try bundle.save(to: out, languageModelPath: model.path, copyingLanguageModel: true) }
      return try report(hash: RecommenderBundle.contentHash(of: out), bundle: bundle, at: out, seconds: 0)
    }
    let run = try TrainingRun(
      configuration: configuration, dataset: dataset, languageModel: model, out: out, resume: resume, pool: pool,
      reporter: reporter)
    let result = try run.run(copyingLanguageModel: copyLanguageModel)
    bar.close()
    try report(hash: result.hash, bundle: result.bundle, at: out, seconds: Date().timeIntervalSince(started))
  }

  private func makeConfiguration() throws -> TrainingConfiguration {
    var choices = TrainingConfiguration.Choices(recipe: recipe, without: without, seed: seed)
    if let split { choices.splitMethod = { [withholdItems] in split.method(seed: $0, withholding: withholdItems) } }
    return try TrainCommand.configuration(choices, config: config, graph: graph)
  }

  /// A recipe, a file and flags, each laid over what is before it.
  static func configuration(
    _ choices: TrainingConfiguration.Choices, config: String?, graph: GraphFlags
  ) throws -> TrainingConfiguration {
    var result = try TrainingConfiguration(choices)
    if let config {
      guard let data = FileManager.default.contents(atPath: config) else {
        throw GLTAError(.inputOutput, "cannot read the configuration \(config)")
      }
      result = try TrainingConfiguration(choices, overriddenByJSON: data, source: config)
    }
    graph.apply(to: &result.graph)
    return result
  }

  /// The bundle at `out` where these very arguments made it.
  private func finishedBundle(
    at out: String, _ configuration: TrainingConfiguration, _ dataset: Dataset, _ model: LoadedLanguageModel
  ) throws -> RecommenderBundle? {
    // One that is damaged is no reason not to train.
    guard !TrainingRun.hasCheckpoints(for: out), let bundle = try? RecommenderBundle.load(from: out) else { return nil }
    let manifest = bundle.manifest
    guard manifest.data.hash == DataHash.of(dataset), manifest.languageModel.hash == model.hash,
      manifest.configurationHash == (try configuration.hash())
    else { return nil }
    return bundle
  }

  private func report(hash: String, bundle: RecommenderBundle, at out: String, seconds: Double) throws {
    if json {
      struct Result: Encodable {
        let bundle: String
        let contentHash: String
        let seconds: Double
        /// Of all threads together: what a busy machine does not change.
        let processorSeconds: Double
        let peakMemoryMiB: Int
        let validation: [String: Double]
        let weights: BundleManifest.TermWeights
      }
      return try Terminal.printJSON(
        Result(
          bundle: out, contentHash: hash, seconds: seconds, processorSeconds: ProcessUsage.processorSeconds,
          peakMemoryMiB: ProcessUsage.peakMebibytes,
          validation: bundle.manifest.validation, weights: bundle.manifest.weights))
    }
    print("bundle \(out)  content \(hash.prefix(16))")
    if seconds > 0 {
      print(String(format: "trained in %.1f s, peak memory %d MiB", seconds, ProcessUsage.peakMebibytes))
    }
    print("next: glta evaluate --bundle \(out)")
  }
}

extension TrainCommand {
  /// Stage 1 alone, measured on the test split.
  private func trainGraph(_ configuration: TrainingConfiguration, data: String, out: String) throws {
    let dataset = try format.load(data)
    let pool = threading.makePool()
    let bar = ProgressBar()
    var clock = EpochClock()
    let run = try GraphRun(
      configuration: configuration, dataset: dataset,
      languageModel: languageModel.map { try LoadedLanguageModel(path: $0) },
      out: out, resume: resume, pool: pool,
      reporter: TrainingRun.Reporter(
        say: { line in
          bar.begin()
          Terminal.note(line)
        },
        progress: { progress in
          clock.see(progress)
          bar.update(progress)
          return !Interrupt.wasRequested
        }))
    let started = Date()
    let result = try run.run(refitting: refit)
    bar.close()
    let seconds = Date().timeIntervalSince(started)
    if json {
      struct Output: Encodable {
        let method: String
        let metrics: [String: Double]
        let users: Int
        let refitted: [String: Double]?
        let cold: [GraphRun.Cold]?
        let validation: Double?
        let seconds: Double
        let epochSeconds: [Double]
        let epochProcessorSeconds: [Double]
        let processorSeconds: Double
        let peakMemoryMiB: Int
      }
      return try Terminal.printJSON(
        Output(
          method: configuration.graph.method.rawValue, metrics: result.test?.metrics ?? [:],
          users: result.test?.users ?? 0, refitted: result.refitted?.metrics,
          cold: result.cold.isEmpty ? nil : result.cold, validation: result.validation, seconds: seconds,
          epochSeconds: clock.seconds,
          epochProcessorSeconds: clock.processorSeconds, processorSeconds: ProcessUsage.processorSeconds,
          peakMemoryMiB: ProcessUsage.peakMebibytes))
    }
    if let test = result.test {
      let refitted = result.refitted.map { [("with validation", $0)] } ?? []
      print(MetricReport.table([(configuration.graph.method.rawValue, test)] + refitted))
    } else {
      print("no user has a test item; nothing to measure")
    }
    for cold in result.cold { print(TrainCommand.line(cold)) }
    print(String(format: "trained in %.1f s, peak memory %d MiB", seconds, ProcessUsage.peakMebibytes))
  }
}

extension TrainCommand {
  /// One ranking of cold items in a line.
  private static func line(_ cold: GraphRun.Cold) -> String {
    func figures(_ values: [String: Double]) -> String {
      values.sorted { $0.key < $1.key }.map { "\($0.key) \(String(format: "%.4f", $0.value))" }.joined(separator: ", ")
    }
    let report = cold.report
    return "\(report.items) withheld items by \(cold.ranking): \(figures(report.amongWithheld)) among themselves, "
      + "\(figures(report.amongAll)) among all"
  }
}

/// How long each epoch took, its samples and whatever came after its last step included, from the end of the one before.
private struct EpochClock {
  private(set) var seconds: [Double] = []
  private(set) var processorSeconds: [Double] = []
  private var last = (Date(), ProcessUsage.processorSeconds)

  mutating func see(_ progress: TrainingProgress) {
    guard progress.step == progress.steps else { return }
    let now = (Date(), ProcessUsage.processorSeconds)
    seconds.append(now.0.timeIntervalSince(last.0))
    processorSeconds.append(now.1 - last.1)
    last = now
  }
}

/// What this process has used of the machine.
enum ProcessUsage {
  private static var usage: rusage {
    var usage = rusage()
    #if os(Linux)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
      getrusage(RUSAGE_SELF, &usage)
    #endif
    return usage
  }

  /// The most memory that it has held.
  static var peakMebibytes: Int {
    #if os(Linux)
      usage.ru_maxrss / 1024
    #else
      usage.ru_maxrss / 1_048_576
    #endif
  }

  /// Time of all its threads on a core.
  static var processorSeconds: Double {
    let (user, system) = (usage.ru_utime, usage.ru_stime)
    return Double(user.tv_sec + system.tv_sec) + Double(user.tv_usec + system.tv_usec) * 1e-6
  }
}
