public import ArgumentParser
import Bundles
import Foundation
import Interactions
import LogitsMatching
import RankingEvaluation
import RankingStages
import Tensors
import Training

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Rank held-out items for every user and print the metrics.",
    discussion: """
      Full ranking: each user's held-out items compete with all items outside the user's training (and, for the test \
      split, validation) items. Popularity and the graph alone are always printed beside.

      What another precision of the language model costs: --precision int8, and --logits-alone, without the prior that \
      hides differences. Tests/Peers/precision.py puts all of them into one table.
      """)

  @OptionGroup var options: BundleOptions
  @Option(
    help: ArgumentHelp(
      "The data set that the bundle was trained on, to make sure of it; the bundle has a copy.", valueName: "path"))
  var data: String?
  @OptionGroup(title: "Data format") var format: FormatOptions
  @Option(help: "validation or test.")
  var split = SplitChoice.test
  @Option(
    help: ArgumentHelp("Rank only the N best by prior, as a server with a large catalogue does.", valueName: "N"))
  var candidates: Int?
  @Option(help: "slots, first or autoregressive.")
  var mode = PredictionMode.slots
  @Flag(help: "Rank by the language model's logits alone, whatever the bundle's score makes of them.")
  var logitsAlone = false
  @Option(
    help: ArgumentHelp("Write the best 20 items of each user there, a line of JSON for each.", valueName: "file"))
  var rankings: String?
  @Flag(help: "Print JSON.")
  var json = false
  @OptionGroup var threading: ThreadOptions

  enum SplitChoice: String, ExpressibleByArgument, CaseIterable {
    case validation
    case test
  }

  func validate() throws {
    if let candidates, candidates < 20 {
      throw ValidationError("--candidates is \(candidates), expected at least 20: metrics look at the top 20")
    }
    guard candidates == nil || !logitsAlone else {
      throw ValidationError("--candidates are the best by prior, of which --logits-alone has none")
    }
  }

  func run() throws {
    let pool = threading.makePool()
    let recommender = try options.loadRecommender(weights: logitsAlone ? .logitsOnly : nil, pool: pool)
    if let data {
      try DataHash.require(format.load(data), for: recommender.bundle, at: data)
    }
    Interrupt.install()
    let bar = ProgressBar()
    bar.begin()
    let result = try BundleEvaluator(recommender: recommender, pool: pool).evaluate(
      split == .test ? .test : .validation, mode: mode, candidates: candidates
    ) { progress in
      bar.update(progress)
      return !Interrupt.wasRequested
    }
    bar.close()
    if let rankings { try Terminal.writeJSONLines(result.rankings, to: rankings) }
    let report = result.report
    if json { return try Terminal.printJSON(report) }
    print("\(recommender.bundle.dataName), \(split.rawValue) split, \(report.users) users")
    print(report.table)
  }
}

extension PredictionMode: ExpressibleByArgument {}

extension BundleOptions {
  /// The three stages of the bundle, its language model checked.
  ///
  /// - Parameter weights: of the final score; nil = the bundle's.
  func loadRecommender(
    weights: BundleManifest.TermWeights? = nil, pool: ThreadPool
  ) throws(GLTAError) -> Recommender {
    var loaded = try RecommenderBundle.load(from: bundle)
    if let weights { loaded.manifest.weights = weights }
    let path = if let languageModel { languageModel } else { try RecommenderBundle.languageModelPath(of: bundle) }
    guard FileManager.default.fileExists(atPath: path) else {
      throw GLTAError(
        .inputOutput, "the bundle's language model is not at \(path)",
        hint: "say where it lies with --language-model PATH")
    }
    let model = try LoadedLanguageModel(for: loaded, path: path, precision: precision.precision, pool: pool)
    return try Recommender(bundle: loaded, model: model.model, tokenizer: model.tokenizer)
  }
}
