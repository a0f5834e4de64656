/// SiLU(gate) * up, the gated feed-forward block of Llama-class models (Shazeer, *GLU variants improve transformer*,
/// 2020).
public enum SwiGLU {
  /// out = SiLU(gate) * up.
  ///
  /// - Parameters:
  ///   - gate, up, out: `rows` x `columns`, rows `stride` floats apart; `out` may be either of the others.
  public static func forward(
    rows: Int, columns: Int, stride: Int, gate: UnsafePointer<Float>, up: UnsafePointer<Float>,
    into out: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<rows {
      let (gate, up, out) = (gate + row * stride, up + row * stride, out + row * stride)
      forEachVector(to: columns) { offset, lanes in
        let x = load8(gate + offset, lanes)
        store8(out + offset, x * sigmoid8(x) * load8(up + offset, lanes), lanes)
      }
    }
  }

  /// The gradients of gate and up.
  ///
  /// - Parameters:
  ///   - dout, gate, up, dgate, dup: laid out as in `forward`; `dgate` may be `dout`, `dup` may be `up`.
  public static func backward(
    rows: Int, columns: Int, stride: Int, dout: UnsafePointer<Float>, gate: UnsafePointer<Float>,
    up: UnsafePointer<Float>, dgate: UnsafeMutablePointer<Float>, dup: UnsafeMutablePointer<Float>
  ) {
    let one = Vector(repeating: 1)
    for row in 0..<rows {
      let (dout, gate, up) = (dout + row * stride, gate + row * stride, up + row * stride)
      let (dgate, dup) = (dgate + row * stride, dup + row * stride)
      forEachVector(to: columns) { offset, lanes in
        let (gradient, x, linear) = (
          load8(dout + offset, lanes), load8(gate + offset, lanes), load8(up + offset, lanes)
        )
        let s = sigmoid8(x)
        store8(dup + offset, gradient * x * s, lanes)
        store8(dgate + offset, gradient * linear * s * (one + x * (one - s)), lanes)
      }
    }
  }
}
