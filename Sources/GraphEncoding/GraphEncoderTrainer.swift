public import Interactions
public import Tensors

/// Stage 1, graph pretraining (paper, stage 1): the epochs of any graph encoder, with early stopping on a validation
/// metric and a checkpoint at every look.
public struct GraphEncoderTrainer {
  /// The name of the stage in progress and in messages.
  public static let stage = "graph encoder"

  private let options: GraphEncoderOptions
  private let split: InteractionSplit
  private let seed: UInt64
  private let pool: ThreadPool
  private let text: Matrix?
  private let profiles: NodeProfiles?

  /// A trainer on `split.train`. Early stopping looks at `split.validation`; nothing looks at `split.test`.
  ///
  /// - Parameter text: |I| x t text embeddings, centred and of length one; zeros for items without text. Needed by methods
  ///   that read text.
  /// - Parameter profiles: what RLMRec aligns vectors with; nil takes `text`, and its means for users.
  public init(
    options: GraphEncoderOptions, split: InteractionSplit, text: Matrix? = nil, profiles: NodeProfiles? = nil,
    seed: UInt64, pool: ThreadPool
  ) {
    self.text = text
    self.profiles = profiles
    self.options = options
    self.split = split
    self.seed = seed
    self.pool = pool
  }

  /// What a training will hold in memory, before it starts.
  public var memoryPlan: MemoryPlan {
    let (nodes, columns) = (split.train.rows + split.train.columns, options.paddedDimensions)
    let edges = split.train.count
    guard options.method.givesVectors else {
      let items = split.train.columns
      return MemoryPlan([("items x items", options.method == .ease ? 12 * items * items : 0)])
    }
    let batch = min(
      nodes, 3 * options.batchSize(edges: edges) + (options.encoderLoss == .softmax ? split.train.columns : 0))
    var parts = [
      ("graph, and its rows in groups", 2 * edges * (4 + 2) + nodes * 56),
      ("embeddings and Adam's moments", 3 * nodes * columns * 4),
      ("best embeddings", nodes * columns * 4),
      ("average embeddings", options.averaging > 0 ? nodes * columns * 4 : 0),
      ("triples of an epoch", edges * MemoryLayout<Triple>.stride), ("a batch", 2 * batch * columns * 4),
    ]
    if options.method.isHypergraph {
      parts.append(("layers", (3 * options.layers + 5) * nodes * columns * 4 + 2 * nodes * options.hyperedges * 4))
    } else {
      let bytes = BatchPropagation.byteCount(
        nodes: nodes, layers: options.encoderLayers, columns: columns, precision: options.precision)
      parts.append(("layers in \(options.precision.rawValue)", bytes))
    }
    if options.encoderLoss != .bpr { parts.append(("logits", SampledSoftmaxLoss.block * batch * 4)) }
    return MemoryPlan(parts)
  }

  /// Trains to the end, or to the early one, and returns the best embeddings by validation.
  ///
  /// - Throws: `GLTAError.diverged` where a loss is not finite: the last checkpoint is from before; `.interrupted` where
  ///   `progress` asked for it; `.invalidArgument` for options that cannot work; `.mismatch` for the state of another
  ///   run; errors of `checkpoint`.
  public func train(
    resuming state: GraphEncoderState? = nil, checkpoint: (GraphEncoderState) throws(GLTAError) -> Void,
    progress report: ProgressHandler
  ) throws(GLTAError) -> GraphEmbeddings {
    try options.validate()
    let model = try makeModel()
    let best = model.parameters.values.map { $0.copy() }
    let average = options.averaging > 0 ? ParameterAverage(of: model.parameters, decay: options.averaging) : nil
    var progress = GraphEncoderState.Progress()
    if let state {
      progress = state.progress
      try restore(state, model, best, average)
    }
    let sampler = TripleSampler(
      train: split.train, order: options.sampling, seed: seed, drawsNegatives: options.encoderLoss == .bpr)
    while progress.epoch < options.epochs && !progress.isFinished {
      let goesOn = try trainEpoch(&progress, sampler, model, report)
      average?.update(model.parameters, epoch: progress.epoch - 1)
      if progress.epoch % options.evaluateEvery == 0 || progress.epoch == options.epochs {
        exchange(average, with: model)
        // Without validation items the last epoch is kept.
        let metric =
          split.validation.count > 0
          ? model.embeddings().validationMetric(options.metric, of: split, pool: pool) : nil
        if metric.map({ $0 > progress.bestMetric ?? -.infinity }) ?? true {
          (progress.bestMetric, progress.looksSinceBest) = (metric, 0)
          for (copy, value) in zip(best, model.parameters.values) { copy.assign(value) }
        } else {
          progress.looksSinceBest += 1
        }
        exchange(average, with: model)
        progress.isFinished = progress.looksSinceBest >= options.patience || progress.epoch == options.epochs
      } else if goesOn {
        continue
      }
      try checkpoint(
        GraphEncoderState(
          progress: progress,
          matrices: model.parameters.state.matrices.map { (name: $0.name, value: model.saved($0.value, name: $0.name)) }
            + zip(model.parameters.names, best).map { (name: "best." + $0, value: model.saved($1, name: $0)) }
            + (average?.state(of: model) ?? [])))
      if !goesOn { throw .stopped(Self.stage, after: "epoch \(progress.epoch)") }
    }
    for (value, copy) in zip(model.parameters.values, best) { value.assign(copy) }
    model.parametersDidChange()
    return model.embeddings()
  }

