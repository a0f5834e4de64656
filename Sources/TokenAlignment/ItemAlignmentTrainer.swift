public import GraphEncoding
public import LanguageModels
import LogitsMatching
public import Tensors

/// Stage 2, item-text alignment (paper, section "item-text alignment"): the item projector and the GLLM head learn to put
/// item tokens in the order of their descriptions, through a frozen language model.
///
/// The answer of slot t is the item whose description stands t-th, while the item tokens stand in an order of their own:
/// only by reading the text can it be found. The recipe may add InfoNCE between item tokens and text embeddings.
public struct ItemAlignmentTrainer {
  /// The name of the stage in progress and in messages.
  public static let stage = "item-text alignment"

  private let context: AlignmentContext
  private let model: any LanguageModel
  private let graph: GraphEmbeddings
  private let writer: InstructionWriter
  private let texts: [[Int32]]
  private let textEmbeddings: Matrix
  private let batch: InstructionBatch

  /// A trainer with all that stays frozen.
  ///
  /// - Parameters:
  ///   - texts: the token ids of each item's text; items without any are left out.
  ///   - textEmbeddings: |I| x D, for the contrastive term; a zero row is left out.
  public init(
    context: AlignmentContext, model: any LanguageModel, tokenizer: any TextTokenizer, graph: GraphEmbeddings,
    template: InstructionTemplate, texts: [[Int32]], textEmbeddings: Matrix
  ) {
    self.context = context
    self.model = model
    self.graph = graph
    self.texts = texts
    self.textEmbeddings = textEmbeddings
    writer = InstructionWriter(
      template: template, tokenizer: tokenizer, maximumLength: model.maximumLength,
      hasSlotToken: AlignmentModel.needsSlotToken(model: model, tokenizer: tokenizer))
    batch = InstructionBatch(
      model: model, opening: writer.opening, activationBytes: context.options.activationBytes, pool: context.pool)
  }

  /// What the stage will hold in memory, before it starts.
  ///
  /// - Throws: `GLTAError.invalidArgument` where a prompt cannot be made short enough.
  public func memoryPlan(_ alignment: AlignmentModel) throws(GLTAError) -> MemoryPlan {
    var content = InstructionContent()
    content.texts = Array(texts.sorted { $0.count > $1.count }.prefix(context.options.itemsPerInstruction))
    content.items = content.texts.map { _ in 0 }
    content.slots = content.texts.count
    return AlignmentPlan(
      model: model, options: context.options, length: try writer.write(content).length, slots: content.slots,
      items: texts.count, tuned: named(alignment), threads: context.pool.threads
    ).memory
  }

  /// Tunes the item projector, the head and the slot's token of `alignment`, which it returns as a new model.
  ///
  /// - Parameter state: the checkpoint to go on from; nil = from the start.
  /// - Throws: `GLTAError.diverged` where a loss or gradient is not finite; `.interrupted` where progress asked for it;
  ///   `.invalidFile` and `.mismatch` for a state that does not fit; `.invalidArgument` where a prompt cannot be made
  ///   short enough; errors of the checkpoint.
  public func train(_ alignment: AlignmentModel, resuming state: AlignmentState?) throws(GLTAError) -> AlignmentModel {
    let model = alignment.copy()
    var parameters = ParameterGroup(named(model))
    var progress = AlignmentState.Progress()
    if let state {
      progress = state.progress
      try parameters.restore(steps: progress.steps) { (name, rows, columns) throws(GLTAError) -> Matrix in
        try state.matrix(name, rows: rows, columns: columns)
      }
    }
    while progress.epoch < context.options.itemEpochs && !progress.isFinished {
      let goesOn = try trainEpoch(progress.epoch, model, &parameters)
      progress.epoch += 1
      progress.steps = parameters.state.steps
      progress.isFinished = progress.epoch == context.options.itemEpochs
      try context.checkpoint(AlignmentState(progress: progress, matrices: parameters.state.matrices))
      if !goesOn { throw .stopped(Self.stage, after: "epoch \(progress.epoch)") }
    }
    return model
  }

  private func named(_ model: AlignmentModel) -> [(name: String, value: Matrix)] {
    model.itemProjector.named("item_projector") + model.headAndSlot
  }

