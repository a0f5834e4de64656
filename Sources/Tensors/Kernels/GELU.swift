/// The activations of BERT: x Φ(x) exactly, and its tanh approximation (Hendrycks and Gimpel, 2016).
public enum GELU: Sendable {
  /// Which of the two a model was trained with.
  public enum Form: String, Sendable, Codable {
    /// x (1 + erf(x / sqrt 2)) / 2: "gelu".
    case erf
    /// x (1 + tanh(sqrt(2/π) (x + 0.044715 x^3))) / 2: "gelu_new", "gelu_pytorch_tanh".
    case tanh
  }

  /// out = GELU(x); `out` may be `x`.
  public static func forward(
    _ form: Form, count: Int, x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>
  ) {
    switch form {
    case .erf:
      forEachVector(to: count) { offset, lanes in
        let x = load8(x + offset, lanes)
        let half = x * Vector(repeating: 0.5)
        store8(out + offset, half.addingProduct(half, erf8(x * Vector(repeating: 0.707_106_78))), lanes)
      }
    case .tanh:
      forEachVector(to: count) { offset, lanes in
        let x = load8(x + offset, lanes)
        let half = x * Vector(repeating: 0.5)
        store8(out + offset, half.addingProduct(half, tanh8(tanhArgument(x))), lanes)
      }
    }
  }

  /// dx = dout * GELU'(x); `dx` may be `dout`.
  public static func backward(
    _ form: Form, count: Int, dout: UnsafePointer<Float>, x: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) {
    let half = Vector(repeating: 0.5)
    switch form {
    case .erf:
      forEachVector(to: count) { offset, lanes in
        let x = load8(x + offset, lanes)
        let cumulative = half.addingProduct(half, erf8(x * Vector(repeating: 0.707_106_78)))
        let density = exp8(x * x * Vector(repeating: -0.5)) * Vector(repeating: 0.398_942_28)
        store8(dx + offset, load8(dout + offset, lanes) * cumulative.addingProduct(x, density), lanes)
      }
    case .tanh:
      forEachVector(to: count) { offset, lanes in
        let x = load8(x + offset, lanes)
        let t = tanh8(tanhArgument(x))
        let slope = Vector(repeating: 0.797_884_56).addingProduct(x * x, Vector(repeating: 0.107_032_22))
        let derivative = half.addingProduct(half, t) + half * x * (Vector(repeating: 1) - t * t) * slope
        store8(dx + offset, load8(dout + offset, lanes) * derivative, lanes)
      }
    }
  }

  @inline(__always)
  private static func tanhArgument(_ x: Vector) -> Vector {
    x * Vector(repeating: 0.797_884_56).addingProduct(x * x, Vector(repeating: 0.035_677_408))
  }
}
