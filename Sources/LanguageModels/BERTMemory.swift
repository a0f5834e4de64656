import Tensors

/// What one layer computes on the way and needs on the way back. Rows are positions; a layer of which only some
/// positions are wanted has fewer rows in everything that follows its queries.
struct LayerActivations {
  /// queries x hidden.
  let query: Matrix
  /// length x 2 hidden: keys, then values.
  let keyValue: Matrix
  /// heads x (queries x length); nil where there is no backward pass.
  private let probability: Matrix?
  /// queries x hidden: before the first norm.
  let attended: Matrix
  /// queries x hidden: after the first norm.
  let normalized: Matrix
  /// queries x inner: the slope of the activation, and before that its input; nil where there is no backward pass.
  let slope: Matrix?
  /// queries x hidden: before the second norm.
  let summed: Matrix
  let attendedMean: Matrix
  let attendedRstd: Matrix
  let summedMean: Matrix
  let summedRstd: Matrix

  /// Floats that one layer takes.
  ///
  /// - Parameter retains: whether there will be a backward pass.
  static func count(_ configuration: BERTConfiguration, queries: Int, length: Int, retains: Bool) -> Int {
    let kept = retains ? configuration.intermediateSize + configuration.headCount * length : 0
    // Four statistics a query, and a cache line of slack for the start of each of eleven matrices.
    return queries * (4 * configuration.hiddenSize + kept + 4) + length * 2 * configuration.hiddenSize + 11 * 16
  }

  init(_ configuration: BERTConfiguration, queries: Int, length: Int, retains: Bool, from arena: inout FloatArena) {
    let hidden = configuration.hiddenSize
    query = arena.take(queries, hidden)
    keyValue = arena.take(length, 2 * hidden)
    probability = retains ? arena.take(configuration.headCount, queries * length) : nil
    attended = arena.take(queries, hidden)
    normalized = arena.take(queries, hidden)
    slope = retains ? arena.take(queries, configuration.intermediateSize) : nil
    summed = arena.take(queries, hidden)
    attendedMean = arena.take(1, queries)
    attendedRstd = arena.take(1, queries)
    summedMean = arena.take(1, queries)
    summedRstd = arena.take(1, queries)
  }

  func probabilities(_ head: Int) -> UnsafeMutablePointer<Float>? { probability?.row(head) }
}

/// The memory of a `BERTPass`.
struct BERTMemory {
  /// Rows that one call of a row-wise step works on, so that its inner activations stay in the cache.
  static let blockRows = 144

  private let model: BERTModel
  private let workers: Int
  private var arena = FloatArena()
  private var layerArenas: [FloatArena]
  private var layers: [LayerActivations] = []
  /// Inputs of the layers, and the output of the last. Under `.nothing`, two that are used in turn.
  private var states: [Matrix] = []
  private var retention = BERTPass.Retention.nothing
  private var wantedRows = 0
  private var workerScratch = Matrix(rows: 0, columns: 0)
  private var workerInner = Matrix(rows: 0, columns: 0)

  private(set) var embedded = Matrix(rows: 0, columns: 0)
  private(set) var embeddedMean = Matrix(rows: 0, columns: 0)
  private(set) var embeddedRstd = Matrix(rows: 0, columns: 0)
  private(set) var queryInput = Matrix(rows: 0, columns: 0)
  private(set) var context = Matrix(rows: 0, columns: 0)
  private(set) var gradient = Matrix(rows: 0, columns: 0)
  private(set) var dattended = Matrix(rows: 0, columns: 0)
  private(set) var dcontext = Matrix(rows: 0, columns: 0)
  private(set) var dquery = Matrix(rows: 0, columns: 0)
  private(set) var dkeyValue = Matrix(rows: 0, columns: 0)

  init(model: BERTModel, workers: Int) {
    self.model = model
    self.workers = workers
    layerArenas = Array(repeating: FloatArena(), count: model.layers.count)
  }

