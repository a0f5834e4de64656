/// Bidirectional attention of one head over one sequence: softmax(Q Kᵀ scale) V (Vaswani et al., 2017).
///
/// Heads and sequences are independent, so callers share them out over threads; each needs scratch of its own.
public struct Attention: Sendable {
  /// Positions of the sequence.
  public let length: Int
  /// Floats of one head's query, key or value.
  public let headColumns: Int
  /// Factor of the scores, usually 1 / sqrt(headColumns).
  public let scale: Float

  /// One head over `length` tokens, with a scale of 1 / sqrt(headColumns).
  public init(length: Int, headColumns: Int) {
    self.length = length
    self.headColumns = headColumns
    scale = 1 / Float(headColumns).squareRoot()
  }

  /// Floats of scratch memory that `forward` and `backward` need.
  public var scratchCount: Int {
    let packed = max(
      PackedMatrix.packedCount(depth: headColumns, columns: length),
      PackedMatrix.packedCount(depth: length, columns: headColumns))
    return packed + length * length
  }

  /// out = softmax(q kᵀ scale) v.
  ///
  /// - Parameters:
  ///   - queries: rows of q; fewer than `length` where only some positions are wanted.
  ///   - q: queries x headColumns, rows `qStride` apart.
  ///   - k, v: length x headColumns, rows `kvStride` apart.
  ///   - p: queries x length, receives the probabilities, which `backward` reads; nil where there will be none.
  ///   - out: queries x headColumns, rows `qStride` apart.
  public func forward(
    queries: Int, q: UnsafePointer<Float>, qStride: Int, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
    kvStride: Int, p: UnsafeMutablePointer<Float>?, into out: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let (panels, scores) = parts(of: scratch)
    let p = p ?? scores
    PackedMatrix.pack(
      depth: headColumns, columns: length, source: k, rowStride: 1, columnStride: kvStride, into: panels)
    Product.multiply(
      rows: queries, depth: headColumns, columns: length, a: q, rowStride: qStride, columnStride: 1, panels: panels,
      into: p, stride: length)
    Softmax.forward(rows: queries, columns: length, x: p, stride: length, scale: scale)
    PackedMatrix.pack(
      depth: length, columns: headColumns, source: v, rowStride: kvStride, columnStride: 1, into: panels)
    Product.multiply(
      rows: queries, depth: length, columns: headColumns, a: p, rowStride: length, columnStride: 1, panels: panels,
      into: out, stride: qStride)
  }

  /// The gradients of q, k and v, which are overwritten; their rows lie as those of q, k and v do.
  ///
  /// - Parameters:
  ///   - dout: queries x headColumns, rows `qStride` apart.
  ///   - p: the probabilities of `forward`.
  public func backward(
    queries: Int, dout: UnsafePointer<Float>, p: UnsafePointer<Float>, q: UnsafePointer<Float>, qStride: Int,
    k: UnsafePointer<Float>, v: UnsafePointer<Float>, kvStride: Int, dq: UnsafeMutablePointer<Float>,
    dk: UnsafeMutablePointer<Float>, dv: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    let (panels, ds) = parts(of: scratch)
    // dv = pᵀ dout
    PackedMatrix.pack(
      depth: queries, columns: headColumns, source: dout, rowStride: qStride, columnStride: 1, into: panels)
    Product.multiply(
      rows: length, depth: queries, columns: headColumns, a: p, rowStride: 1, columnStride: length, panels: panels,
      into: dv, stride: kvStride)
    // dp = dout vᵀ, then ds in its place
    PackedMatrix.pack(
      depth: headColumns, columns: length, source: v, rowStride: 1, columnStride: kvStride, into: panels)
    Product.multiply(
      rows: queries, depth: headColumns, columns: length, a: dout, rowStride: qStride, columnStride: 1,
      panels: panels, into: ds, stride: length)
    Softmax.backward(rows: queries, columns: length, p: p, dp: ds, stride: length, scale: scale)
    // dq = ds k
    PackedMatrix.pack(
      depth: length, columns: headColumns, source: k, rowStride: kvStride, columnStride: 1, into: panels)
    Product.multiply(
      rows: queries, depth: length, columns: headColumns, a: ds, rowStride: length, columnStride: 1, panels: panels,
      into: dq, stride: qStride)
    // dk = dsᵀ q
    PackedMatrix.pack(
      depth: queries, columns: headColumns, source: q, rowStride: qStride, columnStride: 1, into: panels)
    Product.multiply(
      rows: length, depth: queries, columns: headColumns, a: ds, rowStride: 1, columnStride: length, panels: panels,
      into: dk, stride: kvStride)
  }

  private func parts(
    of scratch: UnsafeMutablePointer<Float>
  ) -> (panels: UnsafeMutablePointer<Float>, scores: UnsafeMutablePointer<Float>) {
    (scratch + length * length, scratch)
  }
}
