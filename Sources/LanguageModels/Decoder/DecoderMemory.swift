import Tensors

/// What one layer of a decoder computes on the way and needs on the way back. Rows are positions; a layer of which only
/// some positions are wanted has fewer rows in everything that follows its queries.
struct DecoderActivations {
  /// queries x queryColumns, turned by their positions.
  let query: Matrix
  /// length x keyColumns, turned by their positions.
  let key: Matrix
  /// length x keyColumns.
  let value: Matrix
  /// Queries and keys before their norms, with what the norms divided by; nil where the class has no such norms.
  let unnormalized: UnnormalizedHeads?
  /// queries x queryColumns: what the heads read.
  let context: Matrix
  /// heads x queries: log(sum(exp(scores))).
  let logSums: Matrix
  /// queries x hidden: the layer's input plus what attention adds.
  let attended: Matrix
  /// queries x inner, before the activation; nil where there is no backward pass.
  let gate: Matrix?
  let up: Matrix?
  /// One float a row: what the two norms multiplied with.
  let inputScale: Matrix
  let attendedScale: Matrix

  struct UnnormalizedHeads {
    let query: Matrix
    let key: Matrix
    /// queries x heads.
    let queryScale: Matrix
    /// length x key heads.
    let keyScale: Matrix
  }

  /// Floats that one layer takes.
  static func count(_ configuration: DecoderConfiguration, queries: Int, length: Int, retains: Bool) -> Int {
    let (heads, keyHeads) = (configuration.headCount, configuration.keyHeadCount)
    let norms = configuration.hasQueryKeyNorms && retains ? 1 : 0
    let perQuery =
      (2 + norms) * configuration.queryColumns + configuration.hiddenSize + (1 + norms) * heads + 1
      + (retains ? 2 * configuration.intermediateSize : 0)
    let perRow = (2 + norms) * configuration.keyColumns + norms * keyHeads + 1
    // A cache line of slack for the start of each of fourteen matrices.
    return queries * perQuery + length * perRow + 14 * 16
  }

  init(
    _ configuration: DecoderConfiguration, queries: Int, length: Int, retains: Bool, from arena: inout FloatArena
  ) {
    let (queryColumns, keyColumns) = (configuration.queryColumns, configuration.keyColumns)
    query = arena.take(queries, queryColumns)
    key = arena.take(length, keyColumns)
    value = arena.take(length, keyColumns)
    context = arena.take(queries, queryColumns)
    logSums = arena.take(configuration.headCount, queries)
    attended = arena.take(queries, configuration.hiddenSize)
    gate = retains ? arena.take(queries, configuration.intermediateSize) : nil
    up = retains ? arena.take(queries, configuration.intermediateSize) : nil
    inputScale = arena.take(1, length)
    attendedScale = arena.take(1, queries)
    unnormalized =
      configuration.hasQueryKeyNorms && retains
      ? UnnormalizedHeads(
        query: arena.take(queries, queryColumns), key: arena.take(length, keyColumns),
        queryScale: arena.take(queries, configuration.headCount),
        keyScale: arena.take(length, configuration.keyHeadCount))
      : nil
  }
}

/// What the backward pass of a decoder writes.
struct DecoderGradients {
  /// length x hidden: of a layer's output, then of its input.
  let state: Matrix
  /// length x hidden: of the normalised input of a layer.
  let normalized: Matrix
  /// length x hidden: of the layer's input past its first half, where only some rows were wanted.
  let residual: Matrix
  /// queries x hidden: of the normalised input of the queries, where only some rows were wanted.
  let queryInput: Matrix
  /// queries x queryColumns.
  let context: Matrix
  let query: Matrix
  /// length x queryColumns: of keys and values, one head of queries after another.
  let keyByHead: Matrix
  let valueByHead: Matrix
  /// length x keyColumns.
  let key: Matrix
  let value: Matrix

  static func count(_ configuration: DecoderConfiguration, length: Int) -> Int {
    length * (4 * configuration.hiddenSize + 4 * configuration.queryColumns + 2 * configuration.keyColumns) + 10 * 16
  }

