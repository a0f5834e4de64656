public import Tensors

/// One sequence on its way through a BERT: the memory of its forward pass and, where wanted, of its backward pass.
///
/// Sequences are never padded and no product spans two of them, so each costs its own length and has the same bits in
/// any batch. A pass is used for one sequence after another and keeps its memory; it is not to be used by two threads
/// at once. The loops inside run on the given pool. A pass that is itself run inside a loop is given `.serial`: it has
/// scratch memory for every worker of its pool, and a pass for each worker with scratch for all is threads squared.
public final class BERTPass: LanguageModelPass {
  /// What a forward pass keeps: with `.activations`, memory grows with layers x (heads x L² + (5 hidden + inner) x L).
  public typealias Retention = LanguageModels.Retention

  private let model: BERTModel
  private let pool: ThreadPool
  private var retention = Retention.nothing
  private var length = 0
  /// The positions whose final hidden states are wanted; nil = all.
  private var wanted: [Int]?
  private var memory: BERTMemory

  /// A pass of the model. `pool` runs the loops inside; each of its workers gets scratch memory here.
  public init(model: BERTModel, pool: ThreadPool) {
    self.model = model
    self.pool = pool
    memory = BERTMemory(model: model, workers: pool.threads)
  }

  /// Bytes that it holds, used or left over from longer sequences.
  public var byteCount: Int { memory.byteCount }

  /// The last hidden states of the wanted positions: `wanted.count` (or L) x hiddenSize.
  ///
  /// The result is a view of the pass's memory, valid until the next call of `forward`.
  ///
  /// - Parameters:
  ///   - inputEmbeddings: L x hiddenSize, before positions are added: token embeddings, or projected nodes among them.
  ///   - prefix: nil, as `BERTModel.readPrefix` gives.
  ///   - wanted: positions, ascending; the last layer computes no others. nil = all.
  ///   - retention: what is kept for `backward`.
  /// - Throws: `GLTAError.invalidArgument` where L is zero or beyond the model's positions.
  public func forward(
    inputEmbeddings: Matrix, after prefix: SharedPrefix? = nil, wanted: [Int]? = nil, retention: Retention = .nothing
  ) throws(GLTAError) -> Matrix {
    precondition(prefix == nil, "an encoder has no positions that know nothing of what follows")
    let length = inputEmbeddings.rows
    guard length > 0, length <= model.maximumLength else {
      throw GLTAError(
        .invalidArgument, "a sequence of \(length) tokens; the model takes 1 to \(model.maximumLength)",
        hint: "shorten the prompt: a smaller history, or fewer words per item, in the template")
    }
    precondition(inputEmbeddings.columns == model.hiddenSize)
    precondition(wanted?.allSatisfy { $0 >= 0 && $0 < length } ?? true)
    (self.length, self.wanted, self.retention) = (length, wanted, retention)
    memory.prepare(length: length, wanted: wanted?.count, retention: retention)
    embed(inputEmbeddings)
    for layer in model.layers.indices { runLayer(layer) }
    return memory.output(of: model.layers.count - 1)
  }

  /// The last hidden states from token ids.
  public func forward(
    ids: [Int32], wanted: [Int]? = nil, retention: Retention = .nothing
  ) throws(GLTAError) -> Matrix {
    try forward(inputEmbeddings: model.inputEmbeddings(ids), wanted: wanted, retention: retention)
  }

  /// The gradient of the input embeddings, L x hiddenSize, from that of the wanted hidden states.
  ///
  /// The result is a view of the pass's memory, valid until the next call. Call it once after each `forward`.
  ///
  /// - Precondition: the last `forward` retained something.
  public func backward(_ gradient: Matrix) -> Matrix {
    precondition(retention != .nothing, "backward needs a forward pass that retains activations")
    precondition(gradient.rows == (wanted?.count ?? length) && gradient.columns == model.hiddenSize)
    memory.gradient.slice(0..<gradient.rows).assign(gradient)
    for layer in model.layers.indices.reversed() {
      if retention == .layerInputs && layer < model.layers.count - 1 { runLayer(layer) }
      runLayerBackward(layer)
    }
    let gradient = memory.gradient.slice(0..<length)
    LayerNorm.backward(
      rows: length, columns: model.hiddenSize, dout: gradient.base, x: memory.embedded.base,
      weight: model.embeddingNorm.weight.base, mean: memory.embeddedMean.base, rstd: memory.embeddedRstd.base,
      into: gradient.base)
    return gradient
  }

  // MARK: Embedding

