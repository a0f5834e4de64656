import Interactions
import Tensors

/// HCCF (Xia et al., *Hypergraph Contrastive Collaborative Filtering*, SIGIR 2022) in training.
///
/// Beside the neighbours of the graph, layer l passes messages through a few learned hyperedges, for users and items each
/// with H = s E W: Z = A E_(l-1), G = f(H f(Hᵀ E_(l-1))), E_l = Z + G with f a leaky ReLU; the output is the sum of layers
/// 0..K. InfoNCE draws G to Z, taken as given, at the batch's nodes in every layer. Ours: candidates of that term are the
/// batch's nodes instead of all, and nothing is dropped out.
final class HCCFModel: GraphModel {
  var parameters: ParameterGroup
  private let options: GraphEncoderOptions
  private let graph: NormalizedGraph
  private let pool: ThreadPool
  private let batch: BatchNodes
  private let objective: BatchObjective
  private let layers: [Layer]
  /// E_0 is the parameter; E_l for l > 0, nodes x d.
  private let outputs: [Matrix]
  private let total: Matrix
  private let gradient: Matrix
  private let work: Matrix

  /// Memory of one layer.
  private struct Layer {
    /// Z and G, nodes x d.
    let local: Matrix
    let global: Matrix
    /// f(Hᵀ E) of users and of items, hyperedges x d each.
    let edges: [Matrix]
  }

  private static let slope: Float = 0.5

  /// s, for a side of so many nodes. G grows with their number, as Hᵀ E is a sum over all of them; the authors start from
  /// Xavier's embeddings, whose squares sum to 2 a column however many nodes there are, we from N(0, 0.1) as LightGCN does.
  /// With a `hyperedgeScale` of one G has the authors' share of E at the start.
  private func incidenceScale(nodes: Int) -> Float {
    let squares = GraphEncoderOptions.initialDeviation * GraphEncoderOptions.initialDeviation * Float(max(1, nodes))
    return options.hyperedgeScale * (2 / squares).squareRoot()
  }

  init(options: GraphEncoderOptions, train: CSRMatrix, text: TextInputs?, seed: UInt64, pool: ThreadPool) {
    self.options = options
    self.pool = pool
    graph = NormalizedGraph(train)
    batch = BatchNodes(nodes: graph.nodes)
    objective = BatchObjective(options: options, train: train, text: text, seed: seed, pool: pool)
    let (nodes, columns) = (graph.nodes, options.paddedDimensions)
    func matrix() -> Matrix { Matrix(rows: nodes, columns: columns) }
    layers = (0..<options.layers).map { _ in
      Layer(
        local: matrix(), global: matrix(),
        edges: (0..<2).map { _ in Matrix(rows: options.hyperedges, columns: columns) })
    }
    outputs = (0..<options.layers).map { _ in matrix() }
    (total, gradient, work) = (matrix(), matrix(), matrix())
    let hyper = ["hyper.users", "hyper.items"].map { name in
      let weights = Matrix(rows: columns, columns: options.hyperedges)
      var random = Philox(seed: seed, purpose: name).sequence()
      let bound = (6 / Float(columns + options.hyperedges)).squareRoot()
      for index in 0..<weights.count { weights.base[index] = bound * (2 * random.uniform() - 1) }
      return (name, weights)
    }
    parameters = ParameterGroup(
      [("layer0", options.initialEmbeddings(nodes: nodes, seed: seed))] + hyper + objective.initialParameters())
  }

  func parametersDidChange() {}

  /// Somebody new is the mean of their items: hyperedges of users need a layer 0.
  func embeddings() -> GraphEmbeddings {
    _ = forward()
    let vectors = total.firstColumns(options.dimensions)
    let users = vectors.slice(0..<graph.users).copy()
    let propagated = vectors.slice(graph.users..<graph.nodes)
    let items = options.itemLengths.applied(to: propagated, of: graph, pool: pool)
    return GraphEmbeddings(users: users, items: items, foldInBasis: propagated.copy())
  }

  func trainStep(_ triples: ArraySlice<Triple>, step: Int) -> Float {
    batch.assign(objective.mentions(triples, step: step))
    let incidence = forward()
    let columns = total.columns
    let (output, doutput) = (Matrix(rows: batch.count, columns: columns), Matrix(rows: batch.count, columns: columns))
    for (slot, node) in batch.nodes.enumerated() { output.row(slot).update(from: total.row(Int(node)), count: columns) }
    var (loss, others) = objective.forwardBackward(
      batch, triples: triples.count, layer0: parameters["layer0"], output: output, gradient: doutput,
      parameters: parameters)
    let dtotal = Matrix(rows: graph.nodes, columns: columns)
    for (slot, node) in batch.nodes.enumerated() {
      dtotal.row(Int(node)).update(from: doutput.row(slot), count: columns)
    }
    loss += backward(dtotal, incidence, &others)
    guard loss.isFinite else { return .nan }
    for (slot, weight) in objective.decay(batch, triples: triples.count).enumerated() {
      let node = Int(batch.nodes[slot])
      Accumulate.add(columns, parameters["layer0"].row(node), scaledBy: weight, to: gradient.row(node))
    }
    let step = parameters.beginStep(Adam.Options(learningRate: options.learningRate))
    parameters.update(step, after: 0, gradients: [gradient] + others)
    return Float(loss)
  }

