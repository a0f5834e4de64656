public import Interactions
import RankingEvaluation
public import Tensors

/// Where the training of a graph encoder stands after an epoch: enough to go on to the same bits.
public struct GraphEncoderState: Sendable {
  /// The part of a checkpoint that is no matrix; kept as JSON.
  public struct Progress: Sendable, Codable, Equatable {
    /// Epochs that are done.
    public var epoch = 0
    /// Optimiser steps that are done.
    public var steps = 0
    /// The best validation NDCG@10 so far; nil before the first look, and where no user has a validation item.
    public var bestMetric: Double?
    /// Looks at the metric since the best.
    public var looksSinceBest = 0
    /// Whether the training has ended, by its last epoch or early.
    public var isFinished = false
  }

  /// How far training has come.
  public var progress: Progress
  /// "layer0" with its moments, and "best.layer0"; nodes x d each.
  public var matrices: [(name: String, value: Matrix)]

  /// A state as a checkpoint holds it.
  public init(progress: Progress, matrices: [(name: String, value: Matrix)]) {
    self.progress = progress
    self.matrices = matrices
  }
}

/// Stage 1, graph pretraining (paper, stage 1): LightGCN with BPR, full propagation each step, early stopping on
/// validation NDCG@10.
public struct LightGCNTrainer {
  /// The name of the stage in progress and in messages.
  public static let stage = "graph encoder"

  private let options: GraphEncoderOptions
  private let split: InteractionSplit
  private let seed: UInt64
  private let pool: ThreadPool
  private let encoder: LightGCN

  /// A trainer on `split.train`. Early stopping looks at `split.validation`; nothing looks at `split.test`.
  public init(options: GraphEncoderOptions, split: InteractionSplit, seed: UInt64, pool: ThreadPool) {
    self.options = options
    self.split = split
    self.seed = seed
    self.pool = pool
    encoder = LightGCN(graph: NormalizedGraph(split.train), layers: options.layers)
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
    var parameters = ParameterGroup([("layer0", initialEmbeddings())])
    var best = parameters["layer0"].copy()
    var progress = GraphEncoderState.Progress()
    if let state {
      progress = state.progress
      try restore(state, &parameters, best)
    }
    let sampler = TripleSampler(train: split.train, order: options.sampling, seed: seed)
    let memory = StepMemory(nodes: encoder.graph.nodes, columns: options.dimensions)
    while progress.epoch < options.epochs && !progress.isFinished {
      let goesOn = try trainEpoch(&progress, sampler, &parameters, memory, report)
      if progress.epoch % options.evaluateEvery == 0 || progress.epoch == options.epochs {
        let metric = validationNDCG(parameters["layer0"])
        if metric.map({ $0 > progress.bestMetric ?? -.infinity }) ?? true {
          (progress.bestMetric, progress.looksSinceBest) = (metric, 0)
          best = parameters["layer0"].copy()
        } else {
          progress.looksSinceBest += 1
        }
        progress.isFinished = progress.looksSinceBest >= options.patience || progress.epoch == options.epochs
      } else if goesOn {
        continue
      }
      try checkpoint(
        GraphEncoderState(
          progress: progress, matrices: parameters.state.matrices + [(name: "best.layer0", value: best)]))
      if !goesOn { throw .stopped(Self.stage, after: "epoch \(progress.epoch)") }
    }
    return encoder.embeddings(best, pool: pool)
  }

  /// N(0, 0.1), as the paper's code starts.
  private func initialEmbeddings() -> Matrix {
    let matrix = Matrix(rows: encoder.graph.nodes, columns: options.dimensions)
    var random = Philox(seed: seed, purpose: "graph embeddings").sequence()
    for index in 0..<matrix.count { matrix.base[index] = 0.1 * random.normal() }
    return matrix
  }

  private func restore(
    _ state: GraphEncoderState, _ parameters: inout ParameterGroup, _ best: Matrix
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
    try parameters.restore(steps: state.progress.steps, from: find)
    best.assign(try find("best.layer0", best.rows, best.columns))
  }

  private func trainEpoch(
    _ progress: inout GraphEncoderState.Progress, _ sampler: TripleSampler, _ parameters: inout ParameterGroup,
    _ memory: StepMemory, _ report: ProgressHandler
  ) throws(GLTAError) -> Bool {
    let triples = sampler.triples(epoch: progress.epoch)
    let size = options.batchSize(edges: triples.count)
    let steps = (triples.count + size - 1) / size
    var total: Double = 0
    var goesOn = true
    for step in 0..<steps {
      let batch = Array(triples[step * size..<min(triples.count, (step + 1) * size)])
      let loss = trainStep(batch, &parameters, memory)
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
    guard parameters.isFinite else {
      throw .diverged(Self.stage, "an embedding is no finite number", epoch: progress.epoch, step: steps)
    }
    progress.steps = parameters.state.steps
    return goesOn
  }

  private func trainStep(_ batch: [Triple], _ parameters: inout ParameterGroup, _ memory: StepMemory) -> Float {
    let layer0 = parameters["layer0"]
    encoder.apply(layer0, work: memory.work, into: memory.output, pool: pool)
    let loss = BPRLoss.forwardBackward(
      batch, users: encoder.graph.users, output: memory.output, layer0: layer0, l2: options.l2,
      doutput: memory.doutput, dlayer0: memory.dlayer0, pool: pool)
    // The output's own memory takes the gradient of layer 0 by way of the propagation.
    encoder.apply(memory.doutput, work: memory.work, into: memory.output, pool: pool)
    Accumulate.add(memory.dlayer0.count, memory.dlayer0.base, to: memory.output.base)
    let norm = parameters.step(
      gradients: [memory.output], options: Adam.Options(learningRate: options.learningRate), maximumNorm: .infinity,
      pool: pool)
    return norm.isFinite ? loss : .nan
  }

  /// Nil where no user has a validation item: then the last epoch is kept.
  private func validationNDCG(_ layer0: Matrix) -> Double? {
    let users = (0..<split.validation.rows).filter { split.validation.degree($0) > 0 }
    guard !users.isEmpty else { return nil }
    let embeddings = encoder.embeddings(layer0, pool: pool)
    let rankings = embeddings.rank(users: users, excluding: [split.train], pool: pool)
    return MetricReport(users: users, rankings: rankings, relevant: split.validation)["ndcg@10"]
  }

  /// Matrices of one step, nodes x d each, allocated once.
  private struct StepMemory {
    let work: Matrix
    let output: Matrix
    let doutput: Matrix
    let dlayer0: Matrix

    init(nodes: Int, columns: Int) {
      work = Matrix(rows: nodes, columns: columns)
      output = Matrix(rows: nodes, columns: columns)
      doutput = Matrix(rows: nodes, columns: columns)
      dlayer0 = Matrix(rows: nodes, columns: columns)
    }
  }
}
