public import Tensors

extension DecoderPass {
  /// The gradient of the input embeddings, L x hiddenSize, from that of the wanted hidden states.
  ///
  /// The result is a view of the pass's memory, valid until the next call. Call it once after each `forward` that retained
  /// something: it writes over what was retained.
  public func backward(_ gradient: Matrix) -> Matrix {
    precondition(retention != .nothing, "backward needs a forward pass that retains activations")
    precondition(gradient.rows == (wanted?.count ?? length) && gradient.columns == model.hiddenSize)
    guard let gradients = memory.gradients else { return gradient }
    let last = memory.output(of: model.layers.count - 1)
    RMSNorm.backward(
      rows: gradient.rows, columns: model.hiddenSize, dout: gradient.base, x: last.base,
      weight: model.finalNorm.base, rstd: memory.resultScale.base, into: gradients.state.base)
    for layer in model.layers.indices.reversed() {
      if retention == .layerInputs && layer < model.layers.count - 1 { runLayer(layer) }
      runLayerBackward(layer, gradients)
    }
    return gradients.state
  }

  /// Turns `gradients.state` from that of the layer's output into that of its input.
  private func runLayerBackward(_ index: Int, _ gradients: DecoderGradients) {
    let layer = model.layers[index]
    let state = memory.activations(of: index)
    let queries = state.query.rows
    forEachBlock(queries: queries) { _, queries, worker in
      guard !queries.isEmpty else { return }
      self.finishBackward(layer, state, gradients, queries, worker: worker)
    }
    packBackward(index, state)
    attendBackward(index, layer, state, gradients)
    projectBackward(index, layer, state, gradients)
  }

  /// `finish` backwards: leaves the gradient of the context, and in `state` that of the layer's input past attention.
  private func finishBackward(
    _ layer: DecoderLayer, _ state: DecoderActivations, _ gradients: DecoderGradients, _ rows: Range<Int>, worker: Int
  ) {
    guard let gate = state.gate?.row(rows.lowerBound), let up = state.up?.row(rows.lowerBound) else { return }
    let (start, count, columns) = (rows.lowerBound, rows.count, model.configuration.intermediateSize)
    let gradient = gradients.state.row(start)
    let (inner, normalized) = (memory.inner(worker), memory.normalized(worker))
    layer.down.applyBackward(rows: count, gradient, into: inner) { part, partColumns in
      let offset = part.lowerBound * columns + partColumns.lowerBound
      SwiGLU.backward(
        rows: part.count, columns: partColumns.count, stride: columns, dout: inner + offset, gate: gate + offset,
        up: up + offset, dgate: inner + offset, dup: up + offset)
    }
    layer.gate.applyBackward(rows: count, inner, into: normalized)
    layer.up.applyBackward(rows: count, up, adding: normalized, into: normalized)
    RMSNorm.backward(
      rows: count, columns: model.hiddenSize, dout: normalized, x: state.attended.row(start),
      weight: layer.feedForwardNorm.base, rstd: state.attendedScale.base + start, adding: gradient, into: gradient)
    layer.attentionOutput.applyBackward(rows: count, gradient, into: gradients.context.row(start))
  }

  // MARK: Attention

  /// Packs the layer's keys and values, and those of the prefix, in the orders of the backward products.
  private func packBackward(_ index: Int, _ state: DecoderActivations) {
    guard let panels = memory.backwardPanels else { return }
    let columns = model.configuration.headColumns
    let positions = start..<start + length
    let known = prefix?.layers[index]
    pool.forEach(3 * model.configuration.keyHeadCount) { task, worker in
      let head = task / 3
      let (key, value) = (state.key.base + head * columns, state.value.base + head * columns)
      let stride = state.key.columns
      let row = self.memory.scratch(worker)
      switch task % 3 {
      case 0:
        if let known { panels.keys.copy(known.keys, head: head, positions: self.start) }
        panels.keys.pack(head: head, from: key, stride: stride, positions: positions)
      case 1:
        for position in 0..<(known == nil ? 0 : self.start) {
          known?.keys.copyRow(head: head, position: position, into: row)
          panels.keySums.pack(head: head, from: row, stride: columns, positions: position..<position + 1)
        }
        panels.keySums.pack(head: head, from: key, stride: stride, positions: positions)
      default:
        for position in 0..<(known == nil ? 0 : self.start) {
          known?.values.copyRow(head: head, position: position, into: row)
          panels.values.pack(head: head, from: row, stride: columns, positions: position..<position + 1)
        }
        panels.values.pack(head: head, from: value, stride: stride, positions: positions)
      }
    }
  }

