public import Bundles
public import GraphEncoding
public import Interactions
import LanguageModels
public import RankingEvaluation
public import Tensors
import TokenAlignment

/// Stage 1 alone, by any method, and its ranking of the test split: how graph encoders are measured and tuned.
///
/// Checkpoints lie in a folder beside `out`, as those of a whole training do; the vectors of methods that have them are
/// written to `out` as safetensors (users, items, fold_in).
public struct GraphRun {
  /// What is ranked at the end.
  public enum Measured: Sendable {
    /// The test split.
    case test
    /// The validation split, and nothing else: what a search may look at.
    case validation
  }

  /// What came out.
  public struct Result: Sendable {
    /// The test split; nil where it holds nothing.
    public var test: MetricReport?
    /// Seconds that this ranking and its metrics took.
    public var rankingSeconds: Double?
    /// The best validation figure, where there was a validation split.
    public var validation: Double?
    /// Methods in closed form, where `refitting` was asked for: the test split by what is fitted to training and
    /// validation interactions together.
    public var refitted: MetricReport?
    /// Splits with cold items: how these are ranked by the method, by text-kNN where a language model is given, and by
    /// chance.
    public var cold: [Cold] = []
  }

  /// One ranking of cold items.
  public struct Cold: Sendable, Encodable {
    /// What ranks them.
    public let ranking: String
    /// How well.
    public let report: ColdItemReport
  }

  private let configuration: TrainingConfiguration
  private let dataset: Dataset
  private let languageModel: LoadedLanguageModel?
  private let out: String
  private let pool: ThreadPool
  private let reporter: TrainingRun.Reporter
  private let folder: RunFolder

  /// Opens a run.
  ///
  /// - Parameters:
  ///   - languageModel: what reads the texts, for the methods that need them.
  ///   - out: the file of vectors to write.
  ///   - resume: whether to take up what an earlier run of the same arguments left.
  /// - Throws: `GLTAError.invalidArgument` for options that cannot work, `.mismatch` for another run's folder,
  ///   `.inputOutput` where another process trains there.
  public init(
    configuration: TrainingConfiguration, dataset: Dataset, languageModel: LoadedLanguageModel?, out: String,
    resume: Bool, pool: ThreadPool, reporter: TrainingRun.Reporter
  ) throws(GLTAError) {
    try configuration.graph.validate()
    guard languageModel != nil || !configuration.graph.readsText else {
      throw GLTAError(
        .invalidArgument,
        "\(configuration.graph.textNodes ? "graph.textNodes" : configuration.graph.method.rawValue) reads the texts of items",
        hint: "give a --language-model to read them with")
    }
    self.configuration = configuration
    self.dataset = dataset
    self.languageModel = languageModel
    self.out = out
    self.pool = pool
    self.reporter = reporter
    folder = try RunFolder(
      forBundle: out,
      fingerprint: RunFingerprint(
        configuration: configuration, dataHash: DataHash.of(dataset),
        languageModelHash: languageModel?.identity ?? "none"),
      resume: resume)
  }

  /// Trains what is not trained yet, writes the vectors and ranks a split.
  ///
  /// - Parameter refitting: whether methods in closed form rank the test split once more, fitted to training and
  ///   validation interactions: they do not stop early, so nothing but the choice of settings needs the validation part
  ///   kept aside. Validation items stay excluded from the ranking.
  /// - Throws: `GLTAError.diverged`, `.interrupted`, `.inputOutput`; `.invalidArgument` where the split cannot be made.
  public func run(
    measuring measured: Measured = .test, refitting: Bool = false
  ) throws(GLTAError) -> Result {
    guard !refitting || !configuration.graph.method.givesVectors else {
      throw GLTAError(
        .invalidArgument,
        "\(configuration.graph.method.rawValue) stops early by validation items, so it cannot be fitted to them",
        hint: "refit popularity, ease or text-knn")
    }
    let split = try Splitter.split(dataset, method: configuration.splitMethod)
    let name = TrainingStage.graph.rawValue
    var state: GraphEncoderState?
    if folder.contains(name) {
      let (matrices, progress) = try folder.load(name, as: GraphEncoderState.Progress.self)
      state = GraphEncoderState(progress: progress, matrices: matrices)
    }
    let (text, profiles) = try texts(train: split.train)
    let trainer = trainer(split, text, profiles)
    reporter.say(
      "\(GraphEncoderTrainer.stage), \(configuration.graph.method.rawValue): \(split.train.count) training interactions"
    )
    reporter.say("\(trainer.memoryPlan)")
    var best = state?.progress.bestMetric
    var model = try trainer.model(
      resuming: state,
      checkpoint: { (state) throws(GLTAError) in
        best = state.progress.bestMetric
        try folder.save(name, matrices: state.matrices, value: state.progress)
      }, progress: reporter.progress)
    if let trained = model as? GraphEmbeddings {
      var vectors = trained
      if configuration.graph.textNodes, let text {
        vectors = try TextNodes(graph: trained, text: text, train: split.train, pool: pool).completing(
          trained, text: text, train: split.train)
        model = vectors
      }
      try SafetensorsWriter.write(
        [("users", vectors.users.tensor), ("items", vectors.items.tensor), ("fold_in", vectors.foldInBasis.tensor)],
        metadata: [:], to: out)
    }
    let started = ContinuousClock.now
    var result =
      switch measured {
      case .test:
        Result(test: try testReport(model, split, excluding: [split.train, split.validation]), validation: best)
      // Methods without epochs have not been looked at yet.
      case .validation:
        Result(test: nil, validation: best ?? model.validationMetric(configuration.graph.metric, of: split, pool: pool))
      }
    if measured == .test {
      result.rankingSeconds = (ContinuousClock.now - started) / .seconds(1)
      if refitting {
        reporter.say("once more, fitted to the validation interactions, too")
        result.refitted = try refitted(split, text, profiles)
      }
      if case .coldItems = configuration.splitMethod { result.cold = try cold(model, split) }
    }
    folder.remove(forBundle: out)
    return result
  }

