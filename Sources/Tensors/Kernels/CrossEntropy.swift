/// -log softmax(logits)[target] over a large set of items, and its gradient in place of the logits.
public enum CrossEntropy {
  /// Replaces each row of `logits` by `scale` times the gradient of its loss, softmax - onehot(target), and returns the
  /// loss of each row. Loss and gradient share the one pass that reads exponentials; a row is one index of the loop.
  ///
  /// - Parameter targets: one column for each row.
  public static func forwardBackward(logits: Matrix, targets: [Int32], scale: Float, pool: ThreadPool) -> [Float] {
    precondition(targets.count == logits.rows)
    let losses = Matrix(rows: 1, columns: logits.rows)
    pool.forEach(logits.rows) { row, _ in
      let x = logits.row(row)
      let target = Int(targets[row])
      let total = Softmax.logSumExp(logits.columns, x)
      losses.base[row] = total - x[target]
      let center = Vector(repeating: total)
      let factor = Vector(repeating: scale)
      forEachVector(to: logits.columns) { offset, lanes in
        store8(x + offset, exp8(load8(x + offset, lanes) - center) * factor, lanes)
      }
      x[target] -= scale
    }
    return losses.elements
  }

  /// The loss of each row; the logits stay.
  public static func forward(logits: Matrix, targets: [Int32]) -> [Float] {
    precondition(targets.count == logits.rows)
    return targets.enumerated().map { row, target in
      Softmax.logSumExp(logits.columns, logits.row(row)) - logits[row, Int(target)]
    }
  }
}