  /// A head of queries is one index of the loop: what it adds to keys and values goes to columns of its own.
  private func attendBackward(
    _ index: Int, _ layer: DecoderLayer, _ state: DecoderActivations, _ gradients: DecoderGradients
  ) {
    guard let panels = memory.backwardPanels else { return }
    let (columns, heads) = (model.configuration.headColumns, model.configuration.headCount)
    let shared = heads / model.configuration.keyHeadCount
    let (count, stride) = (state.query.rows, state.query.columns)
    queryPositions(index).withUnsafeBufferPointer { positions in
      guard let positions = positions.baseAddress else { return }
      pool.forEach(heads) { head, worker in
        let column = head * columns
        let (dk, dv) = (gradients.keyByHead.base + column, gradients.valueByHead.base + column)
        for row in 0..<self.length {
          (dk + row * stride).update(repeating: 0, count: columns)
          (dv + row * stride).update(repeating: 0, count: columns)
        }
        for first in Swift.stride(from: 0, to: count, by: CausalAttention.queryBlock) {
          let offset = first * stride + column
          layer.attention.backward(
            CausalAttention.Rows(
              state.query.base + offset, stride: stride, count: min(CausalAttention.queryBlock, count - first),
              positions: positions + first),
            out: state.context.base + offset, dout: gradients.context.base + offset,
            logSums: state.logSums.row(head) + first, panels: panels, head: head / shared,
            into: gradients.query.base + offset, firstKey: self.start, dk: dk, dv: dv, kvStride: stride,
            scratch: self.memory.scratch(worker))
        }
      }
    }
  }

  // MARK: Projections

  private func projectBackward(
    _ index: Int, _ layer: DecoderLayer, _ state: DecoderActivations, _ gradients: DecoderGradients
  ) {
    let hidden = model.hiddenSize
    let input = memory.input(of: index)
    let gathered = queryRows(index)
    let queryPositions = queryPositions(index)
    forEachBlock(queries: state.query.rows) { rows, queries, _ in
      self.turnBackward(state, gradients, layer, rows: rows, queries: queries, queryPositions)
      let normalized = gradients.normalized.row(rows.lowerBound)
      layer.key.applyBackward(rows: rows.count, gradients.key.row(rows.lowerBound), into: normalized)
      layer.value.applyBackward(
        rows: rows.count, gradients.value.row(rows.lowerBound), adding: normalized, into: normalized)
      if gathered != nil {
        guard !queries.isEmpty else { return }
        layer.query.applyBackward(
          rows: queries.count, gradients.query.row(queries.lowerBound),
          into: gradients.queryInput.row(queries.lowerBound))
      } else {
        layer.query.applyBackward(
          rows: rows.count, gradients.query.row(rows.lowerBound), adding: normalized, into: normalized)
      }
    }
    var residual = gradients.state
    if let gathered {
      gradients.residual.fill(0)
      for (position, row) in gathered.enumerated() {
        Accumulate.add(hidden, gradients.state.row(position), to: gradients.residual.row(row))
        Accumulate.add(hidden, gradients.queryInput.row(position), to: gradients.normalized.row(row))
      }
      residual = gradients.residual
    }
    forEachBlock(queries: 0) { rows, _, _ in
      let first = rows.lowerBound
      RMSNorm.backward(
        rows: rows.count, columns: hidden, dout: gradients.normalized.row(first), x: input.row(first),
        weight: layer.attentionNorm.base, rstd: state.inputScale.base + first, adding: residual.row(first),
        into: gradients.state.row(first))
    }
  }

  /// `turn` backwards, and before it the sums over the heads that share a key.
  private func turnBackward(
    _ state: DecoderActivations, _ gradients: DecoderGradients, _ layer: DecoderLayer, rows: Range<Int>,
    queries: Range<Int>, _ queryPositions: [Int32]
  ) {
    let configuration = model.configuration
    let (columns, keyHeads) = (configuration.headColumns, configuration.keyHeadCount)
    for row in rows {
      sumHeads(gradients.keyByHead.row(row), into: gradients.key.row(row))
      sumHeads(gradients.valueByHead.row(row), into: gradients.value.row(row))
      RotaryEmbedding.backward(
        heads: keyHeads, headColumns: columns, angles: angles(of: Int32(start + row)), dx: gradients.key.row(row))
    }
    for row in queries {
      RotaryEmbedding.backward(
        heads: configuration.headCount, headColumns: columns, angles: angles(of: queryPositions[row]),
        dx: gradients.query.row(row))
    }
    guard let raw = state.unnormalized, let keyNorm = layer.keyNorm, let queryNorm = layer.queryNorm else { return }
    normalizeBackward(gradients.key, rows, heads: keyHeads, x: raw.key, weight: keyNorm, scale: raw.keyScale)
    normalizeBackward(
      gradients.query, queries, heads: configuration.headCount, x: raw.query, weight: queryNorm,
      scale: raw.queryScale)
  }

  private func sumHeads(_ byHead: UnsafePointer<Float>, into sum: UnsafeMutablePointer<Float>) {
    let (columns, keyHeads) = (model.configuration.headColumns, model.configuration.keyHeadCount)
    let shared = model.configuration.headCount / keyHeads
    for head in 0..<keyHeads {
      let (target, source) = (sum + head * columns, byHead + head * shared * columns)
      target.update(from: source, count: columns)
      for other in 1..<max(shared, 1) { Accumulate.add(columns, source + other * columns, to: target) }
    }
  }

  private func normalizeBackward(
    _ gradient: Matrix, _ rows: Range<Int>, heads: Int, x: Matrix, weight: Matrix, scale: Matrix
  ) {
    guard !rows.isEmpty else { return }
    let first = rows.lowerBound
    RMSNorm.backward(
      rows: rows.count * heads, columns: model.configuration.headColumns, dout: gradient.row(first), x: x.row(first),
      weight: weight.base, rstd: scale.row(first), into: gradient.row(first))
  }
}
