import Tensors

/// Rows brought to length one, and the gradient back through that: with e' = e / |e|, de = (de' - e' (e' · de')) / |e|.
/// A row of zeros stays one, and gets no gradient.
struct UnitRows {
  /// Rows of length one, in memory of their own.
  let values: Matrix
  private let inverse: Matrix

  init(_ rows: Matrix, pool: ThreadPool) {
    let values = Matrix(rows: rows.rows, columns: rows.columns)
    let inverse = Matrix(rows: 1, columns: rows.rows)
    UnitRows.forEachRow(rows.rows, pool) { row in
      let length = Accumulate.squares(rows.columns, rows.row(row)).squareRoot()
      inverse.base[row] = length > 1e-12 ? 1 / length : 0
      Accumulate.add(rows.columns, rows.row(row), scaledBy: inverse.base[row], to: values.row(row))
    }
    self.values = values
    self.inverse = inverse
  }

  /// Turns the gradient of `values` into that of the rows they were made from, in place.
  func backward(_ gradient: Matrix, pool: ThreadPool) {
    UnitRows.forEachRow(values.rows, pool) { row in
      let along = Accumulate.dot(values.columns, values.row(row), gradient.row(row))
      Accumulate.add(values.columns, values.row(row), scaledBy: -along, to: gradient.row(row))
      Accumulate.scale(values.columns, gradient.row(row), by: inverse.base[row])
    }
  }

  private static func forEachRow(_ rows: Int, _ pool: ThreadPool, _ body: (Int) -> Void) {
    let block = 256
    pool.forEach((rows + block - 1) / block) { index, _ in
      for row in index * block..<min(rows, (index + 1) * block) { body(row) }
    }
  }
}
