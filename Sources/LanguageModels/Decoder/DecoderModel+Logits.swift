public import Tensors

extension DecoderModel {
  /// The logits of some final hidden states, rows x vocabularySize; threads share out the vocabulary.
  ///
  /// - Parameter states: rows x hiddenSize.
  /// - Throws: `GLTAError.invalidArgument` where the model was read without its head.
  public func logits(_ states: Matrix, pool: ThreadPool) throws(GLTAError) -> Matrix {
    let result = Matrix(rows: states.rows, columns: vocabularySize)
    try computeLogits(states, into: result, pool: pool)
    return result
  }

  /// The same into a matrix that is there.
  func computeLogits(_ states: Matrix, into result: Matrix, pool: ThreadPool) throws(GLTAError) {
    guard let head else {
      throw GLTAError(
        .invalidArgument, "the model was read without the layer that gives logits",
        hint: "read it with `parts: .all`")
    }
    precondition(states.columns == hiddenSize && result.rows == states.rows && result.columns == vocabularySize)
    PanelShares(pool: pool).apply(head, rows: states.rows, states.base, into: result.base)
  }
}

/// Panels of weights that threads share out where there are too few rows to share: each weight is read once for all rows.
struct PanelShares {
  let pool: ThreadPool

  /// Runs `body` for the panels of `count`, in parts.
  func forEach(_ count: Int, _ body: (_ panels: Range<Int>) -> Void) {
    // Several parts a thread: the last to end is not waited for long.
    let parts = min(count, pool.threads == 1 ? 1 : 4 * pool.threads)
    pool.forEach(parts) { part, _ in body(count * part / parts..<count * (part + 1) / parts) }
  }

  /// out = x Wᵀ + b, or out = x Wᵀ + b + residual.
  func apply(
    _ layer: FrozenLinear, rows: Int, _ x: UnsafePointer<Float>, adding residual: UnsafePointer<Float>? = nil,
    into out: UnsafeMutablePointer<Float>
  ) {
    forEach(layer.weight.panelCount) { panels in
      layer.apply(rows: rows, x, panels: panels, adding: residual, into: out)
    }
  }
}
