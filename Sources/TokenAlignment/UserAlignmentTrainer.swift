public import GraphEncoding
import Interactions
public import LanguageModels
import LogitsMatching
public import Tensors

/// Stage 3, user-item alignment (paper, section "user-item alignment"): the user projector and the GLLM head learn to
/// name the items of a user's target part from an instruction made of the visible part.
public struct UserAlignmentTrainer {
  /// The name of the stage in progress and in messages.
  public static let stage = "user-item alignment"

  private let context: AlignmentContext
  private let model: any LanguageModel
  private let graph: GraphEmbeddings
  private let batch: InstructionBatch
  private let writer: UserInstructionWriter
  private let parts: VisibleParts
  private let validate: (AlignmentModel) throws(GLTAError) -> Double?

  /// A trainer with all that stays frozen.
  ///
  /// - Parameter validate: NDCG@10 of a model on the users that early stopping looks at; nil where there are none, and
  ///   then the last epoch is kept.
  public init(
    context: AlignmentContext, model: any LanguageModel, graph: GraphEmbeddings, writer: UserInstructionWriter,
    parts: VisibleParts, validate: @escaping (AlignmentModel) throws(GLTAError) -> Double?
  ) {
    self.context = context
    self.model = model
    self.graph = graph
    self.writer = writer
    self.parts = parts
    self.validate = validate
    batch = InstructionBatch(
      model: model, opening: writer.opening, activationBytes: context.options.activationBytes, pool: context.pool)
  }

  /// What the stage will hold in memory, before it starts.
  ///
  /// - Throws: `GLTAError.invalidArgument` where a prompt cannot be made short enough.
  public func memoryPlan(_ alignment: AlignmentModel) throws(GLTAError) -> MemoryPlan {
    let history = (0..<parts.visible.rows).map { parts.visible.degree($0) }.max() ?? 0
    return AlignmentPlan(
      model: model, options: context.options, length: try writer.longest(history: history),
      slots: context.options.slots, items: graph.items.rows, tuned: named(alignment), threads: context.pool.threads
    ).memory
  }

  /// Tunes the user projector, the head and the slot's token of `alignment` and returns the best model of the validated ones; the item
  /// projector stays as it is.
  ///
  /// - Parameter state: the checkpoint to go on from; nil = from the start.
  /// - Throws: `GLTAError.diverged` where a loss or gradient is not finite; `.interrupted` where progress asked for it;
  ///   `.invalidFile` and `.mismatch` for a state that does not fit; `.invalidArgument` where a prompt cannot be made
  ///   short enough; errors of the checkpoint and of `validate`.
  public func train(_ alignment: AlignmentModel, resuming state: AlignmentState?) throws(GLTAError) -> AlignmentModel {
    let model = alignment.copy()
    var best = model.copy()
    var parameters = ParameterGroup(named(model))
    var progress = AlignmentState.Progress()
    if let state {
      progress = state.progress
      try parameters.restore(steps: progress.steps) { (name, rows, columns) throws(GLTAError) -> Matrix in
        try state.matrix(name, rows: rows, columns: columns)
      }
      for (name, value) in named(best) {
        value.assign(try state.matrix("best." + name, rows: value.rows, columns: value.columns))
      }
    }
    let itemTokens = model.itemTokens(graph, pool: context.pool)
    while progress.epoch < context.options.userEpochs && !progress.isFinished {
      let goesOn = try trainEpoch(&progress, model, itemTokens, &parameters)
      let metric = try validate(model)
      if metric.map({ $0 > progress.bestMetric ?? -.infinity }) ?? true {
        (progress.bestMetric, progress.bestEpoch) = (metric, progress.epoch)
        best = model.copy()
      }
      progress.isFinished =
        progress.epoch == context.options.userEpochs
        || progress.epoch - progress.bestEpoch >= context.options.patience
      let bestMatrices = named(best).map { (name: "best." + $0.name, value: $0.value) }
      try context.checkpoint(
        AlignmentState(progress: progress, matrices: parameters.state.matrices + bestMatrices))
      if !goesOn { throw .stopped(Self.stage, after: "epoch \(progress.epoch)") }
    }
    return best
  }

  private func named(_ model: AlignmentModel) -> [(name: String, value: Matrix)] {
    model.userProjector.named("user_projector") + model.headAndSlot
  }

