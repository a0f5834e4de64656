public import Tensors

/// Several sequences that go on by one token each: one product with each weight for all of them.
///
/// Time goes by reading weights, so threads share out their columns; a sequence has the same bits alone and among others.
public final class DecoderStep {
  private let model: DecoderModel
  private let pool: ThreadPool
  private let shares: PanelShares
  private var arena = FloatArena()
  private var rows = 0
  private var scratch: Matrix
  private var positions: [Int32] = []
  private var angles = Matrix(rows: 0, columns: 0)
  private var state = Matrix(rows: 0, columns: 0)
  private var normalized = Matrix(rows: 0, columns: 0)
  private var query = Matrix(rows: 0, columns: 0)
  private var key = Matrix(rows: 0, columns: 0)
  private var value = Matrix(rows: 0, columns: 0)
  private var context = Matrix(rows: 0, columns: 0)
  private var gate = Matrix(rows: 0, columns: 0)
  private var up = Matrix(rows: 0, columns: 0)

  /// Memory for steps of the model; `pool` runs the loops inside.
  public init(model: DecoderModel, pool: ThreadPool) {
    self.model = model
    self.pool = pool
    shares = PanelShares(pool: pool)
    scratch = Matrix(
      rows: pool.threads, columns: CausalAttention(headColumns: model.configuration.headColumns).scratchCount)
  }

  /// The last hidden states, after the final norm, of one more position of each sequence: caches.count x hiddenSize.
  ///
  /// The result is a view of this memory, valid until the next call.
  ///
  /// - Parameters:
  ///   - inputEmbeddings: one row for each sequence.
  ///   - caches: what each knows, each another; the new position is added.
  /// - Throws: `GLTAError.invalidArgument` where a sequence has no position left; no cache has changed then.
  public func forward(inputEmbeddings: Matrix, caches: [KVCache]) throws(GLTAError) -> Matrix {
    precondition(inputEmbeddings.rows == caches.count && inputEmbeddings.columns == model.hiddenSize)
    precondition(caches.allSatisfy { $0.configuration == model.configuration }, "the cache of another model")
    for cache in caches { try model.requireRoom(1, after: cache.count, isCached: true) }
    prepare(caches)
    state.assign(inputEmbeddings)
    for index in model.layers.indices { runLayer(index, caches) }
    for cache in caches { cache.advance(by: 1) }
    normalize(model.finalNorm)
    return normalized
  }

  private static func count(_ configuration: DecoderConfiguration, rows: Int) -> Int {
    let columns =
      configuration.hiddenSize + configuration.queryColumns + configuration.keyColumns + configuration.intermediateSize
    return rows * 2 * columns + 8 * 16
  }

  /// Bytes that steps of `rows` sequences take, without caches.
  static func byteCount(_ configuration: DecoderConfiguration, rows: Int, threads: Int) -> Int {
    let scratch = CausalAttention(headColumns: configuration.headColumns).scratchCount
    return FloatArena.byteCount(count(configuration, rows: rows)) + threads * scratch * MemoryLayout<Float>.stride
  }

  private func prepare(_ caches: [KVCache]) {
    positions.removeAll(keepingCapacity: true)
    var longest = 0
    for cache in caches {
      positions.append(Int32(cache.count))
      cache.reserve(cache.count + 1)
      longest = max(longest, cache.count + 1)
    }
    angles = model.rotary.angles(longest, length: longest)
    guard rows != caches.count else { return }
    rows = caches.count
    let configuration = model.configuration
    let (hidden, inner) = (configuration.hiddenSize, configuration.intermediateSize)
    let (queries, keys) = (configuration.queryColumns, configuration.keyColumns)
    arena.reset(count: DecoderStep.count(configuration, rows: rows))
    state = arena.take(rows, hidden)
    normalized = arena.take(rows, hidden)
    query = arena.take(rows, queries)
    key = arena.take(rows, keys)
    value = arena.take(rows, keys)
    context = arena.take(rows, queries)
    gate = arena.take(rows, inner)
    up = arena.take(rows, inner)
  }

  private func normalize(_ weight: Matrix) {
    RMSNorm.forward(
      rows: rows, columns: model.hiddenSize, x: state.base, weight: weight.base,
      epsilon: model.configuration.normEpsilon, into: normalized.base)
  }