  private func exchange(_ average: ParameterAverage?, with model: any GraphModel) {
    guard let average else { return }
    average.exchange(with: model.parameters)
    model.parametersDidChange()
  }

  /// Ranks by any method: those without vectors have nothing to train step by step.
  ///
  /// - Throws: what `train` throws.
  public func model(
    resuming state: GraphEncoderState? = nil, checkpoint: (GraphEncoderState) throws(GLTAError) -> Void,
    progress report: ProgressHandler
  ) throws(GLTAError) -> any PreferenceModel {
    switch options.method {
    case .popularity: return Popularity(train: split.train)
    case .ease:
      try options.validate()
      return try EASE(
        train: split.train, l2: options.easeL2, dropout: options.easeDropout,
        userWeights: split.train.userWeights(exponent: options.userWeighting), pool: pool)
    case .textKNN:
      try options.validate()
      return TextNeighbours(
        train: split.train, text: try requiredText(), neighbours: options.neighbours, pool: pool)
    default: return try train(resuming: state, checkpoint: checkpoint, progress: report)
    }
  }

  /// The model that the method trains, before its first step.
  ///
  /// - Throws: `GLTAError.invalidArgument` where the method gives no vectors, or reads texts and there are none.
  package func makeModel() throws(GLTAError) -> any GraphModel {
    guard options.method.givesVectors else {
      throw GLTAError(
        .invalidArgument, "\(options.method.rawValue) gives no vectors, which a bundle is made of",
        hint: "measure it with --graph-only, or take another --method")
    }
    let text = options.method.readsText ? TextInputs(items: try requiredText(), profiles: try fittingProfiles()) : nil
    return options.method.isHypergraph
      ? HCCFModel(options: options, train: split.train, text: text, seed: seed, pool: pool)
      : LightGCNModel(options: options, train: split.train, text: text, seed: seed, pool: pool)
  }

  private func requiredText() throws(GLTAError) -> Matrix {
    guard let text, text.rows == split.train.columns else {
      throw GLTAError(
        .invalidArgument, "\(options.method.rawValue) reads the texts of items, and there are none",
        hint: "give a --language-model and a data set with titles or descriptions")
    }
    return text
  }

  private func fittingProfiles() throws(GLTAError) -> NodeProfiles? {
    guard options.method.readsProfiles, let profiles else { return nil }
    guard profiles.users.rows == split.train.rows, profiles.items.rows == split.train.columns else {
      throw GLTAError(
        .mismatch,
        "profiles of \(profiles.users.rows) users and \(profiles.items.rows) items, expected \(split.train.rows) and \(split.train.columns)"
      )
    }
    return profiles
  }

  private func restore(
    _ state: GraphEncoderState, _ model: any GraphModel, _ best: [Matrix], _ average: ParameterAverage?
  ) throws(GLTAError) {
    func find(_ name: String, _ rows: Int, _ columns: Int) throws(GLTAError) -> Matrix {
      guard let matrix = state.matrices.first(where: { $0.name == name })?.value, matrix.rows == rows,
        matrix.columns == columns
      else {
        throw GLTAError(
          .mismatch, "the checkpoint of \(Self.stage) has no \(name) of \(rows) x \(columns)",
          hint: "train again without --resume")
      }
      return matrix
    }
    try model.parameters.restore(steps: state.progress.steps) { (name, rows, columns) throws(GLTAError) in
      model.loaded(try find(name, rows, columns), name: name)
    }
    for (name, copy) in zip(model.parameters.names, best) {
      copy.assign(model.loaded(try find("best." + name, copy.rows, copy.columns), name: name))
    }
    try average?.restore(model, from: find)
    model.parametersDidChange()
  }

  private func trainEpoch(
    _ progress: inout GraphEncoderState.Progress, _ sampler: TripleSampler, _ model: any GraphModel,
    _ report: ProgressHandler
  ) throws(GLTAError) -> Bool {
    let triples = sampler.triples(epoch: progress.epoch)
    let size = options.batchSize(edges: triples.count)
    let steps = (triples.count + size - 1) / size
    var total: Double = 0
    var goesOn = true
    for step in 0..<steps {
      let loss = model.trainStep(
        triples[step * size..<min(triples.count, (step + 1) * size)], step: model.parameters.steps)
      guard loss.isFinite else {
        throw .diverged(Self.stage, "the loss is \(loss)", epoch: progress.epoch + 1, step: step + 1)
      }
      total += Double(loss)
      goesOn =
        report(
          TrainingProgress(
            stage: Self.stage, epoch: progress.epoch + 1, epochs: options.epochs, step: step + 1, steps: steps,
            loss: Float(total / Double(step + 1)), validation: progress.bestMetric)) && goesOn
    }
    progress.epoch += 1
    guard model.parameters.isFinite else {
      throw .diverged(Self.stage, "an embedding is no finite number", epoch: progress.epoch, step: steps)
    }
    progress.steps = model.parameters.steps
    return goesOn
  }
}
