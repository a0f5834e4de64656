import Interactions
import Tensors

/// LightGCN in training, and matrix factorisation as its case without layers: propagation for the nodes of a batch, an
/// objective on their vectors, and Adam on layer 0 as its gradient comes out of the last layer.
final class LightGCNModel: GraphModel {
  var parameters: ParameterGroup
  private let options: GraphEncoderOptions
  private let seed: UInt64
  private let pool: ThreadPool
  /// The order of all rows in here; users, items and checkpoints have the given one.
  private let order: NodeOrder
  private let encoder: LightGCN
  private let propagation: BatchPropagation
  private let batch: BatchNodes
  private let objective: BatchObjective
  private var output = Matrix(rows: 0, columns: 0)
  private var gradient = Matrix(rows: 0, columns: 0)

  init(options: GraphEncoderOptions, train: CSRMatrix, text: TextInputs?, seed: UInt64, pool: ThreadPool) {
    self.options = options
    self.seed = seed
    self.pool = pool
    order = NodeOrder(train, columns: options.encoderLayers == 0 ? 0 : options.paddedDimensions)
    let train = order.arranged(train)
    let graph = NormalizedGraph(train)
    encoder = LightGCN(graph: graph, layers: options.encoderLayers)
    propagation = BatchPropagation(
      graph: graph, layers: encoder.layers, columns: options.paddedDimensions, precision: options.precision, pool: pool)
    batch = BatchNodes(nodes: graph.nodes)
    objective = BatchObjective(options: options, train: train, text: text.map(order.arranged), seed: seed, pool: pool)
    let layer0 = order.arranged(options.initialEmbeddings(nodes: graph.nodes, seed: seed))
    let mask =
      options.method == .rlmRecGen ? [("mask", Matrix(rows: 1, columns: options.paddedDimensions))] : []
    parameters = ParameterGroup([("layer0", layer0)] + mask + objective.initialParameters())
    parametersDidChange()
  }

  func parametersDidChange() { propagation.assign(parameters["layer0"]) }

  func embeddings() -> GraphEmbeddings {
    let vectors = encoder.embeddings(
      parameters["layer0"].firstColumns(options.dimensions), lengths: options.itemLengths, pool: pool)
    return GraphEmbeddings(
      users: order.restored(users: vectors.users), items: order.restored(vectors.items),
      foldInBasis: order.restored(vectors.foldInBasis))
  }

  func saved(_ parameter: Matrix, name: String) -> Matrix {
    name.hasPrefix("layer0") ? order.restored(parameter) : parameter
  }

  func loaded(_ matrix: Matrix, name: String) -> Matrix {
    name.hasPrefix("layer0") ? order.arranged(matrix) : matrix
  }

  func trainStep(_ triples: ArraySlice<Triple>, step: Int) -> Float {
    batch.assign(objective.mentions(order.arranged(triples), step: step))
    reserve(batch.count)
    let layer0 = parameters["layer0"]
    let masked = maskedSlots(step)
    let saved = masked.map { layer0.slice(Int(batch.nodes[$0])..<Int(batch.nodes[$0]) + 1).copy() }
    replace(masked, by: masked.map { _ in parameters["mask"] })
    propagation.forward(layer0, batch, into: output)
    replace(masked, by: saved)
    let (loss, gradients) = objective.forwardBackward(
      batch, triples: triples.count, masked: masked, layer0: layer0, output: output, gradient: gradient,
      parameters: parameters)
    guard loss.isFinite else { return .nan }
    descend(layer0, decay: objective.decay(batch, triples: triples.count), masked: masked, gradients)
    return Float(loss)
  }

  /// Adam on every row of layer 0 as soon as its gradient is known: the gradient itself is never written to memory. What a
  /// masked node would have got goes to the mask, which stood in its place.
  private func descend(_ layer0: Matrix, decay: [Float], masked: [Int], _ gradients: [Matrix]) {
    let step = parameters.beginStep(Adam.Options(learningRate: options.learningRate))
    let moments = parameters.moments("layer0")
    let columns = layer0.columns
    let maskRows = Matrix(rows: masked.count, columns: columns)
    let maskRow = Dictionary(uniqueKeysWithValues: zip(masked, masked.indices))
    propagation.backward(gradient, batch, x: layer0) { [batch] nodes, sums in
      let x = layer0.row(nodes.lowerBound)
      for node in nodes {
        guard let slot = batch.slot(of: node) else { continue }
        let (own, row) = (sums + (node - nodes.lowerBound) * columns, layer0.row(node))
        if !maskRow.isEmpty, let index = maskRow[slot] {
          maskRows.row(index).update(from: own, count: columns)
          own.update(repeating: 0, count: columns)
        }
        Accumulate.add(columns, row, scaledBy: decay[slot], to: own)
      }
      step.update(
        nodes.count * columns, x, gradient: sums, first: moments.first.row(nodes.lowerBound),
        second: moments.second.row(nodes.lowerBound))
    }
    var others = gradients
    if options.method == .rlmRecGen {
      let mask = Matrix(rows: 1, columns: columns)
      for index in masked.indices { Accumulate.add(columns, maskRows.row(index), to: mask.base) }
      others.insert(mask, at: 0)
    }
    parameters.update(step, after: 1, gradients: others)
  }

  /// Slots whose nodes the graph has to do without in this step: none but for `rlmrec-gen`.
  private func maskedSlots(_ step: Int) -> [Int] {
    guard options.method == .rlmRecGen else { return [] }
    var random = Philox(seed: seed, purpose: "masked nodes", index: UInt64(step)).sequence()
    return (0..<batch.count).filter { _ in random.uniform() < options.maskedShare }
  }

  private func replace(_ slots: [Int], by rows: [Matrix]) {
    guard !slots.isEmpty else { return }
    for (slot, row) in zip(slots, rows) {
      parameters["layer0"].row(Int(batch.nodes[slot])).update(from: row.base, count: row.columns)
    }
    parametersDidChange()
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

  /// What is trained for; matrix factorisation has the loss of its name whatever the options say.
  var encoderLoss: GraphLoss { method == .bprMF ? .bpr : loss }

  /// d with columns of zeros that make rows whole vectors.
  var paddedDimensions: Int {
    let multiple = precision.columnMultiple
    return (dimensions + multiple - 1) / multiple * multiple
  }

  /// The standard deviation of layer 0 at the start, that of LightGCN's code.
  static let initialDeviation: Float = 0.1

  /// N(0, 0.1), with columns of zeros after the d that count.
  func initialEmbeddings(nodes: Int, seed: UInt64) -> Matrix {
    let matrix = Matrix(rows: nodes, columns: paddedDimensions)
    var random = Philox(seed: seed, purpose: "graph embeddings").sequence()
    for row in 0..<nodes {
      for column in 0..<dimensions { matrix.row(row)[column] = Self.initialDeviation * random.normal() }
    }
    return matrix
  }
}
