public import Bundles
import GraphEncoding
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
    /// The best validation figure, where there was a validation split.
    public var validation: Double?
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
  /// - Throws: `GLTAError.diverged`, `.interrupted`, `.inputOutput`; `.invalidArgument` where the split cannot be made.
  public func run(measuring measured: Measured = .test) throws(GLTAError) -> Result {
    let split = try Splitter.split(dataset, method: configuration.splitMethod)
    let name = TrainingStage.graph.rawValue
    var state: GraphEncoderState?
    if folder.contains(name) {
      let (matrices, progress) = try folder.load(name, as: GraphEncoderState.Progress.self)
      state = GraphEncoderState(progress: progress, matrices: matrices)
    }
    let text = try text()
    let trainer = GraphEncoderTrainer(
      options: configuration.graph, split: split, text: text, seed: configuration.seed, pool: pool)
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
    let result =
      switch measured {
      case .test: Result(test: report(model, split.test, excluding: [split.train, split.validation]), validation: best)
      // Methods without epochs have not been looked at yet.
      case .validation:
        Result(
          test: nil,
          validation: best
            ?? report(model, split.validation, excluding: [split.train])?[configuration.graph.metric])
      }
    folder.remove(forBundle: out)
    return result
  }

  private func report(
    _ model: any PreferenceModel, _ relevant: CSRMatrix, excluding excluded: [CSRMatrix]
  ) -> MetricReport? {
    let users = (0..<relevant.rows).filter { relevant.degree($0) > 0 }
    guard !users.isEmpty else { return nil }
    let rankings = model.rank(users: users, excluding: excluded, pool: pool)
    return MetricReport(users: users, rankings: rankings, relevant: relevant)
  }

  private func text() throws(GLTAError) -> Matrix? {
    guard configuration.graph.readsText, let languageModel else { return nil }
    let texts = ItemText.texts(of: dataset.catalogue, words: TrainingRun.wordsPerEmbedding)
    let embedder = TextEmbedder(model: languageModel.model, tokenizer: languageModel.tokenizer)
    return TagExtractor.centered(
      try TextCache.embeddings(of: texts, languageModelHash: languageModel.identity) { () throws(GLTAError) in
        reporter.say("reading the texts of \(texts.count) items")
        return try embedder.embed(texts, pool: pool) { done in
          reporter.progress(
            TrainingProgress(stage: "item texts", epoch: 1, epochs: 1, step: done, steps: texts.count, loss: .nan))
        }
      })
  }
}
