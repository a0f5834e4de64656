import Interactions
import Tensors

/// What a graph encoder is trained for, on the vectors of a batch's nodes: a ranking loss, the L2 term on layer 0, and for
/// methods that read texts the term that aligns them.
struct BatchObjective {
  private let options: GraphEncoderOptions
  private let train: CSRMatrix
  private let seed: UInt64
  private let pool: ThreadPool
  private let softmax: SampledSoftmaxLoss?
  private let alignment: TextAlignment?

  init(options: GraphEncoderOptions, train: CSRMatrix, text: TextInputs?, seed: UInt64, pool: ThreadPool) {
    self.options = options
    self.train = train
    self.seed = seed
    self.pool = pool
    softmax =
      options.encoderLoss == .bpr
      ? nil
      : SampledSoftmaxLoss(
        train: train, temperature: options.temperature, isCosine: options.cosine,
        correction: options.correction(of: train),
        userWeights: train.userWeights(exponent: options.userWeighting))
    alignment =
      options.method.readsText
      ? text.map { TextAlignment(options: options, train: train, text: $0.items, profiles: $0.profiles) } : nil
  }

  /// Parameters beside the encoder's.
  func initialParameters() -> [(name: String, value: Matrix)] { alignment?.initialParameters(seed: seed) ?? [] }

  /// The nodes that a batch mentions: those of its triples first.
  func mentions(_ triples: ArraySlice<Triple>, step: Int) -> [Int32] {
    guard softmax != nil else { return BPRLoss.mentions(triples, users: train.rows) }
    return SampledSoftmaxLoss.mentions(
      triples, candidates: options.candidates(items: train.columns, seed: seed, step: step), users: train.rows)
  }

  /// The loss of a batch and its gradients.
  ///
  /// - Parameters:
  ///   - layer0: nodes x d; the L2 term is part of the loss, its gradient is that of `decay`.
  ///   - gradient: |batch| x d, overwritten with the gradient of `output`.
  /// - Returns: the mean loss of a triple, and the gradients of `initialParameters` in their order.
  func forwardBackward(
    _ batch: BatchNodes, triples: Int, masked: [Int] = [], layer0: Matrix, output: Matrix, gradient: Matrix,
    parameters: ParameterGroup
  ) -> (loss: Double, parameters: [Matrix]) {
    var loss =
      softmax?.forwardBackward(batch, pairs: triples, output: output, gradient: gradient, pool: pool)
      ?? BPRLoss.forwardBackward(batch, output: output, gradient: gradient, pool: pool)
    loss += squares(batch, triples, layer0)
    guard let alignment else { return (loss, []) }
    let (term, gradients) = alignment.addForwardBackward(
      batch, masked: masked, output: output, gradient: gradient, parameters: parameters, pool: pool)
    return (loss + term, gradients)
  }

  /// What layer 0 of each slot is multiplied by in the gradient of the L2 term.
  func decay(_ batch: BatchNodes, triples: Int) -> [Float] {
    decayedMentions(batch, triples).map { options.l2 / Float(triples) * $0 }
  }

  /// How often the L2 term counts each slot: once for each mention by a triple, not as a candidate for the whole batch.
  private func decayedMentions(_ batch: BatchNodes, _ triples: Int) -> [Float] {
    var counts = [Float](repeating: 0, count: batch.count)
    for slot in batch.slots[..<(softmax == nil ? 3 * triples : 2 * triples)] { counts[Int(slot)] += 1 }
    return counts
  }

  /// l2 / 2 times the squares of layer 0 over the mentions, for each triple.
  private func squares(_ batch: BatchNodes, _ triples: Int, _ layer0: Matrix) -> Double {
    guard options.l2 > 0 else { return 0 }
    let (nodes, counts, size) = (batch.nodes, decayedMentions(batch, triples), 256)
    let sums = Matrix(rows: 1, columns: (nodes.count + size - 1) / size)
    pool.forEach(sums.columns) { piece, _ in
      for slot in piece * size..<min(nodes.count, (piece + 1) * size) where counts[slot] > 0 {
        sums.base[piece] += counts[slot] * Accumulate.squares(layer0.columns, layer0.row(Int(nodes[slot])))
      }
    }
    let squares = sums.elements.reduce(0.0) { $0 + Double($1) }
    return Double(options.l2) / 2 * squares / Double(triples)
  }
}

extension GraphEncoderOptions {
  /// Candidates of a batch beside its positives: all items, or some drawn uniformly.
  fileprivate func candidates(items: Int, seed: UInt64, step: Int) -> [Int32] {
    guard encoderLoss == .sampledSoftmax else { return (0..<Int32(items)).map { $0 } }
    var random = Philox(seed: seed, purpose: "softmax candidates", index: UInt64(step)).sequence()
    return (0..<negatives).map { _ in Int32(random.index(below: items)) }
  }

  /// c log q of each item, q being how often a batch is expected to draw it.
  fileprivate func correction(of train: CSRMatrix) -> [Float] {
    guard encoderLoss == .sampledSoftmax, popularityCorrection > 0 else { return [] }
    var degrees = [Float](repeating: 0, count: train.columns)
    for item in train.indices { degrees[Int(item)] += 1 }
    let perEdge = Float(batchSize(edges: train.count)) / Float(max(1, train.count))
    let uniform = Float(negatives) / Float(train.columns)
    return degrees.map { popularityCorrection * Float(logOf(Double(max(1e-6, $0 * perEdge + uniform)))) }
  }
}
