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
  private var start: ScaledLayer
  private let work: [ScaledLayer]
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
  /// The largest element of a layer, which fixed point needs to know.
  private let largest: LargestOfThreads

  /// A propagation of K = `layers` over rows of `columns` floats, a multiple of `precision.columnMultiple`.
  package init(graph: NormalizedGraph, layers: Int, columns: Int, precision: LayerPrecision, pool: ThreadPool) {
    self.graph = graph
    whole = layers > 0 ? WholeLayers(graph, precision: precision) : .lists
    self.layers = layers
    self.columns = columns
    self.pool = pool
    // A row of zeros more, which groups in fixed point are filled up with.
    let memory = ScaledLayer.layers(3, rows: layers > 0 ? graph.nodes + 1 : 0, columns: columns, precision: precision)
    (start, work) = (memory[0], [memory[1], memory[2]])
    isWanted = .allocate(capacity: graph.nodes)
    isInBatch = .allocate(capacity: graph.nodes)
    scratch = Matrix(rows: pool.threads, columns: WholeLayers.pieceRows * columns + 16)
    kept = (0..<pool.threads).map { _ in KeptNeighbours(graph) }
    largest = LargestOfThreads(threads: pool.threads)
  }

  deinit {
    isWanted.deallocate()
    isInBatch.deallocate()
  }

  /// Bytes of the layers that this keeps, at most.
  static func byteCount(nodes: Int, layers: Int, columns: Int, precision: LayerPrecision) -> Int {
    layers == 0 ? 0 : 3 * (nodes + 1) * columns * precision.size
  }

  /// Takes in x, nodes x d, before the first step and whenever it has changed outside of `backward`.
  package func assign(_ x: Matrix) {
    guard layers > 0 else { return }
    start.unit = ScaledLayer.unit(roughly: largest(of: x, nodes: { $0 }, count: graph.nodes))
    pool.forEach(graph.runs.count) { run, worker in self.take(x, self.graph.runs[run], worker) }
  }

  /// Takes in some rows of x that have changed, all of them in time and from several threads; then `finishTaking`.
  private func take(_ x: Matrix, _ nodes: Range<Int>, _ worker: Int) {
    largest.see(start.store(x.row(nodes.lowerBound), scaledBy: graph.edges.scale, nodes: nodes), worker: worker)
  }

  /// Rows were taken in with the unit of the step before; mostly that is right. It must not depend on anything but x, or
  /// training would not go on to the same bits after a stop.
  private func finishTaking(_ x: Matrix) {
    if start.precision == .int16, ScaledLayer.unit(roughly: largest.value) != start.unit { assign(x) }
  }

  /// The largest element of some nodes' scaled rows, for fixed point; zero otherwise, where nobody asks.
  private func largest(of rows: Matrix, nodes: (Int) -> Int, count: Int) -> Float {
    guard start.precision == .int16 else { return 0 }
    largest.forget()
    forEachPiece(count) { piece, worker in
      for row in piece {
        self.largest.see(glta_largest(rows.row(row), self.columns) * self.scale(nodes(row)), worker: worker)
      }
    }
    return largest.value
  }

  /// Rows beside one another, shared out over the threads.
  private func forEachPiece(_ count: Int, _ body: (_ rows: Range<Int>, _ worker: Int) -> Void) {
    let size = 256
    pool.forEach((count + size - 1) / size) { piece, worker in
      body(piece * size..<min(count, (piece + 1) * size), worker)
    }
  }

  /// The output at the batch's nodes: |batch| x d.
  package func forward(_ x: Matrix, _ batch: BatchNodes, into output: Matrix) {
    let nodes = batch.nodes
    forEachPiece(nodes.count) { slots, _ in
      for slot in slots { output.row(slot).update(from: x.row(Int(nodes[slot])), count: self.columns) }
    }
    guard layers > 0 else { return }
    mark(batch)
    var source = start
    for layer in 1..<layers {
      // Scaled rows are means of those before: none is larger.
      var target = work[layer % 2]
      target.unit = source.unit
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
    addLastLayer(source, batch, to: output)
  }

  /// A whole layer after `source`, added to the output at the batch's nodes.
  private func sumWhole(_ source: ScaledLayer, _ target: ScaledLayer, _ batch: BatchNodes, into output: Matrix) {
    whole.forEachRun(of: graph, pool: pool) { nodes, part, worker in
      var rows = self.rows(nodes, worker, batch, source: source, target: target)
      switch part {
      case .lists: glta_forward_rows(&rows, nil, output.base)
      case .groups(var groups): glta_forward_groups(&rows, &groups, output.base)
      }
    }
  }

  /// The last layer at the batch's nodes, and the mean.
  private func addLastLayer(_ source: ScaledLayer, _ batch: BatchNodes, to output: Matrix) {
    let (edges, nodes, share) = (graph.edges, batch.nodes, 1 / Float(layers + 1))
    pool.forEach(slotRuns.count) { run, worker in
      let (slots, kept, sums) = (self.slotRuns[run], self.kept[worker], self.scratch.row(worker))
      if source.isFar {
        kept.removeAll()
        for slot in slots { kept.append(all: Int(nodes[slot]), edges) }
      }
      for slot in slots {
        let (node, out) = (Int(nodes[slot]), output.row(slot))
        let list = source.isFar ? kept.row(slot - slots.lowerBound) : UnsafePointer(edges.row(node))
        source.gather(list, count: edges.degree(node), into: sums)
        glta_add_scaled(sums, self.scale(node), self.columns, out)
        glta_scale_and_add(out, nil, share, self.columns)
      }
    }
  }

  /// The gradient of x from that of the output at the batch's nodes, |batch| x d, after `forward` of the same batch: calls
  /// `body` with the gradients of some nodes' rows, one after the other, until every node has had its turn, from several
  /// threads. `body` may change these rows of x; the next `forward` knows.
  package func backward(
    _ gradient: Matrix, _ batch: BatchNodes, x: Matrix,
    _ body: (_ nodes: Range<Int>, _ gradients: UnsafeMutablePointer<Float>) -> Void
  ) {
    guard layers > 0 else {
      return forEachRun(inPieces: true) { nodes, worker in
        let rows = self.scratch.row(worker)
        self.scatter(gradient, batch, nodes, into: rows)
        body(nodes, rows)
      }
    }
    func finish(_ nodes: Range<Int>, _ worker: Int) {
      body(nodes, scratch.row(worker))
      take(x, nodes, worker)
    }
    let nodes = batch.nodes
    let bound = largest(of: gradient, nodes: { Int(nodes[$0]) }, count: nodes.count)
    largest.forget()
    var source = scatter(gradient, batch, bound: bound)
    for layer in 1...layers {
      var target = layer < layers ? work[(layer + 1) % 2] : nil
      // A mean of rows of the layer before, and the gradient again.
      target?.unit = ScaledLayer.unit(bound: bound * Float(layer + 1))
      if layer == 1 && leavesOutNeighbours {
        sumBatch(source, target, gradient, batch, finish)
      } else {
        sumWhole(source, target, gradient, batch, finish)
      }
      source = target ?? source
    }
    finishTaking(x)
  }

  /// A layer on the way back; the last one, without a target, stays in scratch memory and goes to `finish`.
  private func sumWhole(
    _ source: ScaledLayer, _ target: ScaledLayer?, _ gradient: Matrix, _ batch: BatchNodes,
    _ finish: (_ nodes: Range<Int>, _ worker: Int) -> Void
  ) {
    let share = 1 / Float(layers + 1)
    whole.forEachRun(of: graph, inPieces: target == nil, pool: pool) { nodes, part, worker in
      var rows = self.rows(nodes, worker, batch, source: source, target: target)
      switch part {
      case .lists: glta_backward_rows(&rows, gradient.base, share)
      case .groups(var groups): glta_backward_groups(&rows, &groups, gradient.base, share)
      }
      if target == nil { finish(nodes, worker) }
    }
  }

  /// The first layer on the way back: all other nodes than the batch's have no gradient yet.
  private func sumBatch(
    _ source: ScaledLayer, _ target: ScaledLayer?, _ gradient: Matrix, _ batch: BatchNodes,
    _ finish: (_ nodes: Range<Int>, _ worker: Int) -> Void
  ) {
    forEachRun(inPieces: target == nil) { nodes, worker in
      var rows = self.rows(nodes, worker, batch, source: source, target: target)
      self.keepBatch(nodes, worker, &rows)
      glta_backward_rows(&rows, gradient.base, 1 / Float(self.layers + 1))
      if target == nil { finish(nodes, worker) }
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
  private func scatter(_ gradient: Matrix, _ batch: BatchNodes, bound: Float) -> ScaledLayer {
    var layer = work[1]
    layer.unit = ScaledLayer.unit(bound: bound)
    forEachPiece(graph.nodes) { [layer] nodes, _ in
      for node in nodes {
        if let slot = batch.slot(of: node) {
          layer.store(gradient.row(slot), scaledBy: self.graph.edges.scale, nodes: node..<node + 1)
        } else if !self.leavesOutNeighbours {
          layer.clear(row: node)
        }
      }
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
    _ nodes: Range<Int>, _ worker: Int, _ batch: BatchNodes, source: ScaledLayer, target: ScaledLayer?
  ) -> glta_layer_rows {
    glta_layer_rows(
      first: nodes.lowerBound, last: nodes.upperBound, offsets: graph.edges.offsets + nodes.lowerBound,
      neighbours: graph.edges.neighbours, scale: graph.edges.scale, slots: batch.slotOfNode, source: source.base,
      target: target?.base, columns: columns, kind: start.precision.kind, unit: source.unit,
      per_unit: 1 / (target?.unit ?? 1), sums: scratch.row(worker))
  }

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
    WholeLayers.lists.forEachRun(of: graph, inPieces: isCut, pool: pool) { nodes, _, worker in
      body(nodes, worker)
    }
  }

  @inline(__always)
  private func scale(_ node: Int) -> Float { graph.edges.scale[node] }
}
