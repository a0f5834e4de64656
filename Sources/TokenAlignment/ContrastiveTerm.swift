package import Tensors

/// InfoNCE between item tokens and text embeddings (van den Oord et al., 2018): each item's token, measured by cosine,
/// is to be nearest to its own text among the texts of the batch.
package enum ContrastiveTerm {
  /// Adds the term's gradient to that of the tokens and returns its weighted loss.
  ///
  /// - Parameters:
  ///   - items: the batch; items with a zero text embedding are left out.
  ///   - gradient: |I| x D, added to.
  package static func add(
    items: [Int32], tokens: Matrix, textEmbeddings: Matrix, temperature: Float, weight: Float, gradient: Matrix,
    pool: ThreadPool
  ) -> Float {
    let columns = tokens.columns
    let items = items.filter { Accumulate.squares(columns, textEmbeddings.row(Int($0))) > 0 }
    guard items.count > 1 else { return 0 }
    let texts = gather(items, from: textEmbeddings)
    let units = gather(items, from: tokens)
    let lengths = items.indices.map { normalize(columns, units.row($0)) }

    let logits = Matrix(rows: items.count, columns: items.count)
    Matmul.multiply(units, texts, transposingB: true, into: logits, scale: 1 / temperature, pool: pool)
    let scale = weight / Float(items.count)
    let losses = CrossEntropy.forwardBackward(
      logits: logits, targets: items.indices.map(Int32.init), scale: scale, pool: pool)
    let dunits = Matrix(rows: items.count, columns: columns)
    Matmul.multiply(logits, texts, into: dunits, scale: 1 / temperature, pool: pool)
    for (row, item) in items.enumerated() {
      // d|x|^-1 x: the part of the gradient along the token changes its length only.
      let along = dot(columns, dunits.row(row), units.row(row))
      Accumulate.add(columns, units.row(row), scaledBy: -along, to: dunits.row(row))
      Accumulate.add(columns, dunits.row(row), scaledBy: 1 / lengths[row], to: gradient.row(Int(item)))
    }
    return losses.reduce(0, +) * scale
  }

  private static func gather(_ items: [Int32], from matrix: Matrix) -> Matrix {
    let rows = Matrix(rows: items.count, columns: matrix.columns)
    Embedding.forward(table: matrix, ids: items, into: rows.base)
    return rows
  }

  private static func normalize(_ columns: Int, _ row: UnsafeMutablePointer<Float>) -> Float {
    let length = max(Accumulate.squares(columns, row).squareRoot(), 1e-12)
    Accumulate.scale(columns, row, by: 1 / length)
    return length
  }

  private static func dot(_ columns: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>) -> Float {
    Accumulate.dotInOrder(columns, x, y)
  }
}
