/// out = x / sqrt(mean(x^2) + epsilon) * weight over each row (Zhang and Sennrich, 2019).
public enum RMSNorm {
  /// Normalises `rows` rows of `columns` floats. `out` may be `x`.
  ///
  /// - Parameter rstd: one float a row, kept for `backward`; nil where there will be none.
  public static func forward(
    rows: Int, columns: Int, x: UnsafePointer<Float>, weight: UnsafePointer<Float>, epsilon: Float,
    into out: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>? = nil
  ) {
    for row in 0..<rows {
      let x = x + row * columns
      let out = out + row * columns
      var squares = Vector.zero
      forEachVector(to: columns) { offset, lanes in
        let value = load8(x + offset, lanes)
        squares = squares.addingProduct(value, value)
      }
      let inverse = 1 / (sum8(squares) / Float(columns) + epsilon).squareRoot()
      let scale = Vector(repeating: inverse)
      forEachVector(to: columns) { offset, lanes in
        store8(out + offset, load8(x + offset, lanes) * scale * load8(weight + offset, lanes), lanes)
      }
      rstd?[row] = inverse
    }
  }

  /// The gradient of the input, or the sum of it and `residual`; `dx` may be `dout` or `residual`. The weight is frozen
  /// and gets none.
  public static func backward(
    rows: Int, columns: Int, dout: UnsafePointer<Float>, x: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    rstd: UnsafePointer<Float>, adding residual: UnsafePointer<Float>? = nil, into dx: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<rows {
      let dout = dout + row * columns
      let x = x + row * columns
      let dx = dx + row * columns
      let scale = Vector(repeating: rstd[row])
      var products = Vector.zero
      forEachVector(to: columns) { offset, lanes in
        let gradient = load8(dout + offset, lanes) * load8(weight + offset, lanes)
        products = products.addingProduct(gradient, load8(x + offset, lanes) * scale)
      }
      let meanProduct = Vector(repeating: sum8(products) / Float(columns))
      let residual = residual.map { $0 + row * columns }
      forEachVector(to: columns) { offset, lanes in
        let gradient = load8(dout + offset, lanes) * load8(weight + offset, lanes)
        let normalized = load8(x + offset, lanes) * scale
        let sum = residual.map { load8($0 + offset, lanes) } ?? .zero
        store8(dx + offset, sum + (gradient - normalized * meanProduct) * scale, lanes)
      }
    }
  }
}