  init(_ configuration: DecoderConfiguration, length: Int, from arena: inout FloatArena) {
    let (hidden, queries, keys) = (configuration.hiddenSize, configuration.queryColumns, configuration.keyColumns)
    state = arena.take(length, hidden)
    normalized = arena.take(length, hidden)
    residual = arena.take(length, hidden)
    queryInput = arena.take(length, hidden)
    context = arena.take(length, queries)
    query = arena.take(length, queries)
    keyByHead = arena.take(length, queries)
    valueByHead = arena.take(length, queries)
    key = arena.take(length, keys)
    value = arena.take(length, keys)
  }
}

/// The memory of a `DecoderPass`.
struct DecoderMemory {
  /// Rows that one call of a row-wise step works on, so that its inner activations stay in the cache.
  static let blockRows = 144

  private let configuration: DecoderConfiguration
  private let workers: Int
  private var arena = FloatArena()
  private var layerArenas: [FloatArena]
  private var layers: [DecoderActivations] = []
  /// Inputs of the layers, and the output of the last. Under `.nothing`, two that are used in turn.
  private var states: [Matrix] = []
  private var retention = Retention.nothing
  private var wantedRows = 0
  private var workerScratch = DecoderMemory.none
  private static let none = Matrix(rows: 0, columns: 0)

  /// The keys and values of the layer under way, where no cache holds them.
  private(set) var panels: KeyValuePanels?
  /// Rows for the backward pass, keys in both orders; nil where there is none.
  private(set) var backwardPanels: CausalAttention.BackwardPanels?
  private(set) var gradients: DecoderGradients?
  /// wanted x hidden: the inputs of the last layer's queries.
  private(set) var queryInput = DecoderMemory.none
  /// wanted x hidden: the result.
  private(set) var result = DecoderMemory.none
  private(set) var resultScale = DecoderMemory.none

  init(configuration: DecoderConfiguration, workers: Int) {
    self.configuration = configuration
    self.workers = workers
    layerArenas = Array(repeating: FloatArena(), count: configuration.layerCount)
  }

  /// Floats of everything but the layers' activations and the workers' scratch.
  ///
  /// - Parameters:
  ///   - length: of what is computed; `positions` with what is known before it.
  ///   - needsPanels: whether the keys and values have no place elsewhere.
  private static func sharedCount(
    _ configuration: DecoderConfiguration, length: Int, positions: Int, retention: Retention, needsPanels: Bool
  ) -> Int {
    let retains = retention != .nothing
    let panels = KeyValuePanels.count(configuration, positions: positions)
    return (stateCount(configuration, retention) + 2) * (length * configuration.hiddenSize + 16) + length + 16
      + (needsPanels ? panels : 0)
      + (retains ? DecoderGradients.count(configuration, length: length) + 2 * panels : 0)
  }

  private static func stateCount(_ configuration: DecoderConfiguration, _ retention: Retention) -> Int {
    retention == .nothing ? 2 : configuration.layerCount + 1
  }

  /// Bytes that a pass of one worker holds at the most for sequences of at most `length` tokens.
  ///
  /// - Parameter extendsCache: whether keys and values go to a cache.
  static func byteCount(
    _ configuration: DecoderConfiguration, length: Int, retention: Retention, extendsCache: Bool = false
  ) -> Int {
    let layer = DecoderActivations.count(
      configuration, queries: length, length: length, retains: retention != .nothing)
    let layers = retention == .activations ? configuration.layerCount : 1
    let shared = sharedCount(
      configuration, length: length, positions: length, retention: retention, needsPanels: !extendsCache)
    return FloatArena.byteCount(shared) + layers * FloatArena.byteCount(layer)
      + DecoderMemory(configuration: configuration, workers: 1).workerByteCount
  }

  /// Bytes that it holds.
  var byteCount: Int {
    layerArenas.reduce(arena.byteCount + workerScratch.byteCount) { $0 + $1.byteCount }
  }

