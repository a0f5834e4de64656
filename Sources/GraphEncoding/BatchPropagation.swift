import CProcessor
package import Tensors

/// LightGCN's map out = (I + A + ... + A^K) x / (K + 1) for the nodes of one batch, and its gradient for all nodes: what a
/// training step needs of propagation, and no more.
///
/// The output is wanted at the batch's nodes only, so the last layer is summed there alone and the one before at their
/// neighbours; the sum over layers is kept for the batch alone, too. The gradient starts at the batch's nodes, so the
/// first layer on the way back sums over those neighbours that are among them. With Gowalla's batches of 2,048 that is
/// four passes over the edges instead of six. Rows that are left out are zeros or not read, so the result is that of whole
/// layers. Where the batch's nodes have most of the edges, whole layers are summed instead: `WholeLayers` knows how.
package final class BatchPropagation {
  private let graph: NormalizedGraph
  private let whole: WholeLayers
  private let layers: Int
  private let columns: Int
  private let pool: ThreadPool
  /// x and the layers in turn, scaled.
  private let start: ScaledLayer
  private let work: [ScaledLayer]
  /// A layer as matrix units read it, where whole layers are summed by them.
  private let pairs: ScaledLayer
  /// A byte for each node, at fixed addresses: arrays of a class are checked for exclusive access at every look.
  private let isWanted: UnsafeMutablePointer<UInt8>
  private let isInBatch: UnsafeMutablePointer<UInt8>
  /// Whether the batch's nodes have less than half of all edges; otherwise leaving out rows does not pay.
  private var leavesOutRows = false
  /// Whether they have less than three quarters, or half where whole layers take less; otherwise leaving out neighbours
  /// does not pay.
  private var leavesOutNeighbours = false
  /// The batch's slots, cut into runs of about the same number of edges.
  private var slotRuns: [Range<Int>] = []
  /// A few rows of floats for each thread, and room for the neighbours of a run.
  private let scratch: Matrix
  private let kept: [KeptNeighbours]

  /// A propagation of K = `layers` over rows of `columns` floats, a multiple of `precision.columnMultiple`.
  ///
  /// - Parameter emulatesUnits: takes the way over matrix units on any processor; slow, for tests.
  package init(
    graph: NormalizedGraph, layers: Int, columns: Int, precision: LayerPrecision, emulatesUnits: Bool = false,
    pool: ThreadPool
  ) {
    self.graph = graph
    whole = layers > 0 ? WholeLayers(graph, precision: precision, emulatesUnits: emulatesUnits) : .lists
    self.layers = layers
    self.columns = columns
    self.pool = pool
    let nodes = layers > 0 ? graph.nodes : 0
    let memory = ScaledLayer.layers(
      rows: [nodes, nodes, nodes, whole.pairedNodes], columns: columns, precision: precision)
    (start, work, pairs) = (memory[0], [memory[1], memory[2]], memory[3])
    isWanted = .allocate(capacity: graph.nodes)
    isInBatch = .allocate(capacity: graph.nodes)
    scratch = Matrix(rows: pool.threads, columns: WholeLayers.pieceRows * columns + 16)
    kept = (0..<pool.threads).map { _ in KeptNeighbours(graph) }
  }

  deinit {
    isWanted.deallocate()
    isInBatch.deallocate()
  }

  /// Bytes of the layers that this keeps, at most.
  static func byteCount(nodes: Int, layers: Int, columns: Int, precision: LayerPrecision) -> Int {
    let isPaired = precision == .bf16 && Processor.hasMatrixUnits
    return layers == 0 ? 0 : (isPaired ? 4 : 3) * nodes * columns * (precision == .f32 ? 4 : 2)
  }

  /// Takes in x, nodes x d, before the first step.
  package func assign(_ x: Matrix) {
    guard layers > 0 else { return }
    pool.forEach(graph.runs.count) { run, _ in self.assign(x, nodes: self.graph.runs[run]) }
  }

  /// Takes in some rows of x that have changed. Rows may be taken in from several threads.
  func assign(_ x: Matrix, nodes: Range<Int>) {
    if layers > 0 { start.store(x.row(nodes.lowerBound), scaledBy: graph.edges.scale, nodes: nodes) }
  }

  /// The output at the batch's nodes: |batch| x d.
  package func forward(_ x: Matrix, _ batch: BatchNodes, into output: Matrix) {
    for (slot, node) in batch.nodes.enumerated() { output.row(slot).update(from: x.row(Int(node)), count: columns) }
    guard layers > 0 else { return }
    mark(batch)
    var source = start
    for layer in 1..<layers {
      let target = work[layer % 2]
      if layer == layers - 1 && leavesOutRows {
        forEachRun { nodes, worker in
          var rows = self.rows(nodes, worker, batch, source: source, target: target)
          glta_forward_rows(&rows, self.isWanted, output.base)
        }
      } else {
        sumWhole(source, target, batch, into: output)
      }
      source = target
    }
    if case .blocks = whole, !leavesOutRows {
      sumWhole(source, nil, batch, into: output)
      pool.forEach(slotRuns.count) { run, _ in
        for slot in self.slotRuns[run] {
          glta_scale_and_add(output.row(slot), nil, 1 / Float(self.layers + 1), self.columns)
        }
      }
    } else {
      addLastLayer(source, batch, to: output)
    }
  }

  /// A whole layer after `source`, added to the output at the batch's nodes.
  private func sumWhole(_ source: ScaledLayer, _ target: ScaledLayer?, _ batch: BatchNodes, into output: Matrix) {
    pair(source)
    whole.forEachRun(of: graph, pairs: pairBase, pool: pool) { nodes, part, worker in
      var rows = self.rows(nodes, worker, batch, source: source, target: target, part)
      switch part {
      case .lists: glta_forward_rows(&rows, nil, output.base)
      case .groups(var groups): glta_forward_groups(&rows, &groups, output.base)
      case .panels(var panels, _): glta_forward_panels(&rows, &panels, output.base)
      }
    }
  }

  /// The last layer at the batch's nodes, and the mean.
  private func addLastLayer(_ source: ScaledLayer, _ batch: BatchNodes, to output: Matrix) {
    let share = 1 / Float(layers + 1)
    pool.forEach(slotRuns.count) { run, worker in
      let (slots, kept, sums) = (self.slotRuns[run], self.kept[worker], self.scratch.row(worker))
      kept.removeAll()
      for slot in slots { kept.append(all: Int(batch.nodes[slot]), self.graph.edges) }
      for (index, slot) in slots.enumerated() {
        let out = output.row(slot)
        source.gather(kept.row(index), count: kept.count(index), into: sums)
        glta_add_scaled(sums, self.scale(Int(batch.nodes[slot])), self.columns, out)
        glta_scale_and_add(out, nil, share, self.columns)
      }
    }
  }

  /// The gradient of x from that of the output at the batch's nodes, |batch| x d, after `forward` of the same batch: calls
  /// `body` with the gradients of some nodes' rows, one after the other, until every node has had its turn, from several
  /// threads. `body` may change these rows of x.
  package func backward(
    _ gradient: Matrix, _ batch: BatchNodes,
    _ body: (_ nodes: Range<Int>, _ gradients: UnsafeMutablePointer<Float>) -> Void
  ) {
    guard layers > 0 else {
      return forEachRun(inPieces: true) { nodes, worker in
        let rows = self.scratch.row(worker)
        self.scatter(gradient, batch, nodes, into: rows)
        body(nodes, rows)
      }
    }
    var source = scatter(gradient, batch)
    for layer in 1...layers {
      let target = layer < layers ? work[(layer + 1) % 2] : nil
      if layer == 1 && leavesOutNeighbours {
        sumBatch(source, target, gradient, batch, body)
      } else {
        sumWhole(source, target, gradient, batch, body)
      }
      source = target ?? source
    }
  }

  /// A layer on the way back; the last one, without a target, goes to `body`.
  private func sumWhole(
    _ source: ScaledLayer, _ target: ScaledLayer?, _ gradient: Matrix, _ batch: BatchNodes,
    _ body: (_ nodes: Range<Int>, _ gradients: UnsafeMutablePointer<Float>) -> Void
  ) {
    let share = 1 / Float(layers + 1)
    pair(source)
    whole.forEachRun(of: graph, inPieces: target == nil, pairs: pairBase, pool: pool) { nodes, part, worker in
      var rows = self.rows(nodes, worker, batch, source: source, target: target, part)
      switch part {
      case .lists: glta_backward_rows(&rows, gradient.base, share)
      case .groups(var groups): glta_backward_groups(&rows, &groups, gradient.base, share)
      case .panels(var panels, _): glta_backward_panels(&rows, &panels, gradient.base, share)
      }
      if target == nil { body(nodes, self.scratch.row(worker)) }
    }
  }

  /// The first layer on the way back: all other nodes than the batch's have no gradient yet.
  private func sumBatch(
    _ source: ScaledLayer, _ target: ScaledLayer?, _ gradient: Matrix, _ batch: BatchNodes,
    _ body: (_ nodes: Range<Int>, _ gradients: UnsafeMutablePointer<Float>) -> Void
  ) {
    forEachRun(inPieces: target == nil) { nodes, worker in
      var rows = self.rows(nodes, worker, batch, source: source, target: target)
      self.keepBatch(nodes, worker, &rows)
      glta_backward_rows(&rows, gradient.base, 1 / Float(self.layers + 1))
      if target == nil { body(nodes, self.scratch.row(worker)) }
    }
  }

  /// Rows of the gradient of the output as those of whole layers.
  private func scatter(
    _ gradient: Matrix, _ batch: BatchNodes, _ nodes: Range<Int>, into rows: UnsafeMutablePointer<Float>
  ) {
    rows.update(repeating: 0, count: nodes.count * columns)
    for node in nodes {
      guard let slot = batch.slot(of: node) else { continue }
      (rows + (node - nodes.lowerBound) * columns).update(from: gradient.row(slot), count: columns)
    }
  }

  /// The gradient of the output as a layer. Rows beyond the batch's nodes are zeros where they will be read.
  private func scatter(_ gradient: Matrix, _ batch: BatchNodes) -> ScaledLayer {
    let layer = work[1]
    if !leavesOutNeighbours { layer.clear() }
    for (slot, node) in batch.nodes.enumerated() {
      layer.store(gradient.row(slot), scaledBy: graph.edges.scale, nodes: Int(node)..<Int(node) + 1)
    }
    return layer
  }

  /// Finds out which nodes are in the batch, which are their neighbours, and which to visit together.
  private func mark(_ batch: BatchNodes) {
    let edges = graph.edges
    let nonZeros = batch.nodes.reduce(0) { $0 + edges.degree(Int($1)) }
    leavesOutRows = nonZeros * 2 < graph.nonZeros
    leavesOutNeighbours = whole.isShared ? leavesOutRows : nonZeros * 4 < graph.nonZeros * 3
    isInBatch.initialize(repeating: 0, count: graph.nodes)
    for node in batch.nodes { isInBatch[Int(node)] = 1 }
    cutSlots(batch)
    guard leavesOutRows else { return }
    isWanted.update(from: isInBatch, count: graph.nodes)
    for node in batch.nodes {
      let row = edges.row(Int(node))
      for position in 0..<edges.degree(Int(node)) { isWanted[Int(row[position])] = 1 }
    }
  }

  private func cutSlots(_ batch: BatchNodes) {
    slotRuns.removeAll(keepingCapacity: true)
    var (start, count) = (0, 0)
    for (slot, node) in batch.nodes.enumerated() {
      count += graph.edges.degree(Int(node))
      if count >= NormalizedGraph.edgesPerRun / 2 || slot == batch.count - 1 {
        slotRuns.append(start..<slot + 1)
        (start, count) = (slot + 1, 0)
      }
    }
  }

  /// What the kernels are told of a run of rows.
  @inline(__always)
  private func rows(
    _ nodes: Range<Int>, _ worker: Int, _ batch: BatchNodes, source: ScaledLayer, target: ScaledLayer?,
    _ part: WholeLayers.Part = .lists
  ) -> glta_layer_rows {
    let lists = if case .panels(_, let outside) = part { outside } else { graph.edges }
    return glta_layer_rows(
      first: nodes.lowerBound, last: nodes.upperBound, offsets: lists.offsets + nodes.lowerBound,
      neighbours: lists.neighbours, scale: graph.edges.scale, slots: batch.slotOfNode, source: source.base,
      target: target?.base, columns: columns, is_bf16: start.precision.isHalf, sums: scratch.row(worker))
  }

  /// Makes a layer ready for matrix units, if they will read it.
  private func pair(_ source: ScaledLayer) {
    guard case .blocks(let blocks) = whole else { return }
    pool.forEach(blocks.placeCount) { place, _ in
      let nodes = blocks.nodes(ofPlace: place)
      glta_pair_rows(
        nodes.lowerBound, nodes.upperBound, source.base, self.columns, self.pairBase + place * 16 * self.columns)
    }
  }

  private var pairBase: UnsafeMutablePointer<UInt32> { pairs.base.assumingMemoryBound(to: UInt32.self) }

  /// Leaves of the neighbours only those that are in the batch.
  private func keepBatch(_ nodes: Range<Int>, _ worker: Int, _ rows: inout glta_layer_rows) {
    let kept = self.kept[worker]
    kept.removeAll()
    for node in nodes {
      let mayHave = !leavesOutRows || isWanted[node] != 0
      kept.append(of: node, graph.edges, where: mayHave ? isInBatch : nil)
    }
    (rows.neighbours, rows.offsets) = (UnsafePointer(kept.neighbours), UnsafePointer(kept.offsets))
  }

  /// Every row once, in runs that are shared out over the threads, from lists.
  private func forEachRun(inPieces isCut: Bool = false, _ body: (_ nodes: Range<Int>, _ worker: Int) -> Void) {
    WholeLayers.lists.forEachRun(of: graph, inPieces: isCut, pairs: pairBase, pool: pool) { nodes, _, worker in
      body(nodes, worker)
    }
  }

  @inline(__always)
  private func scale(_ node: Int) -> Float { graph.edges.scale[node] }
}