  private func trainEpoch(
    _ progress: inout AlignmentState.Progress, _ model: AlignmentModel, _ itemTokens: Matrix,
    _ parameters: inout ParameterGroup
  ) throws(GLTAError) -> Bool {
    let options = context.options
    var users = (0..<parts.target.rows).filter { parts.target.degree($0) > 0 && parts.visible.degree($0) > 0 }
    var random = Philox(seed: context.seed, purpose: "stage 3 users", index: UInt64(progress.epoch)).sequence()
    random.shuffle(&users)
    if options.usersPerEpoch > 0 { users = Array(users.prefix(options.usersPerEpoch)) }
    let steps = (users.count + options.batchSize - 1) / options.batchSize
    var total: Double = 0
    var goesOn = true
    for step in 0..<steps {
      let members = Array(users[step * options.batchSize..<min(users.count, (step + 1) * options.batchSize)])
      let loss = try trainStep(members, epoch: progress.epoch, step: step, model, itemTokens, &parameters)
      total += Double(loss)
      goesOn =
        context.progress(
          TrainingProgress(
            stage: Self.stage, epoch: progress.epoch + 1, epochs: options.userEpochs, step: step + 1, steps: steps,
            loss: Float(total / Double(step + 1)), validation: progress.bestMetric)) && goesOn
    }
    progress.epoch += 1
    try context.requireFinite(parameters, stage: Self.stage, epoch: progress.epoch, step: steps)
    progress.steps = parameters.state.steps
    return goesOn
  }

  private func trainStep(
    _ users: [Int], epoch: Int, step: Int, _ model: AlignmentModel, _ itemTokens: Matrix,
    _ parameters: inout ParameterGroup
  ) throws(GLTAError) -> Float {
    let pool = context.pool
    let nodes = Matrix(rows: users.count, columns: graph.items.columns)
    var instructions: [Instruction] = []
    var targets: [Int32] = []
    for (row, user) in users.enumerated() {
      let items = Array(parts.visible[user])
      let view = UserView(items: items, graph: graph, historyLength: context.options.historyLength)
      for (column, value) in view.vector.enumerated() { nodes[row, column] = value }
      instructions.append(try writer.write(view: view, items: items, user: user))
      targets += drawTargets(user, epoch: epoch)
    }
    let hidden = try batch.forward(
      instructions, itemTokens: itemTokens, userTokens: model.userProjector.project(nodes, pool: pool),
      slotToken: model.slotToken)
    let gradients = model.head.lossAndGradients(
      hidden: hidden, targets: targets, tokens: itemTokens, scale: 1 / Float(targets.count),
      wantsTokenGradient: false, pool: pool)
    let loss = gradients.losses.reduce(0, +) / Float(targets.count)
    try context.requireFinite(loss, "loss", stage: Self.stage, epoch: epoch + 1, step: step + 1)
    let duserTokens = Matrix(rows: users.count, columns: itemTokens.columns)
    let dslot = model.slotToken.map { Matrix(rows: 1, columns: $0.columns) }
    batch.backward(
      instructions, dhidden: gradients.hidden, ditemTokens: nil, duserTokens: duserTokens, dslotToken: dslot)
    let projector = model.userProjector.gradients(nodes: nodes, dtokens: duserTokens, pool: pool)
    let norm = parameters.step(
      gradients: [projector.weight, projector.bias, gradients.weight, gradients.bias] + (dslot.map { [$0] } ?? []),
      options: Adam.Options(learningRate: context.options.userLearningRate),
      maximumNorm: context.options.gradientNorm, pool: pool)
    try context.requireFinite(norm, "gradient", stage: Self.stage, epoch: epoch + 1, step: step + 1)
    return loss
  }

  /// The answers of a user's slots: the target items in random order (no order is assumed), from the start again where
  /// there are fewer than slots.
  private func drawTargets(_ user: Int, epoch: Int) -> [Int32] {
    var items = Array(parts.target[user])
    var random = Philox(
      seed: context.seed, purpose: "stage 3 targets", index: UInt64(epoch) << 32 | UInt64(user)
    ).sequence()
    random.shuffle(&items)
    return (0..<context.options.slots).map { items[$0 % items.count] }
  }
}