  private func trainer(_ split: InteractionSplit, _ text: Matrix?, _ profiles: NodeProfiles?) -> GraphEncoderTrainer {
    GraphEncoderTrainer(
      options: configuration.graph, split: split, text: text, profiles: profiles, seed: configuration.seed, pool: pool)
  }

  private func refitted(
    _ split: InteractionSplit, _ text: Matrix?, _ profiles: NodeProfiles?
  ) throws(GLTAError) -> MetricReport? {
    let known = CSRMatrix(
      rowLists: (0..<split.train.rows).map { Array(split.train[$0]) + split.validation[$0] },
      columns: split.train.columns)
    let model = try trainer(
      InteractionSplit(train: known, validation: split.validation, test: split.test), text, profiles
    )
    .model(checkpoint: { (_) throws(GLTAError) in }, progress: reporter.progress)
    return try testReport(model, split, excluding: [known])
  }

  private func cold(_ model: any PreferenceModel, _ split: InteractionSplit) throws(GLTAError) -> [Cold] {
    var rankings = [
      Cold(ranking: configuration.graph.method.rawValue, report: ColdItemReport(model, split: split, pool: pool))
    ]
    if let embeddings = try graphTexts?.items(), configuration.graph.method != .textKNN {
      let neighbours = TextNeighbours(
        train: split.train, text: TagExtractor.centered(embeddings), neighbours: configuration.graph.neighbours,
        pool: pool)
      rankings.append(Cold(ranking: "text-knn", report: ColdItemReport(neighbours, split: split, pool: pool)))
    }
    return rankings + [Cold(ranking: "chance", report: ColdItemReport.chance(split))]
  }

  /// The report of the test split. Half a million users take minutes, so it shows how far it is and may be stopped;
  /// what was trained is kept.
  private func testReport(
    _ model: any PreferenceModel, _ split: InteractionSplit, excluding excluded: [CSRMatrix]
  ) throws(GLTAError) -> MetricReport? {
    let users = (0..<split.test.rows).filter { split.test.degree($0) > 0 }
    guard !users.isEmpty else { return nil }
    var rankings: [[Int32]] = []
    for start in stride(from: 0, to: users.count, by: GraphRun.rankedTogether) {
      let some = Array(users[start..<min(users.count, start + GraphRun.rankedTogether)])
      rankings += model.rank(users: some, excluding: excluded, pool: pool)
      let goesOn = reporter.progress(
        TrainingProgress(
          stage: "ranking", epoch: 1, epochs: 1, step: rankings.count, steps: users.count, loss: .nan))
      if !goesOn && rankings.count < users.count { throw .stopped("ranking", after: "\(rankings.count) users") }
    }
    return MetricReport(users: users, rankings: rankings, relevant: split.test)
  }

  /// Users between two looks at the clock and at Ctrl-C: many enough to keep all threads busy.
  private static let rankedTogether = 4_096

  private var graphTexts: GraphTexts? {
    languageModel.map { GraphTexts(dataset: dataset, languageModel: $0, pool: pool, reporter: reporter) }
  }

  private func texts(train: CSRMatrix) throws(GLTAError) -> (Matrix?, NodeProfiles?) {
    guard configuration.graph.readsText, let graphTexts else { return (nil, nil) }
    let embeddings = try graphTexts.items()
    return (
      TagExtractor.centered(embeddings),
      try graphTexts.profiles(configuration.graph, items: embeddings, train: train)
    )
  }
}