  /// Adds positions and segment, and normalises: the input of the first layer.
  private func embed(_ inputEmbeddings: Matrix) {
    let hidden = model.hiddenSize
    let embedded = memory.embedded
    for position in 0..<length {
      let row = embedded.row(position)
      row.update(from: inputEmbeddings.row(position), count: hidden)
      Accumulate.add(hidden, model.typeEmbedding.base, to: row)
      Accumulate.add(hidden, model.positionEmbeddings.row(position), to: row)
    }
    LayerNorm.forward(
      rows: length, columns: hidden, x: embedded.base, weight: model.embeddingNorm.weight.base,
      bias: model.embeddingNorm.bias.base, epsilon: model.configuration.normEpsilon, into: memory.input(of: 0).base,
      mean: memory.embeddedMean.base, rstd: memory.embeddedRstd.base)
  }

  // MARK: A layer forward

  /// The rows that a layer's queries stand for: the wanted ones in the last layer, all in the others.
  private func queryRows(_ layer: Int) -> [Int]? { layer == model.layers.count - 1 ? wanted : nil }

  private func runLayer(_ index: Int) {
    let layer = model.layers[index]
    let input = memory.input(of: index)
    let state = memory.activations(of: index)
    let queryInput = gatherQueries(index, from: input)
    forEachBlock(queries: queryInput.rows) { rows, queries, _ in
      layer.keyValue.apply(
        rows: rows.count, input.row(rows.lowerBound), into: state.keyValue.row(rows.lowerBound))
      guard !queries.isEmpty else { return }
      layer.query.apply(
        rows: queries.count, queryInput.row(queries.lowerBound), into: state.query.row(queries.lowerBound))
    }
    attend(state)
    let output = memory.output(of: index)
    forEachBlock(queries: queryInput.rows) { _, queries, worker in
      guard !queries.isEmpty else { return }
      self.finish(layer, state, residual: queryInput, queries, into: output, worker: worker)
    }
  }

  private func gatherQueries(_ index: Int, from input: Matrix) -> Matrix {
    guard let rows = queryRows(index) else { return input }
    let gathered = memory.queryInput.slice(0..<rows.count)
    for (position, row) in rows.enumerated() {
      gathered.row(position).update(from: input.row(row), count: model.hiddenSize)
    }
    return gathered
  }

  private func attend(_ state: LayerActivations) {
    let (heads, hidden) = (model.configuration.headCount, model.hiddenSize)
    let attention = Attention(length: length, headColumns: hidden / heads)
    let context = memory.context
    pool.forEach(heads) { [memory] head, worker in
      let column = head * attention.headColumns
      attention.forward(
        queries: state.query.rows, q: state.query.base + column, qStride: hidden, k: state.keyValue.base + column,
        v: state.keyValue.base + hidden + column, kvStride: 2 * hidden, p: state.probabilities(head),
        into: context.base + column, scratch: memory.scratch(worker))
    }
  }

  /// From the heads' context to the layer's output, for some rows: everything that looks at one position alone.
  private func finish(
    _ layer: BERTLayer, _ state: LayerActivations, residual: Matrix, _ rows: Range<Int>, into output: Matrix,
    worker: Int
  ) {
    let configuration = model.configuration
    let (start, count, hidden) = (rows.lowerBound, rows.count, configuration.hiddenSize)
    layer.attentionOutput.apply(
      rows: count, memory.context.row(start), adding: residual.row(start), into: state.attended.row(start))
    LayerNorm.forward(
      rows: count, columns: hidden, x: state.attended.row(start), weight: layer.attentionNorm.weight.base,
      bias: layer.attentionNorm.bias.base, epsilon: configuration.normEpsilon, into: state.normalized.row(start),
      mean: state.attendedMean.base + start, rstd: state.attendedRstd.base + start)
    let inner = memory.inner(worker)
    expand(layer, rows: count, state.normalized.row(start), into: inner, slope: state.slope?.row(start))
    layer.contraction.apply(
      rows: count, inner, adding: state.normalized.row(start), into: state.summed.row(start))
    LayerNorm.forward(
      rows: count, columns: hidden, x: state.summed.row(start), weight: layer.outputNorm.weight.base,
      bias: layer.outputNorm.bias.base, epsilon: configuration.normEpsilon, into: output.row(start),
      mean: state.summedMean.base + start, rstd: state.summedRstd.base + start)
  }

  /// The first half of the feed-forward block; the activation goes over each part of the product that is complete.
  private func expand(
    _ layer: BERTLayer, rows: Int, _ x: UnsafePointer<Float>, into inner: UnsafeMutablePointer<Float>,
    slope: UnsafeMutablePointer<Float>?
  ) {
    let (form, columns) = (model.configuration.activation, model.configuration.intermediateSize)
    let product = slope ?? inner
    layer.expansion.apply(rows: rows, x, into: product) { part, partColumns in
      let offset = part.lowerBound * columns + partColumns.lowerBound
      GELU.forward(
        form, rows: part.count, columns: partColumns.count, stride: columns, x: product + offset, into: inner + offset,
        slope: slope.map { $0 + offset })
    }
  }

  // MARK: A layer backward

