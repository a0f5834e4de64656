public import Tensors

/// One sequence on its way through a Llama-class decoder: the memory of its forward and, where wanted, of its backward
/// pass.
///
/// A sequence may start after a prefix whose keys and values are known, such as an instruction that all prompts share: only
/// the rest is computed, with the bits that it has in the whole. The prefix is frozen, so no gradient goes there.
public final class DecoderPass: LanguageModelPass {
  let model: DecoderModel
  let pool: ThreadPool
  var memory: DecoderMemory
  private(set) var retention = Retention.nothing
  private(set) var length = 0
  /// Positions before the first row.
  private(set) var start = 0
  /// What they are, where no cache is extended; nil = nothing.
  private(set) var prefix: KVCache?
  /// The rows whose final hidden states are wanted; nil = all.
  private(set) var wanted: [Int]?
  /// The positions of all rows, and of the wanted ones.
  private var positions: [Int32] = []
  private var wantedPositions: [Int32] = []
  private var angles = Matrix(rows: 0, columns: 0)
  /// Where keys and values are added; nil = they are forgotten.
  private var cache: KVCache?

  /// A pass of the model. `pool` runs the loops inside; each of its workers gets scratch memory here.
  public init(model: DecoderModel, pool: ThreadPool) {
    self.model = model
    self.pool = pool
    memory = DecoderMemory(configuration: model.configuration, workers: pool.threads)
  }

  /// Bytes that it holds, used or left over from longer sequences.
  public var byteCount: Int { memory.byteCount }

  /// The last hidden states, after the final norm, of the wanted positions: `wanted.count` (or L) x hiddenSize.
  ///
  /// The result is a view of the pass's memory, valid until the next call of `forward`.
  ///
  /// - Parameters:
  ///   - inputEmbeddings: L x hiddenSize: token embeddings, or projected nodes among them.
  ///   - prefix: what stands before them; nil = nothing.
  ///   - wanted: rows of `inputEmbeddings`, ascending; the last layer computes no others. nil = all.
  ///   - retention: what is kept for `backward`.
  /// - Throws: `GLTAError.invalidArgument` where L is zero or goes beyond the model's positions.
  public func forward(
    inputEmbeddings: Matrix, after prefix: SharedPrefix? = nil, wanted: [Int]? = nil, retention: Retention = .nothing
  ) throws(GLTAError) -> Matrix {
    precondition(prefix.map { $0.cache.configuration == model.configuration } ?? true, "the prefix of another model")
    (cache, self.prefix) = (nil, prefix?.cache)
    return try run(inputEmbeddings, after: prefix?.count ?? 0, wanted: wanted, retention: retention)
  }

  /// The last hidden states from token ids.
  public func forward(
    ids: [Int32], wanted: [Int]? = nil, retention: Retention = .nothing
  ) throws(GLTAError) -> Matrix {
    try forward(inputEmbeddings: model.inputEmbeddings(ids), wanted: wanted, retention: retention)
  }

  /// The same for a sequence that goes on from what `cache` knows, whose keys and values are added to it.
  ///
  /// - Throws: as above; the cache then knows what it did before.
  public func forward(
    inputEmbeddings: Matrix, wanted: [Int]? = nil, extending cache: KVCache
  ) throws(GLTAError) -> Matrix {
    precondition(cache.configuration == model.configuration, "the cache of another model")
    try model.requireRoom(inputEmbeddings.rows, after: cache.count, isCached: true)
    (self.cache, prefix) = (cache, nil)
    cache.reserve(cache.count + inputEmbeddings.rows)
    let result = try run(inputEmbeddings, after: cache.count, wanted: wanted, retention: .nothing)
    cache.advance(by: inputEmbeddings.rows)
    return result
  }

  private func run(
    _ inputEmbeddings: Matrix, after start: Int, wanted: [Int]?, retention: Retention
  ) throws(GLTAError) -> Matrix {
    let length = inputEmbeddings.rows
    try model.requireRoom(length, after: start, isCached: cache != nil || start > 0)
    precondition(inputEmbeddings.columns == model.hiddenSize)
    precondition(wanted.map { $0.count <= length && $0.allSatisfy { $0 >= 0 && $0 < length } } ?? true)
    (self.length, self.start, self.wanted, self.retention) = (length, start, wanted, retention)
    positions.removeAll(keepingCapacity: true)
    positions.append(contentsOf: (start..<start + length).lazy.map(Int32.init))
    wantedPositions = wanted.map { $0.map { Int32(start + $0) } } ?? []
    angles = model.rotary.angles(start + length, length: start + length)
    memory.prepare(
      length: length, prefix: start, wanted: wanted?.count, retention: retention, needsPanels: cache == nil)
    memory.input(of: 0).assign(inputEmbeddings)
    for layer in model.layers.indices { runLayer(layer) }
    let output = memory.output(of: model.layers.count - 1)
    RMSNorm.forward(
      rows: output.rows, columns: model.hiddenSize, x: output.base, weight: model.finalNorm.base,
      epsilon: model.configuration.normEpsilon, into: memory.result.base, rstd: memory.resultScale.base)
    return memory.result
  }

