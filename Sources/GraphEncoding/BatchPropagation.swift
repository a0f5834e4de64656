import CProcessor
package import Tensors

/// LightGCN's map out = (I + A + ... + A^K) x / (K + 1) for the nodes of one batch, and its gradient for all nodes: what a
/// training step needs of propagation, and no more.
///
/// The output is wanted at the batch's nodes only, so the last layer is summed there alone and the one before at their
/// neighbours; the gradient starts at the batch's nodes, so the first layer on the way back sums over those neighbours
/// that are among them. With Gowalla's batches of 2,048 that is four passes over the edges instead of six. Rows that are
/// left out are zeros or not read, so the result is that of whole layers.
package final class BatchPropagation {
  private let graph: NormalizedGraph
  private let layers: Int
  private let columns: Int
  private let pool: ThreadPool
  /// x and the layers in turn, scaled.
  private let start: ScaledLayer
  private let work: [ScaledLayer]
  /// A byte for each node, at fixed addresses: arrays of a class are checked for exclusive access at every look.
  private let isWanted: UnsafeMutablePointer<UInt8>
  private let isInBatch: UnsafeMutablePointer<UInt8>
  /// Whether the batch's nodes have less than half of all edges; otherwise leaving out does not pay.
  private var isSparse = false
  /// A row of floats for each thread, and room for a row of neighbours.
  private let scratch: Matrix
  private let kept: [UnsafeMutablePointer<Int32>]

  /// A propagation of K = `layers` over rows of `columns` floats, a multiple of `precision.columnMultiple`.
  package init(graph: NormalizedGraph, layers: Int, columns: Int, precision: LayerPrecision, pool: ThreadPool) {
    self.graph = graph
    self.layers = layers
    self.columns = columns
    self.pool = pool
    start = ScaledLayer(nodes: layers > 0 ? graph.nodes : 0, columns: columns, precision: precision)
    work = (0..<2).map { _ in
      ScaledLayer(nodes: layers > 0 ? graph.nodes : 0, columns: columns, precision: precision)
    }
    isWanted = .allocate(capacity: graph.nodes)
    isInBatch = .allocate(capacity: graph.nodes)
    scratch = Matrix(rows: pool.threads, columns: columns + 16)
    kept = (0..<pool.threads).map { [edges = graph.edges] _ in
      let capacity = edges.maximumDegree + EdgeLists.ahead
      let pointer = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
      pointer.initialize(repeating: 0, count: capacity)
      return pointer
    }
  }

  deinit {
    for pointer in kept { pointer.deallocate() }
    isWanted.deallocate()
    isInBatch.deallocate()
  }

  /// Bytes of the layers that this keeps.
  static func byteCount(nodes: Int, layers: Int, columns: Int, precision: LayerPrecision) -> Int {
    layers == 0 ? 0 : 3 * nodes * columns * (precision == .f32 ? 4 : 2)
  }

  /// Takes in x, nodes x d, before the first step.
  package func assign(_ x: Matrix) {
    guard layers > 0 else { return }
    forEachRow { node, _, _ in self.assign(x.row(node), node: node) }
  }

  /// Takes in one row of x that has changed. Rows may be taken in from several threads.
  func assign(_ values: UnsafePointer<Float>, node: Int) {
    if layers > 0 { start.store(values, scaledBy: scale(node), row: node) }
  }

  /// The output at the batch's nodes: |batch| x d.
  package func forward(_ x: Matrix, _ batch: BatchNodes, into output: Matrix) {
    guard layers > 0 else {
      for (slot, node) in batch.nodes.enumerated() { output.row(slot).update(from: x.row(Int(node)), count: columns) }
      return
    }
    mark(batch)
    var source = start
    for layer in 1..<max(layers, 1) {
      let target = work[layer % 2]
      let wanted = layer == layers - 1 && isSparse
      forEachRow { node, _, sums in
        if wanted && self.isWanted[node] == 0 { return }
        source.gather(self.graph.edges.row(node), count: self.graph.edges.degree(node), into: sums)
        glta_scale_and_add(sums, x.row(node), self.scale(node), self.columns)
        target.store(sums, scaledBy: self.scale(node), row: node)
      }
      source = target
    }
    let share = 1 / Float(layers + 1)
    let nodes = batch.nodes
    let block = 64
    pool.forEach((nodes.count + block - 1) / block) { index, _ in
      for slot in index * block..<min(nodes.count, (index + 1) * block) {
        let node = Int(nodes[slot])
        let sums = output.row(slot)
        source.gather(self.graph.edges.row(node), count: self.graph.edges.degree(node), into: sums)
        glta_scale_and_add(sums, x.row(node), self.scale(node), self.columns)
        glta_scale_and_add(sums, nil, share, self.columns)
      }
    }
  }

  /// The gradient of x from that of the output at the batch's nodes, |batch| x d, after `forward` of the same batch: calls
  /// `body` once for every node with the gradient of its row, from several threads. `body` may change the row of x.
  package func backward(
    _ gradient: Matrix, _ batch: BatchNodes,
    _ body: (_ node: Int, _ gradient: UnsafeMutablePointer<Float>) -> Void
  ) {
    let share = 1 / Float(layers + 1)
    guard layers > 0 else {
      forEachRow { node, _, sums in
        if let slot = batch.slot(of: node) {
          sums.update(from: gradient.row(slot), count: self.columns)
        } else {
          sums.update(repeating: 0, count: self.columns)
        }
        body(node, sums)
      }
      return
    }
    var source = scatter(gradient, batch)
    for layer in 1...layers {
      let target = work[(layer + 1) % 2]
      let among = layer == 1 && isSparse
      forEachRow { node, worker, sums in
        var (rows, count) = (self.graph.edges.row(node), self.graph.edges.degree(node))
        if among {
          count = glta_keep_marked(rows, count, self.isInBatch, self.kept[worker])
          rows = self.kept[worker]
        }
        source.gather(rows, count: count, into: sums)
        glta_scale_and_add(sums, batch.slot(of: node).map { gradient.row($0) }, self.scale(node), self.columns)
        if layer < self.layers {
          target.store(sums, scaledBy: self.scale(node), row: node)
        } else {
          glta_scale_and_add(sums, nil, share, self.columns)
          body(node, sums)
        }
      }
      source = target
    }
  }

  /// The gradient of the output as a layer. Rows beyond the batch's nodes are zeros where they will be read.
  private func scatter(_ gradient: Matrix, _ batch: BatchNodes) -> ScaledLayer {
    let layer = work[1]
    if !isSparse { layer.clear() }
    for (slot, node) in batch.nodes.enumerated() {
      layer.store(gradient.row(slot), scaledBy: scale(Int(node)), row: Int(node))
    }
    return layer
  }

  /// Finds out which nodes are in the batch and which are their neighbours.
  private func mark(_ batch: BatchNodes) {
    let edges = graph.edges
    isSparse = batch.nodes.reduce(0) { $0 + edges.degree(Int($1)) } * 2 < graph.nonZeros
    guard isSparse else { return }
    isWanted.initialize(repeating: 0, count: graph.nodes)
    isInBatch.initialize(repeating: 0, count: graph.nodes)
    for node in batch.nodes {
      isInBatch[Int(node)] = 1
      let row = edges.row(Int(node))
      for position in 0..<edges.degree(Int(node)) { isWanted[Int(row[position])] = 1 }
    }
  }

  /// Every row once, runs of rows shared out over the threads, each with scratch memory for `columns` floats.
  private func forEachRow(_ body: (_ node: Int, _ worker: Int, _ row: UnsafeMutablePointer<Float>) -> Void) {
    pool.forEach(graph.runs.count) { run, worker in
      let row = self.scratch.row(worker)
      for node in self.graph.runs[run] { body(node, worker, row) }
    }
  }

  @inline(__always)
  private func scale(_ node: Int) -> Float { graph.edges.scale[node] }
}
