/// out = (x - mean) * rstd * weight + bias over each row (Ba et al., *Layer normalization*, 2016).
public enum LayerNorm {
  /// Normalises `rows` rows of `columns` floats. `out` may be `x`.
  ///
  /// - Parameters:
  ///   - mean, rstd: one float a row, kept for `backward`; nil where there will be none.
  public static func forward(
    rows: Int, columns: Int, x: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    epsilon: Float, into out: UnsafeMutablePointer<Float>, mean: UnsafeMutablePointer<Float>? = nil,
    rstd: UnsafeMutablePointer<Float>? = nil
  ) {
    for row in 0..<rows {
      let x = x + row * columns
      let out = out + row * columns
      var sums = Vector.zero
      forEachVector(to: columns) { offset, lanes in sums += load8(x + offset, lanes) }
      let average = sum8(sums) / Float(columns)
      let center = Vector(repeating: average)
      var squares = Vector.zero
      forEachVector(to: columns) { offset, lanes in
        let centered = keep8(load8(x + offset, lanes) - center, lanes)
        squares = squares.addingProduct(centered, centered)
      }
      let inverse = 1 / (sum8(squares) / Float(columns) + epsilon).squareRoot()
      let scale = Vector(repeating: inverse)
      forEachVector(to: columns) { offset, lanes in
        let normalized = (load8(x + offset, lanes) - center) * scale
        store8(
          out + offset, load8(bias + offset, lanes).addingProduct(normalized, load8(weight + offset, lanes)), lanes)
      }
      mean?[row] = average
      rstd?[row] = inverse
    }
  }

  /// The gradient of the input; `dx` may be `dout`. Weight and bias are frozen and get none.
  public static func backward(
    rows: Int, columns: Int, dout: UnsafePointer<Float>, x: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<rows {
      let dout = dout + row * columns
      let x = x + row * columns
      let dx = dx + row * columns
      let center = Vector(repeating: mean[row])
      let scale = Vector(repeating: rstd[row])
      var sums = Vector.zero
      var products = Vector.zero
      forEachVector(to: columns) { offset, lanes in
        let gradient = load8(dout + offset, lanes) * load8(weight + offset, lanes)
        let normalized = (load8(x + offset, lanes) - center) * scale
        sums += gradient
        products = products.addingProduct(gradient, normalized)
      }
      let meanGradient = Vector(repeating: sum8(sums) / Float(columns))
      let meanProduct = Vector(repeating: sum8(products) / Float(columns))
      forEachVector(to: columns) { offset, lanes in
        let gradient = load8(dout + offset, lanes) * load8(weight + offset, lanes)
        let normalized = (load8(x + offset, lanes) - center) * scale
        store8(dx + offset, (gradient - meanGradient - normalized * meanProduct) * scale, lanes)
      }
    }
  }
}