  private func trainEpoch(
    _ epoch: Int, _ model: AlignmentModel, _ parameters: inout ParameterGroup
  ) throws(GLTAError) -> Bool {
    let options = context.options
    let groups = groups(epoch: epoch)
    let steps = (groups.count + options.batchSize - 1) / options.batchSize
    var total: Double = 0
    var goesOn = true
    for step in 0..<steps {
      let members = Array(groups[step * options.batchSize..<min(groups.count, (step + 1) * options.batchSize)])
      let loss = try trainStep(members, epoch: epoch, step: step, model, &parameters)
      total += Double(loss)
      goesOn =
        context.progress(
          TrainingProgress(
            stage: Self.stage, epoch: epoch + 1, epochs: options.itemEpochs, step: step + 1, steps: steps,
            loss: Float(total / Double(step + 1)))) && goesOn
    }
    try context.requireFinite(parameters, stage: Self.stage, epoch: epoch + 1, step: steps)
    return goesOn
  }

  /// The items with a text in random order, cut into the groups of one instruction each.
  private func groups(epoch: Int) -> [[Int32]] {
    var items = texts.indices.filter { !texts[$0].isEmpty }.map(Int32.init)
    var random = Philox(seed: context.seed, purpose: "stage 2 groups", index: UInt64(epoch)).sequence()
    random.shuffle(&items)
    let size = context.options.itemsPerInstruction
    return stride(from: 0, to: items.count, by: size).map { Array(items[$0..<min(items.count, $0 + size)]) }
  }

  private func trainStep(
    _ groups: [[Int32]], epoch: Int, step: Int, _ model: AlignmentModel, _ parameters: inout ParameterGroup
  ) throws(GLTAError) -> Float {
    let pool = context.pool
    let tokens = model.itemTokens(graph, pool: pool)
    let instructions = try write(groups, epoch: epoch, step: step)
    let targets = zip(groups, instructions).flatMap { $0.prefix($1.slotPositions.count) }
    let hidden = try batch.forward(
      instructions, itemTokens: tokens, userTokens: nil, slotToken: model.slotToken)
    let gradients = model.head.lossAndGradients(
      hidden: hidden, targets: targets, tokens: tokens, scale: 1 / Float(targets.count), wantsTokenGradient: true,
      pool: pool)
    var loss = gradients.losses.reduce(0, +) / Float(targets.count)
    let dtokens = gradients.tokens ?? Matrix(rows: tokens.rows, columns: tokens.columns)
    let dslot = model.slotToken.map { Matrix(rows: 1, columns: $0.columns) }
    batch.backward(
      instructions, dhidden: gradients.hidden, ditemTokens: dtokens, duserTokens: nil, dslotToken: dslot)
    if context.options.contrastiveWeight > 0 {
      loss += ContrastiveTerm.add(
        items: groups.flatMap { $0 }, tokens: tokens, textEmbeddings: textEmbeddings,
        temperature: context.options.contrastiveTemperature, weight: context.options.contrastiveWeight,
        gradient: dtokens, pool: pool)
    }
    try context.requireFinite(loss, "loss", stage: Self.stage, epoch: epoch + 1, step: step + 1)
    let projector = model.itemProjector.gradients(nodes: graph.items, dtokens: dtokens, pool: pool)
    let norm = parameters.step(
      gradients: [projector.weight, projector.bias, gradients.weight, gradients.bias] + (dslot.map { [$0] } ?? []),
      options: Adam.Options(learningRate: context.options.itemLearningRate),
      maximumNorm: context.options.gradientNorm, pool: pool)
    try context.requireFinite(norm, "gradient", stage: Self.stage, epoch: epoch + 1, step: step + 1)
    return loss
  }

  private func write(_ groups: [[Int32]], epoch: Int, step: Int) throws(GLTAError) -> [Instruction] {
    var random = Philox(
      seed: context.seed, purpose: "stage 2 orders", index: UInt64(epoch) << 32 | UInt64(step)
    ).sequence()
    var instructions: [Instruction] = []
    for group in groups {
      var content = InstructionContent()
      content.texts = group.map { texts[Int($0)] }
      content.items = group
      random.shuffle(&content.items)
      content.slots = group.count
      instructions.append(try writer.write(content))
    }
    return instructions
  }
}
