public import Tensors

/// One training example: a user prefers an item of theirs over one that is not.
public struct Triple: Sendable, Equatable {
  /// The dense index of the user.
  public var user: Int32
  /// An item of the user's training items.
  public var positive: Int32
  /// An item that is none of the user's training items, drawn by chance.
  public var negative: Int32

  /// A triple of dense indices; nothing is checked.
  public init(user: Int32, positive: Int32, negative: Int32) {
    self.user = user
    self.positive = positive
    self.negative = negative
  }
}

/// Bayesian personalised ranking (Rendle et al., 2009) with L2 on the layer-0 embeddings of the batch, as LightGCN has it:
///
///     mean of softplus(u·n - u·p)  +  l2 / (2 B) * (|u0|² + |p0|² + |n0|²)
public enum BPRLoss {
  /// The loss of a batch, and both gradients, which are overwritten.
  ///
  /// - Parameters:
  ///   - batch: at least one triple.
  ///   - users: the number of users; item i is row `users + i`.
  ///   - output: nodes x d, propagated; items follow users.
  ///   - layer0: nodes x d.
  ///   - doutput: nodes x d, the gradient of `output`.
  ///   - dlayer0: nodes x d, the gradient of `layer0` by the L2 term alone.
  /// - Returns: the mean loss of a triple, L2 term included.
  public static func forwardBackward(
    _ batch: [Triple], users: Int, output: Matrix, layer0: Matrix, l2: Float, doutput: Matrix, dlayer0: Matrix,
    pool: ThreadPool
  ) -> Float {
    let columns = output.columns
    let slopes = Matrix(rows: 1, columns: batch.count)
    let losses = Matrix(rows: 1, columns: batch.count)
    let share = 1 / Float(batch.count)
    let block = 256
    pool.forEach((batch.count + block - 1) / block) { index, _ in
      for position in index * block..<min(batch.count, (index + 1) * block) {
        let nodes = nodes(of: batch[position], users: users)
        let margin = difference(columns, output.row(nodes.user), output.row(nodes.positive), output.row(nodes.negative))
        // softplus(-margin), written so that neither side overflows.
        losses.base[position] = max(0, -margin) + logOfOnePlus(expOf(-abs(margin)))
        slopes.base[position] = -share / (1 + expOf(margin))
      }
    }
    var loss: Double = 0
    for position in batch.indices { loss += Double(losses.base[position]) }

    let uses = NodeUses(batch: batch, users: users, nodes: output.rows)
    var squares: Double = 0
    for node in uses.nodes {
      squares += Double(uses.count(node)) * Double(Accumulate.squares(columns, layer0.row(node)))
    }
    clear(doutput, pool)
    clear(dlayer0, pool)
    pool.forEach((uses.nodes.count + block - 1) / block) { index, _ in
      for position in index * block..<min(uses.nodes.count, (index + 1) * block) {
        let node = uses.nodes[position]
        let gradient = doutput.row(node)
        uses.forEach(node) { triple, role in
          let nodes = Self.nodes(of: batch[triple], users: users)
          let slope = slopes.base[triple]
          switch role {
          case .user:
            Accumulate.add(columns, output.row(nodes.positive), scaledBy: slope, to: gradient)
            Accumulate.add(columns, output.row(nodes.negative), scaledBy: -slope, to: gradient)
          case .positive: Accumulate.add(columns, output.row(nodes.user), scaledBy: slope, to: gradient)
          case .negative: Accumulate.add(columns, output.row(nodes.user), scaledBy: -slope, to: gradient)
          }
        }
        Accumulate.add(
          columns, layer0.row(node), scaledBy: l2 * share * Float(uses.count(node)), to: dlayer0.row(node))
      }
    }
    return Float((loss + Double(l2) / 2 * squares) * Double(share))
  }

  private static func clear(_ matrix: Matrix, _ pool: ThreadPool) {
    let block = 65_536
    pool.forEach((matrix.count + block - 1) / block) { index, _ in
      (matrix.base + index * block).update(repeating: 0, count: min(block, matrix.count - index * block))
    }
  }

  private static func nodes(of triple: Triple, users: Int) -> (user: Int, positive: Int, negative: Int) {
    (Int(triple.user), users + Int(triple.positive), users + Int(triple.negative))
  }

  /// u · (p - n).
  private static func difference(
    _ columns: Int, _ u: UnsafePointer<Float>, _ p: UnsafePointer<Float>, _ n: UnsafePointer<Float>
  ) -> Float {
    Accumulate.dot(columns, u, p) - Accumulate.dot(columns, u, n)
  }
}

/// Which triples of a batch mention a node, and as what: gradients are summed per node in the order of the batch, so the
/// bits do not depend on threads.
private struct NodeUses {
  enum Role: Int { case user, positive, negative }

  /// The nodes that the batch mentions, ascending.
  let nodes: [Int]
  private let offsets: [Int32]
  private let uses: [Int32]

  init(batch: [Triple], users: Int, nodes count: Int) {
    var offsets = [Int32](repeating: 0, count: count + 1)
    func mention(_ body: (Int, Int32) -> Void) {
      for (index, triple) in batch.enumerated() {
        body(Int(triple.user), Int32(3 * index))
        body(users + Int(triple.positive), Int32(3 * index + 1))
        body(users + Int(triple.negative), Int32(3 * index + 2))
      }
    }
    mention { node, _ in offsets[node + 1] += 1 }
    var nodes: [Int] = []
    for node in 0..<count {
      if offsets[node + 1] > 0 { nodes.append(node) }
      offsets[node + 1] += offsets[node]
    }
    var cursors = offsets
    var uses = [Int32](repeating: 0, count: 3 * batch.count)
    mention { node, use in
      uses[Int(cursors[node])] = use
      cursors[node] += 1
    }
    self.nodes = nodes
    self.offsets = offsets
    self.uses = uses
  }

  func count(_ node: Int) -> Int { Int(offsets[node + 1] - offsets[node]) }

  func forEach(_ node: Int, _ body: (_ triple: Int, _ role: Role) -> Void) {
    for position in Int(offsets[node])..<Int(offsets[node + 1]) {
      let use = Int(uses[position])
      body(use / 3, use % 3 == 0 ? .user : use % 3 == 1 ? .positive : .negative)
    }
  }
}
