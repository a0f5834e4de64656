public import Tensors

/// Which item matrix the graph-language logits matching layer uses.
public enum HeadKind: String, Sendable, Codable, CaseIterable {
  /// Z = H Wᵀ + b with W |I| x D of its own: the paper's linear layer.
  case free
  /// Z = (H Aᵀ) Vᵀ + b with V the projected item tokens and A D x D: new items need no new weights, and what stage 2
  /// learned of an item's text reaches its logit.
  case tied
}

/// GLLM, the layer that turns a language model's last hidden states into logits over the closed item set (paper, stage
/// 2 and 3). No text is generated, so no item can be invented.
public struct GLLMHead: Sendable {
  /// Which item matrix the head uses.
  public let kind: HeadKind
  /// W (|I| x D) of a free head, A (D x D) of a tied one.
  public let weight: Matrix
  /// One float an item, 1 x |I|.
  public let bias: Matrix

  /// Shapes are those of `weight` and `bias` above; a bias of several rows is a programming error.
  public init(kind: HeadKind, weight: Matrix, bias: Matrix) {
    precondition(bias.rows == 1)
    self.kind = kind
    self.weight = weight
    self.bias = bias
  }

  /// A head before training: a free one near zero, a tied one that compares hidden states with tokens as they are.
  public init(kind: HeadKind, items: Int, hiddenSize: Int, seed: UInt64) {
    self.init(
      kind: kind,
      weight: Matrix(rows: kind == .free ? items : hiddenSize, columns: hiddenSize),
      bias: Matrix(rows: 1, columns: items))
    var random = Philox(seed: seed, purpose: "gllm head").sequence()
    let spread = 0.02 * (kind == .free ? 1 : 384 / Float(hiddenSize))
    for index in 0..<weight.count { weight.base[index] = spread * random.normal() }
    if kind == .tied {
      for diagonal in 0..<hiddenSize { weight[diagonal, diagonal] += 0.1 }
    }
  }

  /// The matrix that queries are scored against.
  public func itemRows(tokens: Matrix) -> Matrix { kind == .free ? weight : tokens }

}

/// A head that is not trained any more, its matrices packed once: what serving scores with.
///
/// Everything goes through `Product`: the same bits for a row alone and among others, for an item among all and among few.
public struct FrozenHead: Sendable {
  private let head: GLLMHead
  /// Aᵀ of a tied head.
  private let transform: PackedMatrix?
  private let items: ItemMatrix

  /// Items of the closed set.
  public var itemCount: Int { items.count }

  /// - Parameter tokens: |I| x D, the projected item tokens; read by a tied head.
  public init(_ head: GLLMHead, tokens: Matrix) {
    self.head = head
    transform = head.kind == .tied ? PackedMatrix(transposing: head.weight) : nil
    items = ItemMatrix(head.itemRows(tokens: tokens))
  }

  /// The logits of some items, in their order: queries.rows x candidates.count; all items where `candidates` is nil.
  ///
  /// - Precondition: every candidate is an item. Callers check ids that come from outside.
  public func logits(queries: Matrix, candidates: [Int32]? = nil) -> Matrix {
    let logits = items.scores(queries, candidates: candidates)
    for slot in 0..<logits.rows {
      let row = logits.row(slot)
      if let candidates {
        for (column, item) in candidates.enumerated() { row[column] += head.bias.base[Int(item)] }
      } else {
        Accumulate.add(logits.columns, head.bias.base, to: row)
      }
    }
    return logits
  }

  /// What is compared with the item rows: the hidden states themselves, or their image under A. rows x D.
  public func queries(_ hidden: Matrix) -> Matrix {
    guard let transform else { return hidden }
    let result = Matrix(rows: hidden.rows, columns: transform.columns)
    Product.multiply(
      rows: hidden.rows, a: hidden.base, rowStride: hidden.columns, b: transform, into: result.base,
      stride: result.columns)
    return result
  }
}

/// Gradients of a head and of what feeds it, accumulated over one batch.
public struct GLLMGradients: Sendable {
  /// dL/dW of a free head, dL/dA of a tied one, in the shape of the head's `weight`.
  public let weight: Matrix
  /// dL/db, 1 x
  /// I
  /// .
  public let bias: Matrix
  /// dL/dH, one row per slot.
  public let hidden: Matrix
  /// dL/dV of a tied head, |I| x D, where it was asked for.
  public let tokens: Matrix?
  /// The loss of each row.
  public let losses: [Float]
}

extension GLLMHead {
  /// Cross-entropy of the slots' hidden states against their items, and all gradients (paper, logits matching).
  ///
  /// - Parameters:
  ///   - hidden: slots x D.
  ///   - targets: the item of each slot.
  ///   - tokens: |I| x D, the projected item tokens; read by a tied head.
  ///   - scale: factor of every loss, usually 1 / slots of the batch.
  ///   - wantsTokenGradient: whether the item projector is being tuned, too.
  public func lossAndGradients(
    hidden: Matrix, targets: [Int32], tokens: Matrix, scale: Float, wantsTokenGradient: Bool, pool: ThreadPool
  ) -> GLLMGradients {
    let items = itemRows(tokens: tokens)
    let queries = Matrix(rows: hidden.rows, columns: hidden.columns)
    if kind == .tied {
      Matmul.multiply(hidden, weight, transposingB: true, into: queries, pool: pool)
    } else {
      queries.assign(hidden)
    }
    let logits = Matrix(rows: hidden.rows, columns: items.rows)
    for row in 0..<logits.rows { logits.row(row).update(from: bias.base, count: logits.columns) }
    Matmul.multiply(queries, items, transposingB: true, into: logits, accumulate: true, pool: pool)
    let losses = CrossEntropy.forwardBackward(logits: logits, targets: targets, scale: scale, pool: pool)

    let dbias = Matrix(rows: 1, columns: items.rows)
    for row in 0..<logits.rows { Accumulate.add(logits.columns, logits.row(row), to: dbias.base) }
    let dqueries = Matrix(rows: hidden.rows, columns: hidden.columns)
    Matmul.multiply(logits, items, into: dqueries, pool: pool)
    let dweight = Matrix(rows: weight.rows, columns: weight.columns)
    guard kind == .tied else {
      Matmul.multiply(logits, transposingA: true, hidden, into: dweight, pool: pool)
      return GLLMGradients(weight: dweight, bias: dbias, hidden: dqueries, tokens: nil, losses: losses)
    }
    Matmul.multiply(dqueries, transposingA: true, hidden, into: dweight, pool: pool)
    let dhidden = Matrix(rows: hidden.rows, columns: hidden.columns)
    Matmul.multiply(dqueries, weight, into: dhidden, pool: pool)
    var dtokens: Matrix?
    if wantsTokenGradient {
      let gradient = Matrix(rows: tokens.rows, columns: tokens.columns)
      Matmul.multiply(logits, transposingA: true, queries, into: gradient, pool: pool)
      dtokens = gradient
    }
    return GLLMGradients(weight: dweight, bias: dbias, hidden: dhidden, tokens: dtokens, losses: losses)
  }
}
