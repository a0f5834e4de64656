/// The activations of BERT: x Φ(x) exactly, and its tanh approximation (Hendrycks and Gimpel, 2016).
public enum GELU: Sendable {
  /// Which of the two a model was trained with.
  public enum Form: String, Sendable, Codable {
    /// x (1 + erf(x / sqrt 2)) / 2: "gelu".
    case erf
    /// x (1 + tanh(sqrt(2/π) (x + 0.044715 x^3))) / 2: "gelu_new", "gelu_pytorch_tanh".
    case tanh
  }

  /// out = GELU(x), and slope = GELU'(x) where there will be a backward pass, which then costs one multiplication.
  ///
  /// - Parameters:
  ///   - x: `rows` x `columns`, rows `stride` floats apart, as those of `out` and `slope` are.
  ///   - out, slope: either may be `x`.
  public static func forward(
    _ form: Form, rows: Int = 1, columns: Int, stride: Int = 0, x: UnsafePointer<Float>,
    into out: UnsafeMutablePointer<Float>, slope: UnsafeMutablePointer<Float>? = nil
  ) {
    for row in 0..<rows {
      let (x, out, slope) = (x + row * stride, out + row * stride, slope.map { $0 + row * stride })
      switch (form, slope) {
      case (.erf, nil):
        forEachVector(to: columns) { offset, lanes in
          let x = load8(x + offset, lanes)
          store8(out + offset, x * cumulative(x), lanes)
        }
      case (.erf, let slope?):
        forEachVector(to: columns) { offset, lanes in
          let x = load8(x + offset, lanes)
          let share = cumulative(x)
          let density = exp8(x * x * Vector(repeating: -0.5)) * Vector(repeating: 0.398_942_28)
          store8(out + offset, x * share, lanes)
          store8(slope + offset, share.addingProduct(x, density), lanes)
        }
      case (.tanh, nil):
        forEachVector(to: columns) { offset, lanes in
          let x = load8(x + offset, lanes)
          store8(out + offset, x * cumulative(tanh: tanh8(tanhArgument(x))), lanes)
        }
      case (.tanh, let slope?):
        forEachVector(to: columns) { offset, lanes in
          let x = load8(x + offset, lanes)
          let t = tanh8(tanhArgument(x))
          store8(out + offset, x * cumulative(tanh: t), lanes)
          store8(slope + offset, tanhSlope(x, tanh: t), lanes)
        }
      }
    }
  }

  /// dx = dout * slope, with the slope of `forward`; `dx` may be `dout`.
  public static func backward(
    rows: Int = 1, columns: Int, stride: Int = 0, dout: UnsafePointer<Float>, slope: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<rows {
      let (dout, slope, dx) = (dout + row * stride, slope + row * stride, dx + row * stride)
      forEachVector(to: columns) { offset, lanes in
        store8(dx + offset, load8(dout + offset, lanes) * load8(slope + offset, lanes), lanes)
      }
    }
  }

  /// Φ(x).
  @inline(__always)
  private static func cumulative(_ x: Vector) -> Vector {
    let half = Vector(repeating: 0.5)
    return half.addingProduct(half, erf8(x * Vector(repeating: 0.707_106_78)))
  }

  @inline(__always)
  private static func cumulative(tanh t: Vector) -> Vector {
    let half = Vector(repeating: 0.5)
    return half.addingProduct(half, t)
  }

  @inline(__always)
  private static func tanhArgument(_ x: Vector) -> Vector {
    x * Vector(repeating: 0.797_884_56).addingProduct(x * x, Vector(repeating: 0.035_677_408))
  }

  @inline(__always)
  private static func tanhSlope(_ x: Vector, tanh t: Vector) -> Vector {
    let slope = Vector(repeating: 0.797_884_56).addingProduct(x * x, Vector(repeating: 0.107_032_22))
    return cumulative(tanh: t) + Vector(repeating: 0.5) * x * (Vector(repeating: 1) - t * t) * slope
  }
}
