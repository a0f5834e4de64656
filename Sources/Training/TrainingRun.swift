public import Bundles
import Foundation
import GraphEncoding
public import Interactions
import LanguageModels
import LogitsMatching
import RankingEvaluation
import RankingStages
public import Tensors
import TokenAlignment

/// All of training, stage after stage: from a data set and a language model to a bundle.
///
/// Each stage leaves a checkpoint in the run folder and is skipped where a finished one is found, so a stopped run
/// resumes to the bytes of an uninterrupted one.
public struct TrainingRun {
  /// What a person sees while it runs.
  public struct Reporter {
    /// A line on what begins or what came out.
    public var say: (String) -> Void
    /// Steps of a stage; returning false stops the run after its next checkpoint.
    public var progress: ProgressHandler

    /// A reporter of two closures, which are called on the thread of the run.
    public init(say: @escaping (String) -> Void, progress: @escaping ProgressHandler) {
      self.say = say
      self.progress = progress
    }
  }

  private let configuration: TrainingConfiguration
  private let dataset: Dataset
  private let dataHash: String
  private let languageModel: LoadedLanguageModel
  private let tags: TagFile?
  private let pool: ThreadPool
  private let reporter: Reporter
  private let folder: RunFolder
  private let out: String

  /// Opens a run.
  ///
  /// - Parameters:
  ///   - tags: tags that a decoder wrote, whose hash the configuration has; nil = they are extracted.
  ///   - out: the bundle's path; checkpoints go to a folder beside it.
  ///   - resume: whether to take up what an earlier run of the same arguments left.
  /// - Throws: `GLTAError.invalidArgument` for a configuration that cannot work, `.mismatch` for another run's folder,
  ///   `.invalidFile` where its fingerprint cannot be read, `.inputOutput` where something else stands at `out` or
  ///   another process trains there.
  public init(
    configuration: TrainingConfiguration, dataset: Dataset, languageModel: LoadedLanguageModel,
    tags: TagFile? = nil, out: String, resume: Bool, pool: ThreadPool, reporter: Reporter
  ) throws(GLTAError) {
    try configuration.validate()
    guard configuration.graph.method.givesVectors else {
      throw GLTAError(
        .invalidArgument, "\(configuration.graph.method.rawValue) gives no vectors, which a bundle is made of",
        hint: "measure it with --graph-only, or take another --method")
    }
    guard dataset.catalogue.count > 1, dataset.interactions.count > 0 else {
      throw GLTAError(
        .invalidArgument,
        "\(dataset.name) has \(dataset.catalogue.count) items and \(dataset.interactions.count) interactions; nothing can be learned from that"
      )
    }
    self.configuration = configuration
    self.dataset = dataset
    self.languageModel = languageModel
    self.tags = tags
    self.pool = pool
    self.reporter = reporter
    self.out = out
    dataHash = DataHash.of(dataset)
    try RecommenderBundle.requireWritable(out)
    folder = try RunFolder(
      forBundle: out,
      fingerprint: RunFingerprint(
        configuration: configuration, dataHash: dataHash, languageModelHash: languageModel.identity),
      resume: resume)
    if folder.setAside {
      reporter.say("checkpoints of an earlier run went to \(folder.path).old; --resume would have taken them up")
    }
    if !folder.restarted.isEmpty {
      reporter.say("changed settings: \(folder.restarted.map(\.rawValue).joined(separator: ", ")) start anew")
    }
  }

  /// Whether a run to `out` was stopped and left checkpoints.
  public static func hasCheckpoints(for out: String) -> Bool {
    FileManager.default.fileExists(atPath: RunFolder.path(forBundle: out))
  }

  /// Trains what is not trained yet and saves the bundle.
  ///
  /// - Parameter copyingLanguageModel: whether the language model goes into the bundle.
  /// - Returns: the bundle and its content hash.
  /// - Throws: `GLTAError.diverged`, `.interrupted`, `.inputOutput`; `.invalidArgument` where the split or a prompt
  ///   cannot be made; `.invalidFile` and `.mismatch` for checkpoints that do not fit. Checkpoints and an older bundle
  ///   stay whole.
  public func run(copyingLanguageModel: Bool = false) throws(GLTAError) -> (bundle: RecommenderBundle, hash: String) {
    let split = try Splitter.split(dataset, method: configuration.splitMethod)
    let halves = ValidationHalves(split: split, seed: configuration.seed)
    if halves.stopping.isEmpty {
      reporter.say("warning: no user has a validation item, so nothing stops early and no weights are fitted")
    }
    let embedder = TextEmbedder(model: languageModel.model, tokenizer: languageModel.tokenizer)
    let graph = try encodeGraph(split, halves)
    let text = try embedTexts()
    let parts = configuration.visibleParts(of: split)
    let tags = try makeTags(text, graph, embedder, parts)
    var bundle = try makeBundle(split: split, graph: graph, text: text, tags: tags)
    bundle.alignment = try alignItems(bundle, text: text)
    bundle.itemTokens = bundle.alignment.itemTokens(graph, pool: pool)
    bundle.alignment = try alignUsers(bundle, parts, halves)
    try fitWeights(&bundle, halves)
    let hash = try bundle.save(
      to: out, languageModelPath: languageModel.path, copyingLanguageModel: copyingLanguageModel)
    folder.remove(forBundle: out)
    return (bundle, hash)
  }

