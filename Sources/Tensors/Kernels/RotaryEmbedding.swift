/// Positions as rotations of pairs of columns (Su et al., *RoFormer*, 2021), the halves of a head paired, as Llama's
/// checkpoints in Hugging Face's layout have them: column i with column i + headColumns / 2.
public enum RotaryEmbedding {
  /// Turns each head of a row, in place.
  ///
  /// - Parameters:
  ///   - heads: heads of the row, side by side.
  ///   - headColumns: columns of a head, an even number.
  ///   - angles: headColumns floats of the row's position: the cosines of its pairs, then their sines.
  ///   - x: heads x headColumns.
  public static func forward(
    heads: Int, headColumns: Int, angles: UnsafePointer<Float>, x: UnsafeMutablePointer<Float>
  ) {
    turn(heads: heads, headColumns: headColumns, angles: angles, sign: 1, x)
  }

  /// Turns the gradient of each head of a row back, in place. Where the cosines and sines carry a factor, as YaRN's do,
  /// so does the gradient.
  public static func backward(
    heads: Int, headColumns: Int, angles: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>
  ) {
    turn(heads: heads, headColumns: headColumns, angles: angles, sign: -1, dx)
  }

  /// - Parameter sign: 1 turns by the angles, -1 back.
  @inline(__always)
  private static func turn(
    heads: Int, headColumns: Int, angles: UnsafePointer<Float>, sign: Float, _ x: UnsafeMutablePointer<Float>
  ) {
    let half = headColumns / 2
    for head in 0..<heads {
      let (first, second) = (x + head * headColumns, x + head * headColumns + half)
      forEachVector(to: half) { offset, lanes in
        let (a, b) = (load8(first + offset, lanes), load8(second + offset, lanes))
        let (cosine, sine) = (load8(angles + offset, lanes), sign * load8(angles + half + offset, lanes))
        store8(first + offset, (a * cosine).addingProduct(-b, sine), lanes)
        store8(second + offset, (b * cosine).addingProduct(a, sine), lanes)
      }
    }
  }
}
