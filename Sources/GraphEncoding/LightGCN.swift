public import Tensors

/// LightGCN (He et al., SIGIR 2020): propagation without weights, the mean of layers 0..K.
///
/// The encoder is one linear map, (I + A + ... + A^K) / (K + 1), and A is symmetric: the gradient of layer 0 is the same
/// map applied to the gradient of the output. Horner's scheme x0 + A (x0 + A (...)) needs two buffers for any K.
public struct LightGCN: Sendable {
  /// The graph whose normalised adjacency matrix is A.
  public let graph: NormalizedGraph
  /// K, the number of propagations.
  public let layers: Int

  /// An encoder of K = `layers` propagations, zero or more; with zero it is plain matrix factorisation.
  public init(graph: NormalizedGraph, layers: Int) {
    precondition(layers >= 0)
    self.graph = graph
    self.layers = layers
  }

  /// out = (I + A + ... + A^K) x / (K + 1), forward and backward alike.
  ///
  /// - Parameters:
  ///   - x: nodes x d, left as it is.
  ///   - work, out: nodes x d, overwritten; three distinct matrices with x.
  public func apply(_ x: Matrix, work: Matrix, into out: Matrix, pool: ThreadPool) {
    sumOfPowers(layers, x, work: work, into: out, pool: pool)
    scaleRows(out, by: 1 / Float(layers + 1), pool: pool)
  }

  /// out = (I + A + ... + A^power) x.
  private func sumOfPowers(_ power: Int, _ x: Matrix, work: Matrix, into out: Matrix, pool: ThreadPool) {
    // The result of the last step must lie in `out`.
    var (current, next) = power % 2 == 0 ? (out, work) : (work, out)
    current.assign(x)
    for _ in 0..<power {
      graph.propagate(current, adding: x, into: next, pool: pool)
      swap(&current, &next)
    }
  }

  private func scaleRows(_ x: Matrix, by factor: Float, pool: ThreadPool) {
    let block = 16_384
    pool.forEach((x.count + block - 1) / block) { index, _ in
      Accumulate.scale(min(block, x.count - index * block), x.base + index * block, by: factor)
    }
  }

  /// Embeddings for scoring and fold-in from layer 0 (nodes x d), in memory of their own.
  ///
  /// - Parameter lengths: the length of an item's vector. Users keep theirs: it changes no ranking, and somebody who is
  ///   folded in has the same kind of vector.
  public func embeddings(_ layer0: Matrix, lengths: ItemLengths = .learned, pool: ThreadPool) -> GraphEmbeddings {
    let (out, work) = (
      Matrix(rows: graph.nodes, columns: layer0.columns), Matrix(rows: graph.nodes, columns: layer0.columns)
    )
    apply(layer0, work: work, into: out, pool: pool)
    let users = out.slice(0..<graph.users).copy()
    let items = lengths.applied(to: out.slice(graph.users..<graph.nodes), of: graph, pool: pool)
    let basis = Matrix(rows: graph.items, columns: layer0.columns)
    if layers > 0 {
      sumOfPowers(layers - 1, layer0, work: work, into: out, pool: pool)
      for item in 0..<graph.items {
        let node = graph.users + item
        Accumulate.add(
          basis.columns, out.row(node), scaledBy: graph.edges.scale[node] / Float(layers + 1), to: basis.row(item))
      }
    }
    return GraphEmbeddings(users: users, items: items, foldInBasis: basis)
  }
}