  // MARK: Stage 1

  private func encodeGraph(
    _ split: InteractionSplit, _ halves: ValidationHalves
  ) throws(GLTAError) -> GraphEmbeddings {
    let name = TrainingStage.graph.rawValue
    var state: GraphEncoderState?
    if folder.contains(name) {
      let (matrices, progress) = try folder.load(name, as: GraphEncoderState.Progress.self)
      state = GraphEncoderState(progress: progress, matrices: matrices)
    }
    reporter.say(
      "stage 1, \(GraphEncoderTrainer.stage), \(configuration.graph.method.rawValue): \(split.train.count) training interactions"
    )
    var stoppingSplit = split
    stoppingSplit.validation = halves.validation(of: split, keeping: halves.stopping)
    let text = configuration.graph.readsText ? TagExtractor.centered(try embedTexts()) : nil
    let profiles =
      configuration.graph.method.readsProfiles
      ? try graphTexts.profiles(configuration.graph, items: embedTexts(), train: split.train) : nil
    let trainer = GraphEncoderTrainer(
      options: configuration.graph, split: stoppingSplit, text: text, profiles: profiles, seed: configuration.seed,
      pool: pool)
    reporter.say("\(trainer.memoryPlan)")
    let vectors = try trainer.train(
      resuming: state,
      checkpoint: { (state) throws(GLTAError) in
        try folder.save(name, matrices: state.matrices, value: state.progress)
      }, progress: reporter.progress)
    guard configuration.graph.textNodes, let text else { return vectors }
    return try TextNodes(graph: vectors, text: text, train: split.train, pool: pool).completing(
      vectors, text: text, train: split.train)
  }

  // MARK: Text and tags

  private var graphTexts: GraphTexts {
    GraphTexts(dataset: dataset, languageModel: languageModel, pool: pool, reporter: reporter)
  }

  private func embedTexts() throws(GLTAError) -> Matrix {
    let name = TrainingStage.text.rawValue
    if folder.contains(name) {
      return try folder.load(name, as: [String: Int].self).matrices.first?.value ?? Matrix(rows: 0, columns: 0)
    }
    let embeddings = try graphTexts.items()
    try folder.save(name, matrices: [("items", embeddings)], value: ["items": embeddings.rows])
    return embeddings
  }

  /// Words of an item that its text embedding reads.
  static let wordsPerEmbedding = 60

  private func makeTags(
    _ text: Matrix, _ graph: GraphEmbeddings, _ embedder: TextEmbedder, _ parts: VisibleParts
  ) throws(GLTAError) -> TagTable {
    let options = configuration.alignment
    guard options.profileTags > 0 || options.predictionTags > 0 else { return .empty(items: dataset.catalogue.count) }
    if let file = self.tags, file.subject == .items {
      let (table, items) = try file.items(of: dataset.catalogue, graph: graph, pool: pool)
      reporter.say(
        "profile and prediction tokens: \(table.vocabulary.count) tags that a decoder wrote for \(items) of "
          + "\(dataset.catalogue.count) items")
      return table
    }
    let tags = try TagExtractor.extract(
      catalogue: dataset.catalogue, itemEmbeddings: text, graph: graph, embedder: embedder, pool: pool)
    reporter.say("profile and prediction tokens: \(tags.vocabulary.count) tags out of categories and titles")
    guard let file = self.tags else { return tags }
    let (table, users) = try file.users(of: dataset, visible: parts.visible, addingTo: tags)
    reporter.say(
      "profile and prediction tokens: \(table.vocabulary.count - tags.vocabulary.count) more that a decoder wrote for "
        + "\(users) of \(dataset.userIDs.count) users")
    return table
  }

  private func makeBundle(
    split: InteractionSplit, graph: GraphEmbeddings, text: Matrix, tags: TagTable
  ) throws(GLTAError) -> RecommenderBundle {
    let alignment = AlignmentModel(
      graph: graph, model: languageModel.model, tokenizer: languageModel.tokenizer,
      options: configuration.alignment, seed: configuration.seed)
    let manifest = BundleManifest(
      recipe: configuration.recipe.rawValue, without: configuration.without.map(\.rawValue),
      seed: configuration.seed, configurationHash: try configuration.hash(),
      data: BundleManifest.Data(
        hash: dataHash, users: dataset.userIDs.count, items: dataset.catalogue.count,
        interactions: dataset.interactions.count, split: configuration.splitMethod.description),
      languageModel: languageModel.record,
      alignment: configuration.alignment, itemTemplate: configuration.itemTemplate,
      userTemplate: configuration.userTemplate, weights: .logitsOnly, validation: [:])
    var bundle = RecommenderBundle(
      manifest: manifest, userIDs: dataset.userIDs, catalogue: dataset.catalogue, split: split, graph: graph,
      textEmbeddings: TagExtractor.centered(text), tags: tags, alignment: alignment,
      itemTokens: alignment.itemTokens(graph, pool: pool))
    bundle.dataName = dataset.name
    return bundle
  }

