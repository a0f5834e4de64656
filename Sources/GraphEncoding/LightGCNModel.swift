import Interactions
import Tensors

/// LightGCN in training, and matrix factorisation as its case without layers: propagation for the nodes of a batch, a
/// loss on their vectors, and Adam on layer 0 as its gradient comes out of the last layer.
final class LightGCNModel: GraphModel {
  var parameters: ParameterGroup
  private let options: GraphEncoderOptions
  private let train: CSRMatrix
  private let seed: UInt64
  private let pool: ThreadPool
  private let encoder: LightGCN
  private let propagation: BatchPropagation
  private let batch: BatchNodes
  private let softmax: SampledSoftmaxLoss?
  private var output = Matrix(rows: 0, columns: 0)
  private var gradient = Matrix(rows: 0, columns: 0)

  init(options: GraphEncoderOptions, train: CSRMatrix, seed: UInt64, pool: ThreadPool) {
    self.options = options
    self.train = train
    self.seed = seed
    self.pool = pool
    encoder = LightGCN(graph: NormalizedGraph(train), layers: options.encoderLayers)
    let graph = encoder.graph
    propagation = BatchPropagation(
      graph: graph, layers: encoder.layers, columns: options.paddedDimensions, precision: options.precision, pool: pool)
    batch = BatchNodes(nodes: graph.nodes)
    softmax =
      options.loss == .bpr
      ? nil
      : SampledSoftmaxLoss(
        train: train, temperature: options.temperature, isCosine: options.cosine,
        correction: options.correction(of: train))
    parameters = ParameterGroup([
      (
        "layer0",
        LightGCNModel.initialEmbeddings(
          nodes: graph.nodes, dimensions: options.dimensions, columns: options.paddedDimensions, seed: seed)
      )
    ])
    parametersDidChange()
  }

  /// N(0, 0.1), as the paper's code starts, with columns of zeros after the d that count.
  static func initialEmbeddings(nodes: Int, dimensions: Int, columns: Int, seed: UInt64) -> Matrix {
    let matrix = Matrix(rows: nodes, columns: columns)
    var random = Philox(seed: seed, purpose: "graph embeddings").sequence()
    for row in 0..<nodes { for column in 0..<dimensions { matrix.row(row)[column] = 0.1 * random.normal() } }
    return matrix
  }

  func parametersDidChange() { propagation.assign(parameters["layer0"]) }

  func embeddings() -> GraphEmbeddings {
    encoder.embeddings(
      parameters["layer0"].firstColumns(options.dimensions), byCosine: options.ranksByCosine, pool: pool)
  }

  func trainStep(_ triples: ArraySlice<Triple>, step: Int) -> Float {
    batch.assign(mentions(triples, step))
    reserve(batch.count)
    let layer0 = parameters["layer0"]
    propagation.forward(layer0, batch, into: output)
    var loss =
      softmax?.forwardBackward(batch, pairs: triples.count, output: output, gradient: gradient, pool: pool)
      ?? BPRLoss.forwardBackward(batch, output: output, gradient: gradient, pool: pool)
    loss += decay(layer0, triples.count)
    guard loss.isFinite else { return .nan }
    descend(layer0, triples: triples.count)
    return Float(loss)
  }

  private func mentions(_ triples: ArraySlice<Triple>, _ step: Int) -> [Int32] {
    guard softmax != nil else { return BPRLoss.mentions(triples, users: train.rows) }
    return SampledSoftmaxLoss.mentions(
      triples, candidates: options.candidates(items: train.columns, seed: seed, step: step), users: train.rows)
  }

  /// Mentions that the L2 term counts: those of the triples, not of candidates for the whole batch.
  private func decayedMentions(_ triples: Int) -> Int { softmax == nil ? 3 * triples : 2 * triples }

  /// l2 / 2 times the squares of layer 0 over the mentions, for each triple.
  private func decay(_ layer0: Matrix, _ triples: Int) -> Double {
    var squares: Double = 0
    for mention in 0..<decayedMentions(triples) {
      squares += Double(Accumulate.squares(layer0.columns, layer0.row(Int(batch.nodes[Int(batch.slots[mention])]))))
    }
    return Double(options.l2) / 2 * squares / Double(triples)
  }

  /// Adam on every row of layer 0 as soon as its gradient is known: the gradient itself is never written to memory.
  private func descend(_ layer0: Matrix, triples: Int) {
    let step = parameters.beginStep(Adam.Options(learningRate: options.learningRate))
    let moments = parameters.moments("layer0")
    let columns = layer0.columns
    let decay = options.l2 / Float(triples)
    let decayed = decayedMentions(triples)
    let weights = (0..<batch.count).map { slot in
      var count: Float = 0
      batch.forEachMention(slot) { mention in count += mention < decayed ? 1 : 0 }
      return decay * count
    }
    propagation.backward(gradient, batch) { [batch, propagation] node, sums in
      let row = layer0.row(node)
      if let slot = batch.slot(of: node) { Accumulate.add(columns, row, scaledBy: weights[slot], to: sums) }
      step.update(columns, row, gradient: sums, first: moments.first.row(node), second: moments.second.row(node))
      propagation.assign(row, node: node)
    }
  }

  private func reserve(_ rows: Int) {
    guard output.rows < rows else { return }
    let capacity = min(encoder.graph.nodes, rows + rows / 8)
    output = Matrix(rows: capacity, columns: options.paddedDimensions)
    gradient = Matrix(rows: capacity, columns: options.paddedDimensions)
  }
}

extension GraphEncoderOptions {
  /// K; matrix factorisation has no layers whatever the options say.
  var encoderLayers: Int { method == .bprMF ? 0 : layers }

  /// d with columns of zeros that make rows whole vectors.
  var paddedDimensions: Int {
    let multiple = precision.columnMultiple
    return (dimensions + multiple - 1) / multiple * multiple
  }

  /// Candidates of a batch beside its positives: all items, or some drawn uniformly.
  fileprivate func candidates(items: Int, seed: UInt64, step: Int) -> [Int32] {
    guard loss == .sampledSoftmax else { return (0..<Int32(items)).map { $0 } }
    var random = Philox(seed: seed, purpose: "softmax candidates", index: UInt64(step)).sequence()
    return (0..<negatives).map { _ in Int32(random.index(below: items)) }
  }

  /// c log q of each item, q being how often a batch is expected to draw it.
  fileprivate func correction(of train: CSRMatrix) -> [Float] {
    guard loss == .sampledSoftmax, popularityCorrection > 0 else { return [] }
    var degrees = [Float](repeating: 0, count: train.columns)
    for item in train.indices { degrees[Int(item)] += 1 }
    let perEdge = Float(batchSize(edges: train.count)) / Float(max(1, train.count))
    let uniform = Float(negatives) / Float(train.columns)
    return degrees.map { popularityCorrection * Float(logOf(Double(max(1e-6, $0 * perEdge + uniform)))) }
  }
}