  /// Rows of users, rows of items.
  private var sides: [Range<Int>] { [0..<graph.users, graph.users..<graph.nodes] }

  /// All layers; returns H of users and items.
  private func forward() -> [Matrix] {
    let layer0 = parameters["layer0"]
    let incidence = zip(sides, ["hyper.users", "hyper.items"]).map { side, name in
      let matrix = Matrix(rows: side.count, columns: options.hyperedges)
      Matmul.multiply(
        layer0.slice(side), parameters[name], into: matrix, scale: incidenceScale(nodes: side.count), pool: pool)
      return matrix
    }
    total.assign(layer0)
    for (index, layer) in layers.enumerated() {
      let input = index == 0 ? layer0 : outputs[index - 1]
      graph.propagate(input, adding: nil, into: layer.local, pool: pool)
      for (part, side) in sides.enumerated() {
        Matmul.multiply(incidence[part], transposingA: true, input.slice(side), into: layer.edges[part], pool: pool)
        activate(layer.edges[part])
        Matmul.multiply(incidence[part], layer.edges[part], into: layer.global.slice(side), pool: pool)
      }
      activate(layer.global)
      Accumulate.sum(total.count, layer.local.base, layer.global.base, into: outputs[index].base)
      Accumulate.add(total.count, outputs[index].base, to: total.base)
    }
    return incidence
  }

  /// The gradient of layer 0 into `gradient`, those of the hyperedges before `others`; returns the contrastive loss.
  private func backward(_ dtotal: Matrix, _ incidence: [Matrix], _ others: inout [Matrix]) -> Double {
    let layer0 = parameters["layer0"]
    let dincidence = incidence.map { Matrix(rows: $0.rows, columns: $0.columns) }
    var loss: Double = 0
    gradient.assign(dtotal)
    for index in layers.indices.reversed() {
      let (layer, input) = (layers[index], index == 0 ? layer0 : outputs[index - 1])
      let dglobal = gradient.copy()
      loss += addContrast(layer, to: dglobal)
      deactivate(dglobal, layer.global)
      graph.propagate(gradient, adding: dtotal, into: work, pool: pool)
      for (part, side) in sides.enumerated() {
        let slice = dglobal.slice(side)
        Matmul.multiply(
          slice, layer.edges[part], transposingB: true, into: dincidence[part], accumulate: true, pool: pool)
        let dedges = Matrix(rows: options.hyperedges, columns: total.columns)
        Matmul.multiply(incidence[part], transposingA: true, slice, into: dedges, pool: pool)
        deactivate(dedges, layer.edges[part])
        Matmul.multiply(
          input.slice(side), dedges, transposingB: true, into: dincidence[part], accumulate: true, pool: pool)
        Matmul.multiply(incidence[part], dedges, into: work.slice(side), accumulate: true, pool: pool)
      }
      gradient.assign(work)
    }
    var dhyper: [Matrix] = []
    for (part, side) in sides.enumerated() {
      let weights = parameters[part == 0 ? "hyper.users" : "hyper.items"]
      let dweights = Matrix(rows: weights.rows, columns: weights.columns)
      Accumulate.scale(dincidence[part].count, dincidence[part].base, by: incidenceScale(nodes: side.count))
      Matmul.multiply(layer0.slice(side), transposingA: true, dincidence[part], into: dweights, pool: pool)
      Matmul.multiply(
        dincidence[part], weights, transposingB: true, into: gradient.slice(side), accumulate: true, pool: pool)
      dhyper.append(dweights)
    }
    others = dhyper + others
    return loss
  }

  /// InfoNCE of G against Z at the batch's nodes; adds to the gradient of G.
  private func addContrast(_ layer: Layer, to dglobal: Matrix) -> Double {
    guard options.alignmentWeight > 0 else { return 0 }
    var loss: Double = 0
    for wantsUsers in [true, false] {
      let nodes = batch.nodes.filter { (Int($0) < graph.users) == wantsUsers }.prefix(TextAlignment.maximumNodes)
      let (left, right) = (rows(layer.global, nodes), rows(layer.local, nodes))
      let term = ContrastiveLoss.forwardBackward(
        left, right, temperature: options.alignmentTemperature, pool: pool)
      loss += Double(options.alignmentWeight) * term.loss
      for (row, node) in nodes.enumerated() {
        Accumulate.add(
          total.columns, term.a.row(row), scaledBy: options.alignmentWeight, to: dglobal.row(Int(node)))
      }
    }
    return loss
  }

  private func rows(_ matrix: Matrix, _ nodes: ArraySlice<Int32>) -> Matrix {
    let result = Matrix(rows: nodes.count, columns: matrix.columns)
    for (row, node) in nodes.enumerated() { result.row(row).update(from: matrix.row(Int(node)), count: matrix.columns) }
    return result
  }

  private func activate(_ x: Matrix) {
    for index in 0..<x.count where x.base[index] < 0 { x.base[index] *= Self.slope }
  }

  /// The gradient through f, whose value has the sign of what went in.
  private func deactivate(_ gradient: Matrix, _ value: Matrix) {
    for index in 0..<value.count where value.base[index] < 0 { gradient.base[index] *= Self.slope }
  }
}