  // MARK: Stage 2

  private func alignItems(_ bundle: RecommenderBundle, text: Matrix) throws(GLTAError) -> AlignmentModel {
    guard configuration.alignment.itemEpochs > 0 else { return bundle.alignment }
    let texts = ItemText.tokenIDs(
      of: dataset.catalogue, words: configuration.alignment.wordsPerItem, tokenizer: languageModel.tokenizer)
    reporter.say("stage 2, \(ItemAlignmentTrainer.stage): \(texts.filter { !$0.isEmpty }.count) items with a text")
    let trainer = ItemAlignmentTrainer(
      context: context(.itemAlignment), model: languageModel.model, tokenizer: languageModel.tokenizer,
      graph: bundle.graph, template: try InstructionTemplate(configuration.itemTemplate), texts: texts,
      textEmbeddings: text)
    reporter.say("\(try trainer.memoryPlan(bundle.alignment))")
    return try trainer.train(bundle.alignment, resuming: try state(.itemAlignment))
  }

  // MARK: Stage 3

  private func alignUsers(
    _ bundle: RecommenderBundle, _ parts: VisibleParts, _ halves: ValidationHalves
  ) throws(GLTAError) -> AlignmentModel {
    guard configuration.alignment.userEpochs > 0 else { return bundle.alignment }
    let users = (0..<parts.target.rows).filter { parts.target.degree($0) > 0 }.count
    reporter.say(
      "stage 3, \(UserAlignmentTrainer.stage): \(users) users, \(parts.target.count) interactions to predict")
    let writer = UserInstructionWriter(
      template: try InstructionTemplate(configuration.userTemplate), tokenizer: languageModel.tokenizer,
      maximumLength: languageModel.model.maximumLength, hasSlotToken: bundle.alignment.slotToken != nil,
      tags: bundle.tags, options: configuration.alignment)
    let stopping = Array(halves.stopping.prefix(configuration.validationUsers))
    let trainer = UserAlignmentTrainer(
      context: context(.userAlignment), model: languageModel.model, graph: bundle.graph, writer: writer,
      parts: parts
    ) { (alignment) throws(GLTAError) -> Double? in
      var candidate = bundle
      candidate.alignment = alignment
      candidate.manifest.weights = .logitsOnly
      return try BundleEvaluator(recommender: recommender(candidate), pool: pool).validationNDCG(users: stopping)
    }
    reporter.say("\(try trainer.memoryPlan(bundle.alignment))")
    return try trainer.train(bundle.alignment, resuming: try state(.userAlignment))
  }

  private func context(_ stage: TrainingStage) -> AlignmentContext {
    AlignmentContext(
      options: configuration.alignment, seed: configuration.seed, pool: pool, progress: reporter.progress,
      checkpoint: { (state) throws(GLTAError) in
        try folder.save(stage.rawValue, matrices: state.matrices, value: state.progress)
      })
  }

  private func state(_ stage: TrainingStage) throws(GLTAError) -> AlignmentState? {
    guard folder.contains(stage.rawValue) else { return nil }
    let (matrices, progress) = try folder.load(stage.rawValue, as: AlignmentState.Progress.self)
    return AlignmentState(progress: progress, matrices: matrices)
  }

  private func recommender(_ bundle: RecommenderBundle) throws(GLTAError) -> Recommender {
    try Recommender(bundle: bundle, model: languageModel.model, tokenizer: languageModel.tokenizer)
  }

  // MARK: Weights

  private func fitWeights(_ bundle: inout RecommenderBundle, _ halves: ValidationHalves) throws(GLTAError) {
    guard configuration.recipe.fitsWeights else { return }
    let users = Array(halves.fitting.prefix(configuration.validationUsers))
    guard !users.isEmpty else {
      bundle.manifest.weights = .graphOnly
      return
    }
    reporter.say("weights of the final score: \(users.count) validation users")
    let fit = try TermWeightFit(recommender: recommender(bundle), users: users, pool: pool) { done in
      reporter.progress(
        TrainingProgress(stage: "weights", epoch: 1, epochs: 1, step: done, steps: users.count, loss: .nan))
    }.fit()
    bundle.manifest.weights = fit.weights
    bundle.manifest.validation = ["ndcg@10": fit.ndcg, "graph.ndcg@10": fit.graphNDCG]
    let weights = fit.weights
    reporter.say(
      "score = \(weights.graph) graph + \(weights.text) text + \(weights.popularity) popularity + \(weights.gllm) logits"
    )
    guard weights.gllm == 0 else { return }
    reporter.say(
      "logits add nothing to the other terms for these users, so rankings do without them; "
        + "`glta evaluate --logits-alone` shows what it ranks by itself")
  }
}