  /// Floats of everything but the layers' activations and the workers' scratch.
  private static func sharedCount(_ configuration: BERTConfiguration, length: Int, retention: Retention) -> Int {
    let states = retention == .nothing ? 2 : configuration.layerCount + 1
    let gradients = retention == .nothing ? 0 : 6
    return (states + 4 + gradients) * (length * configuration.hiddenSize + 16) + 4 * (length + 16)
  }

  /// Bytes that a pass of one worker holds at the most for sequences of at most `length` tokens.
  static func byteCount(_ configuration: BERTConfiguration, length: Int, retention: Retention) -> Int {
    let layer = LayerActivations.count(
      configuration, queries: length, length: length, retains: retention != .nothing)
    let layers = retention == .activations ? configuration.layerCount : 1
    let scratch = Attention(length: length, headColumns: configuration.hiddenSize / configuration.headCount)
      .scratchCount
    let shared = sharedCount(configuration, length: length, retention: retention)
    return FloatArena.byteCount(shared) + layers * FloatArena.byteCount(layer)
      + MemoryLayout<Float>.stride * (scratch + blockRows * configuration.intermediateSize)
  }

  /// Bytes that it holds.
  var byteCount: Int {
    layerArenas.reduce(arena.byteCount + workerScratch.byteCount + workerInner.byteCount) { $0 + $1.byteCount }
  }

  /// Lays out the memory for a sequence.
  mutating func prepare(length: Int, wanted: Int?, retention: BERTPass.Retention) {
    let configuration = model.configuration
    let hidden = configuration.hiddenSize
    self.retention = retention
    let retains = retention != .nothing
    prepareWorkers(length: length)

    let stateCount = retention == .nothing ? 2 : model.layers.count + 1
    arena.reset(count: BERTMemory.sharedCount(configuration, length: length, retention: retention))
    states = (0..<stateCount).map { _ in arena.take(length, hidden) }
    embedded = arena.take(length, hidden)
    embeddedMean = arena.take(1, length)
    embeddedRstd = arena.take(1, length)
    queryInput = arena.take(length, hidden)
    context = arena.take(length, hidden)
    if retains {
      gradient = arena.take(length, hidden)
      dattended = arena.take(length, hidden)
      dcontext = arena.take(length, hidden)
      dquery = arena.take(length, hidden)
      dkeyValue = arena.take(length, 2 * hidden)
    }

    layers.removeAll(keepingCapacity: true)
    for layer in model.layers.indices {
      let queries = layer == model.layers.count - 1 ? wanted ?? length : length
      let slot = retention == .activations ? layer : 0
      layerArenas[slot].reset(
        count: LayerActivations.count(configuration, queries: length, length: length, retains: retains))
      layers.append(
        LayerActivations(
          configuration, queries: queries, length: length, retains: retains, from: &layerArenas[slot]))
    }
    wantedRows = wanted ?? length
  }

  private mutating func prepareWorkers(length: Int) {
    let configuration = model.configuration
    let attention = Attention(length: length, headColumns: configuration.hiddenSize / configuration.headCount)
    if workerScratch.columns < attention.scratchCount {
      workerScratch = Matrix(rows: workers, columns: attention.scratchCount)
    }
    if workerInner.rows == 0 {
      workerInner = Matrix(rows: workers, columns: BERTMemory.blockRows * configuration.intermediateSize)
    }
  }

  func input(of layer: Int) -> Matrix { states[retention == .nothing ? layer % 2 : layer] }

  func output(of layer: Int) -> Matrix {
    let state = input(of: layer + 1)
    return layer == model.layers.count - 1 ? state.slice(0..<wantedRows) : state
  }

  func activations(of layer: Int) -> LayerActivations { layers[layer] }
  func scratch(_ worker: Int) -> UnsafeMutablePointer<Float> { workerScratch.row(worker) }
  func inner(_ worker: Int) -> UnsafeMutablePointer<Float> { workerInner.row(worker) }
}