  /// Lays out the memory for a sequence.
  ///
  /// - Parameters:
  ///   - length: of what is computed; `prefix` positions before it are known.
  ///   - needsPanels: whether the keys and values have no place elsewhere.
  mutating func prepare(length: Int, prefix: Int, wanted: Int?, retention: Retention, needsPanels: Bool) {
    let retains = retention != .nothing
    let (hidden, layerCount) = (configuration.hiddenSize, configuration.layerCount)
    self.retention = retention
    wantedRows = wanted ?? length
    prepareWorkers()

    // What stood there is let go of before there is more.
    (states, panels, gradients, backwardPanels) = ([], nil, nil, nil)
    (queryInput, result, resultScale) = (DecoderMemory.none, DecoderMemory.none, DecoderMemory.none)
    layers.removeAll(keepingCapacity: true)
    arena.reset(
      count: DecoderMemory.sharedCount(
        configuration, length: length, positions: prefix + length, retention: retention, needsPanels: needsPanels))
    let stateCount = DecoderMemory.stateCount(configuration, retention)
    states = (0..<stateCount).map { _ in arena.take(length, hidden) }
    queryInput = arena.take(wantedRows, hidden)
    result = arena.take(wantedRows, hidden)
    resultScale = arena.take(1, wantedRows)
    panels = needsPanels ? KeyValuePanels(configuration, positions: prefix + length, from: &arena) : nil
    gradients = retains ? DecoderGradients(configuration, length: length, from: &arena) : nil
    backwardPanels = retains ? takeBackwardPanels(positions: prefix + length) : nil

    for layer in 0..<layerCount {
      let queries = layer == layerCount - 1 ? wantedRows : length
      let slot = retention == .activations ? layer : 0
      layerArenas[slot].reset(
        count: DecoderActivations.count(configuration, queries: max(queries, length), length: length, retains: retains))
      layers.append(
        DecoderActivations(
          configuration, queries: queries, length: length, retains: retains, from: &layerArenas[slot]))
    }
  }

  private mutating func takeBackwardPanels(positions: Int) -> CausalAttention.BackwardPanels {
    let keys = KeyValuePanels(configuration, positions: positions, from: &arena)
    let (heads, columns) = (configuration.keyHeadCount, configuration.headColumns)
    let count = ScorePanels.count(heads: heads, headColumns: columns, positions: positions)
    return CausalAttention.BackwardPanels(
      keys: keys.keys, keySums: keys.values,
      values: ScorePanels(heads: heads, headColumns: columns, memory: arena.take(1, count)))
  }

  private mutating func prepareWorkers() {
    guard workerScratch.rows == 0 else { return }
    workerScratch = Matrix(rows: workers, columns: workerCount)
  }

  /// Bytes of the scratch memory of all workers.
  private var workerByteCount: Int { workers * workerCount * MemoryLayout<Float>.stride }

  private var attentionCount: Int { CausalAttention(headColumns: configuration.headColumns).scratchCount }
  private var rowCount: Int { DecoderMemory.blockRows * configuration.hiddenSize }
  private var innerCount: Int { DecoderMemory.blockRows * configuration.intermediateSize }
  private var workerCount: Int { innerOffset + 2 * innerCount }
  private var innerOffset: Int { (attentionCount + rowCount + 15) / 16 * 16 }

  func input(of layer: Int) -> Matrix { states[retention == .nothing ? layer % 2 : layer] }

  func output(of layer: Int) -> Matrix {
    let state = input(of: layer + 1)
    return layer == configuration.layerCount - 1 ? state.slice(0..<wantedRows) : state
  }

  func activations(of layer: Int) -> DecoderActivations { layers[layer] }
  /// A worker's memory for attention, and for one head of one position.
  func scratch(_ worker: Int) -> UnsafeMutablePointer<Float> { workerScratch.row(worker) }
  /// A worker's blockRows x hidden.
  func normalized(_ worker: Int) -> UnsafeMutablePointer<Float> { workerScratch.row(worker) + attentionCount }
  /// A worker's blockRows x inner.
  func inner(_ worker: Int) -> UnsafeMutablePointer<Float> { workerScratch.row(worker) + innerOffset }
  /// Another blockRows x inner.
  func secondInner(_ worker: Int) -> UnsafeMutablePointer<Float> { inner(worker) + innerCount }
}