  // MARK: A layer forward

  /// The rows that a layer's queries stand for: the wanted ones in the last layer, all in the others.
  func queryRows(_ layer: Int) -> [Int]? { layer == model.layers.count - 1 ? wanted : nil }

  /// Their positions.
  func queryPositions(_ layer: Int) -> [Int32] { queryRows(layer) == nil ? positions : wantedPositions }

  /// The angles of a position.
  func angles(of position: Int32) -> UnsafePointer<Float> { UnsafePointer(angles.row(Int(position))) }

  func runLayer(_ index: Int) {
    let layer = model.layers[index]
    let state = memory.activations(of: index)
    project(index, layer, state)
    pack(index, state)
    attend(index, layer, state)
    let (input, output) = (queryInput(index), memory.output(of: index))
    forEachBlock(queries: input.rows) { _, queries, worker in
      guard !queries.isEmpty else { return }
      self.finish(layer, state, residual: input, queries, into: output, worker: worker)
    }
  }

  /// The rows of a layer's input that its queries come from.
  private func queryInput(_ index: Int) -> Matrix {
    let input = memory.input(of: index)
    guard let rows = queryRows(index) else { return input }
    for (position, row) in rows.enumerated() {
      memory.queryInput.row(position).update(from: input.row(row), count: model.hiddenSize)
    }
    return memory.queryInput
  }

  /// Queries, keys and values, turned by their positions.
  private func project(_ index: Int, _ layer: DecoderLayer, _ state: DecoderActivations) {
    let (input, queryInput) = (memory.input(of: index), queryInput(index))
    let isGathered = queryRows(index) != nil
    let queryPositions = queryPositions(index)
    forEachBlock(queries: queryInput.rows) { rows, queries, worker in
      let normalized = self.memory.normalized(worker)
      self.normalize(rows, of: input, layer, into: normalized, scale: state.inputScale)
      let first = rows.lowerBound
      layer.key.apply(rows: rows.count, normalized, into: state.key.row(first))
      layer.value.apply(rows: rows.count, normalized, into: state.value.row(first))
      self.turn(
        state.key, rows, self.positions, heads: self.model.configuration.keyHeadCount, norm: layer.keyNorm,
        keeping: state.unnormalized?.key, scale: state.unnormalized?.keyScale)
      guard !queries.isEmpty else { return }
      if isGathered { self.normalize(queries, of: queryInput, layer, into: normalized, scale: nil) }
      layer.query.apply(rows: queries.count, normalized, into: state.query.row(queries.lowerBound))
      self.turn(
        state.query, queries, queryPositions, heads: self.model.configuration.headCount, norm: layer.queryNorm,
        keeping: state.unnormalized?.query, scale: state.unnormalized?.queryScale)
    }
  }

  private func normalize(
    _ rows: Range<Int>, of input: Matrix, _ layer: DecoderLayer, into out: UnsafeMutablePointer<Float>, scale: Matrix?
  ) {
    RMSNorm.forward(
      rows: rows.count, columns: model.hiddenSize, x: input.row(rows.lowerBound), weight: layer.attentionNorm.base,
      epsilon: model.configuration.normEpsilon, into: out, rstd: scale.map { $0.base + rows.lowerBound })
  }

  /// Normalises the heads of some rows, where the class does, and turns them by their positions.
  private func turn(
    _ x: Matrix, _ rows: Range<Int>, _ positions: [Int32], heads: Int, norm: Matrix?, keeping raw: Matrix?,
    scale: Matrix?
  ) {
    let columns = model.configuration.headColumns
    let first = rows.lowerBound
    if let norm {
      raw?.row(first).update(from: x.row(first), count: rows.count * x.columns)
      RMSNorm.forward(
        rows: rows.count * heads, columns: columns, x: x.row(first), weight: norm.base,
        epsilon: model.configuration.normEpsilon, into: x.row(first), rstd: scale?.row(first))
    }
    for row in rows {
      RotaryEmbedding.forward(heads: heads, headColumns: columns, angles: angles(of: positions[row]), x: x.row(row))
    }
  }