  private func runLayer(_ index: Int, _ caches: [KVCache]) {
    let layer = model.layers[index]
    normalize(layer.attentionNorm)
    project(layer)
    attend(index, layer, caches)
    shares.apply(layer.attentionOutput, rows: rows, context.base, adding: state.base, into: state.base)
    normalize(layer.feedForwardNorm)
    expand(layer)
    shares.apply(layer.down, rows: rows, gate.base, adding: state.base, into: state.base)
  }

  /// Queries, keys and values in one loop: their panels in a row.
  private func project(_ layer: DecoderLayer) {
    let (queries, keys) = (layer.query.weight.panelCount, layer.key.weight.panelCount)
    let input = normalized.base
    shares.forEach(queries + 2 * keys) { panels in
      func part(_ start: Int, _ count: Int) -> Range<Int> {
        let part = panels.clamped(to: start..<start + count)
        return part.lowerBound - start..<part.upperBound - start
      }
      layer.query.apply(rows: self.rows, input, panels: part(0, queries), into: self.query.base)
      layer.key.apply(rows: self.rows, input, panels: part(queries, keys), into: self.key.base)
      layer.value.apply(rows: self.rows, input, panels: part(queries + keys, keys), into: self.value.base)
    }
  }

  /// A head of keys of a sequence is one index of the loop, with the heads of queries that share it.
  private func attend(_ index: Int, _ layer: DecoderLayer, _ caches: [KVCache]) {
    let configuration = model.configuration
    let (columns, keyHeads) = (configuration.headColumns, configuration.keyHeadCount)
    let shared = configuration.headCount / keyHeads
    positions.withUnsafeBufferPointer { positions in
      guard let positions = positions.baseAddress else { return }
      pool.forEach(rows * keyHeads) { task, worker in
        let (row, head) = (task / keyHeads, task % keyHeads)
        let position = Int(positions[row])
        let panels = caches[row].layers[index]
        let angles = UnsafePointer(self.angles.row(position))
        let (key, value) = (self.key.row(row) + head * columns, self.value.row(row) + head * columns)
        self.turn(key, heads: 1, norm: layer.keyNorm, angles: angles)
        panels.keys.pack(head: head, from: key, stride: columns, positions: position..<position + 1)
        panels.values.pack(head: head, from: value, stride: columns, positions: position..<position + 1)
        let offset = head * shared * columns
        let (query, context) = (self.query.row(row) + offset, self.context.row(row) + offset)
        self.turn(query, heads: shared, norm: layer.queryNorm, angles: angles)
        for member in 0..<shared {
          layer.attention.forward(
            CausalAttention.Rows(query + member * columns, stride: columns, count: 1, positions: positions + row),
            keys: panels.keys, values: panels.values, head: head, into: context + member * columns, logSums: nil,
            scratch: self.scratch.row(worker))
        }
      }
    }
  }

  private func turn(
    _ x: UnsafeMutablePointer<Float>, heads: Int, norm: Matrix?, angles: UnsafePointer<Float>
  ) {
    let columns = model.configuration.headColumns
    if let norm {
      RMSNorm.forward(
        rows: heads, columns: columns, x: x, weight: norm.base, epsilon: model.configuration.normEpsilon, into: x)
    }
    RotaryEmbedding.forward(heads: heads, headColumns: columns, angles: angles, x: x)
  }

  /// The gated half of the feed-forward block, into `gate`.
  private func expand(_ layer: DecoderLayer) {
    let (input, width, inner) = (normalized.base, PackedMatrix.panelColumns, model.configuration.intermediateSize)
    shares.forEach(layer.gate.weight.panelCount) { panels in
      layer.gate.apply(rows: self.rows, input, panels: panels, into: self.gate.base)
      layer.up.apply(rows: self.rows, input, panels: panels, into: self.up.base)
      let first = panels.lowerBound * width
      SwiGLU.forward(
        rows: self.rows, columns: min(inner, panels.upperBound * width) - first, stride: inner,
        gate: self.gate.base + first, up: self.up.base + first, into: self.gate.base + first)
    }
  }
}