  /// Turns `memory.gradient` from that of the layer's output into that of its input.
  private func runLayerBackward(_ index: Int) {
    let layer = model.layers[index]
    let state = memory.activations(of: index)
    let queries = state.query.rows
    forEachBlock(queries: queries) { _, queries, worker in
      guard !queries.isEmpty else { return }
      self.finishBackward(layer, state, queries, worker: worker)
    }
    attendBackward(state)
    let gradient = memory.gradient
    let (dquery, dkeyValue, dattended) = (memory.dquery, memory.dkeyValue, memory.dattended)
    let gathered = queryRows(index)
    forEachBlock(queries: queries) { rows, queries, _ in
      if !queries.isEmpty {
        layer.query.applyBackward(
          rows: queries.count, dquery.row(queries.lowerBound), adding: dattended.row(queries.lowerBound),
          into: dattended.row(queries.lowerBound))
      }
      // Where all rows are queries, the two sums are one.
      layer.keyValue.applyBackward(
        rows: rows.count, dkeyValue.row(rows.lowerBound),
        adding: gathered == nil ? dattended.row(rows.lowerBound) : nil, into: gradient.row(rows.lowerBound))
    }
    for (position, row) in (gathered ?? []).enumerated() {
      Accumulate.add(model.hiddenSize, dattended.row(position), to: gradient.row(row))
    }
  }

  /// `finish` backwards: leaves the gradient of the context in `dcontext` and that of the residual in `dattended`.
  private func finishBackward(_ layer: BERTLayer, _ state: LayerActivations, _ rows: Range<Int>, worker: Int) {
    let configuration = model.configuration
    let (start, count, hidden) = (rows.lowerBound, rows.count, configuration.hiddenSize)
    let inner = memory.inner(worker)
    let gradient = memory.gradient.row(start)
    LayerNorm.backward(
      rows: count, columns: hidden, dout: gradient, x: state.summed.row(start),
      weight: layer.outputNorm.weight.base, mean: state.summedMean.base + start,
      rstd: state.summedRstd.base + start, into: gradient)
    contractBackward(layer, rows: count, gradient, into: inner, slope: state.slope?.row(start))
    layer.expansion.applyBackward(rows: count, inner, adding: gradient, into: gradient)
    LayerNorm.backward(
      rows: count, columns: hidden, dout: gradient, x: state.attended.row(start),
      weight: layer.attentionNorm.weight.base, mean: state.attendedMean.base + start,
      rstd: state.attendedRstd.base + start, into: memory.dattended.row(start))
    layer.attentionOutput.applyBackward(
      rows: count, memory.dattended.row(start), into: memory.dcontext.row(start))
  }

  /// The gradient of the feed-forward block's expanded half, through the activation.
  private func contractBackward(
    _ layer: BERTLayer, rows: Int, _ dout: UnsafePointer<Float>, into inner: UnsafeMutablePointer<Float>,
    slope: UnsafePointer<Float>?
  ) {
    guard let slope else { return }
    let columns = model.configuration.intermediateSize
    layer.contraction.applyBackward(rows: rows, dout, into: inner) { part, partColumns in
      let offset = part.lowerBound * columns + partColumns.lowerBound
      GELU.backward(
        rows: part.count, columns: partColumns.count, stride: columns, dout: inner + offset, slope: slope + offset,
        into: inner + offset)
    }
  }

  private func attendBackward(_ state: LayerActivations) {
    let (heads, hidden) = (model.configuration.headCount, model.hiddenSize)
    let attention = Attention(length: length, headColumns: hidden / heads)
    let (dcontext, dquery, dkeyValue) = (memory.dcontext, memory.dquery, memory.dkeyValue)
    pool.forEach(heads) { [memory] head, worker in
      guard let p = state.probabilities(head) else { return }
      let column = head * attention.headColumns
      attention.backward(
        queries: state.query.rows, dout: dcontext.base + column, p: p,
        q: state.query.base + column, qStride: hidden, k: state.keyValue.base + column,
        v: state.keyValue.base + hidden + column, kvStride: 2 * hidden, dq: dquery.base + column,
        dk: dkeyValue.base + column, dv: dkeyValue.base + hidden + column, scratch: memory.scratch(worker))
    }
  }

  // MARK: Sharing out rows

  /// Cuts the sequence, and the queries along with it, evenly over the threads; where there are few queries, a block may
  /// have none. `Product` gives a row the same bits in any block, so the cut is free to follow the number of threads.
  private func forEachBlock(
    queries: Int, _ body: (_ rows: Range<Int>, _ queries: Range<Int>, _ worker: Int) -> Void
  ) {
    let most = BERTMemory.blockRows
    let count = min(max(pool.threads, (length + most - 1) / most), length)
    func part(_ rows: Int, _ index: Int) -> Range<Int> { rows * index / count..<rows * (index + 1) / count }
    pool.forEach(count) { index, worker in body(part(length, index), part(queries, index), worker) }
  }
}
