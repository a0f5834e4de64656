public import Tensors

/// V = E Wᵀ + b: maps graph embeddings into the language model's token space (paper, stage 2 and 3).
public struct NodeProjector: Sendable {
  /// W, D x d.
  public let weight: Matrix
  /// b, 1 x D.
  public let bias: Matrix

  /// A projector of trained parameters; `bias` has a column for each row of `weight`.
  public init(weight: Matrix, bias: Matrix) {
    precondition(bias.rows == 1 && bias.columns == weight.rows)
    self.weight = weight
    self.bias = bias
  }

  /// A projector before training. Nodes of ordinary length land where the model's own tokens lie: around their mean, and
  /// about as far from it.
  ///
  /// - Parameters:
  ///   - nodes: the embeddings that will be projected, n x d; their mean square sets the scale.
  ///   - tokens: those of the model.
  ///   - purpose: "item" or "user": two projectors of one seed start differently.
  public init(nodes: Matrix, tokens: TokenStatistics, seed: UInt64, purpose: String) {
    // The length of a node: sum over its d columns.
    let nodeSquare = Accumulate.squares(nodes.count, nodes.base) / Float(max(1, nodes.rows))
    let spread = (max(tokens.variance, 1e-12) / max(nodeSquare, 1e-12)).squareRoot()
    var random = Philox(seed: seed, purpose: "projector " + purpose).sequence()
    let weight = Matrix(rows: tokens.mean.columns, columns: nodes.columns)
    for index in 0..<weight.count { weight.base[index] = spread * random.normal() }
    self.init(weight: weight, bias: tokens.mean.copy())
  }

  /// Weight and bias with their names in files.
  func named(_ name: String) -> [(name: String, value: Matrix)] {
    [(name + ".weight", weight), (name + ".bias", bias)]
  }

  /// The tokens of `nodes` (n x d): n x D. Rows are independent and go through `Product`: the same bits alone and among
  /// others.
  public func project(_ nodes: Matrix, pool: ThreadPool) -> Matrix {
    let tokens = Matrix(rows: nodes.rows, columns: weight.rows)
    for row in 0..<tokens.rows { tokens.row(row).update(from: bias.base, count: tokens.columns) }
    Product.multiply(nodes, PackedMatrix(transposing: weight), into: tokens, accumulate: true, pool: pool)
    return tokens
  }

  /// The gradients of weight and bias from those of the tokens.
  package func gradients(nodes: Matrix, dtokens: Matrix, pool: ThreadPool) -> (weight: Matrix, bias: Matrix) {
    let dweight = Matrix(rows: weight.rows, columns: weight.columns)
    Matmul.multiply(dtokens, transposingA: true, nodes, into: dweight, pool: pool)
    let dbias = Matrix(rows: 1, columns: weight.rows)
    for row in 0..<dtokens.rows { Accumulate.add(dbias.columns, dtokens.row(row), to: dbias.base) }
    return (dweight, dbias)
  }
}
