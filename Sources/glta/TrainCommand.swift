import ArgumentParser
import Bundles
import Foundation
import GraphEncoding
import Interactions
import Tensors
import TokenAlignment
import Training

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train all three stages and write a bundle.",
    discussion: """
      Stage 1 pretrains the graph (LightGCN), stage 2 aligns items with their texts, stage 3 users with items; then the \
      weights of the final score are fitted on validation users. Each epoch leaves a checkpoint in OUT.run; after a stop, \
      the same command with --resume goes on to the same bytes.
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
    help: "random (80/10/10 per user), leave-last-out (by time) or given (the data set's own). (default: random)")
  var split: SplitChoice?
  @Option(help: ArgumentHelp("A JSON file whose values replace the recipe's; see --print-config.", valueName: "file"))
  var config: String?
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

    func method(seed: UInt64) -> SplitMethod {
      switch self {
      case .random: .random(seed: seed)
      case .leaveLastOut: .leaveLastOut
      case .given: .given
      }
    }
  }

  func validate() throws {
    guard !printConfig else { return }
    for (name, value) in [("--data", data), ("--language-model", languageModel), ("--out", out)] where value == nil {
      throw ValidationError("Missing expected argument '\(name)'")
    }
  }

  func run() throws {
    let configuration = try makeConfiguration()
    guard !printConfig, let data, let languageModel, let out else { return try Terminal.printJSON(configuration) }
    Interrupt.install()
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
    if let split { choices.splitMethod = { split.method(seed: $0) } }
    guard let config else { return try TrainingConfiguration(choices) }
    guard let data = FileManager.default.contents(atPath: config) else {
      throw GLTAError(.inputOutput, "cannot read the configuration \(config)")
    }
    return try TrainingConfiguration(choices, overriddenByJSON: data, source: config)
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
