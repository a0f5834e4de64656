/// x σ(x), the activation of Llama-class models (Elfwing et al., 2018).
public enum SiLU {
  /// out = SiLU(x); `out` may be `x`.
  public static func forward(count: Int, x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>) {
    forEachVector(to: count) { offset, lanes in
      let x = load8(x + offset, lanes)
      store8(out + offset, x * sigmoid8(x), lanes)
    }
  }

  /// dx = dout * SiLU'(x); `dx` may be `dout`.
  public static func backward(
    count: Int, dout: UnsafePointer<Float>, x: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>
  ) {
    let one = Vector(repeating: 1)
    forEachVector(to: count) { offset, lanes in
      let x = load8(x + offset, lanes)
      let s = sigmoid8(x)
      store8(dx + offset, load8(dout + offset, lanes) * s * (one + x * (one - s)), lanes)
    }
  }
}