  /// Packs the layer's keys and values behind those of the prefix.
  private func pack(_ index: Int, _ state: DecoderActivations) {
    let columns = model.configuration.headColumns
    let positions = start..<start + length
    guard let panels = cache?.layers[index] ?? memory.panels else { return }
    let known = prefix?.layers[index]
    pool.forEach(2 * model.configuration.keyHeadCount) { task, _ in
      let head = task / 2
      let column = head * columns
      if task % 2 == 0 {
        if let known { panels.keys.copy(known.keys, head: head, positions: self.start) }
        panels.keys.pack(
          head: head, from: state.key.base + column, stride: state.key.columns, positions: positions)
      } else {
        if let known { panels.values.copy(known.values, head: head, positions: self.start) }
        panels.values.pack(
          head: head, from: state.value.base + column, stride: state.value.columns, positions: positions)
      }
    }
  }

  private func attend(_ index: Int, _ layer: DecoderLayer, _ state: DecoderActivations) {
    guard let panels = cache?.layers[index] ?? memory.panels else { return }
    let columns = model.configuration.headColumns
    let (heads, shared) = (
      model.configuration.headCount, model.configuration.headCount / model.configuration.keyHeadCount
    )
    let count = state.query.rows
    let blocks = (count + CausalAttention.queryBlock - 1) / CausalAttention.queryBlock
    queryPositions(index).withUnsafeBufferPointer { positions in
      guard let positions = positions.baseAddress else { return }
      pool.forEach(heads * blocks) { task, worker in
        // The last blocks see most: begun first, they are not waited for at the end.
        let (block, head) = (blocks - 1 - task / heads, task % heads)
        let first = block * CausalAttention.queryBlock
        let offset = first * state.query.columns + head * columns
        layer.attention.forward(
          CausalAttention.Rows(
            state.query.base + offset, stride: state.query.columns,
            count: min(CausalAttention.queryBlock, count - first), positions: positions + first),
          keys: panels.keys, values: panels.values, head: head / shared, into: state.context.base + offset,
          logSums: state.logSums.row(head) + first, scratch: self.memory.scratch(worker))
      }
    }
  }

  /// From the heads' context to the layer's output, for some rows: everything that looks at one position alone.
  private func finish(
    _ layer: DecoderLayer, _ state: DecoderActivations, residual: Matrix, _ rows: Range<Int>, into output: Matrix,
    worker: Int
  ) {
    let (start, count, columns) = (rows.lowerBound, rows.count, model.configuration.intermediateSize)
    let attended = state.attended.row(start)
    layer.attentionOutput.apply(
      rows: count, state.context.row(start), adding: residual.row(start), into: attended)
    let normalized = memory.normalized(worker)
    RMSNorm.forward(
      rows: count, columns: model.hiddenSize, x: attended, weight: layer.feedForwardNorm.base,
      epsilon: model.configuration.normEpsilon, into: normalized, rstd: state.attendedScale.base + start)
    let gate = state.gate?.row(start) ?? memory.secondInner(worker)
    let inner = memory.inner(worker)
    let up = state.up?.row(start) ?? inner
    layer.gate.apply(rows: count, normalized, into: gate)
    layer.up.apply(rows: count, normalized, into: up) { part, partColumns in
      let offset = part.lowerBound * columns + partColumns.lowerBound
      SwiGLU.forward(
        rows: part.count, columns: partColumns.count, stride: columns, gate: gate + offset, up: up + offset,
        into: inner + offset)
    }
    layer.down.apply(rows: count, inner, adding: attended, into: output.row(start))
  }

  // MARK: Sharing out rows

  /// Cuts the sequence, and the queries along with it, evenly over the threads; where there are few queries, a block may
  /// have none. A row has the same bits in any block, so the cut is free to follow the number of threads.
  func forEachBlock(queries: Int, _ body: (_ rows: Range<Int>, _ queries: Range<Int>, _ worker: Int) -> Void) {
    let most = DecoderMemory.blockRows
    let longest = max(length, queries)
    let count = min(max(pool.threads, (longest + most - 1) / most), longest)
    func part(_ rows: Int, _ index: Int) -> Range<Int> { rows * index / count..<rows * (index + 1) / count }
    pool.forEach(count) { index, worker in body(part(length, index), part(queries, index), worker) }
  }
}
