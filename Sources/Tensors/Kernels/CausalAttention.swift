#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Attention of one head in which a position sees itself and what stands before it, at most `window` positions in all:
/// softmax(Q Kᵀ scale) V, never in memory as a whole (Dao et al., *FlashAttention*, 2022).
///
/// Keys come in blocks at fixed positions, and a row goes on from block to block with its running maximum and sum, so its
/// bits depend on its position alone: not on the rows beside it, the cut of the work, or how many of the keys were there
/// before. Several heads of queries may share one head of keys and values (Ainslie et al., *GQA*, 2023).
public struct CausalAttention: Sendable {
  /// Keys of one step.
  public static let keyBlock = 128
  /// Rows of queries that a caller hands over at the most.
  public static let queryBlock = 48

  /// Floats of one head's query, key or value.
  public let headColumns: Int
  /// Positions that a position sees, itself among them; nil = all before it (Jiang et al., *Mistral 7B*, 2023).
  public let window: Int?
  /// Factor of the scores: 1 / sqrt(headColumns).
  public let scale: Float

  /// Heads of `headColumns` floats.
  public init(headColumns: Int, window: Int? = nil) {
    self.headColumns = headColumns
    self.window = window
    scale = 1 / Float(headColumns).squareRoot()
  }

  /// Positions that panels for `positions` have room for.
  public static func capacity(_ positions: Int) -> Int { (positions + keyBlock - 1) / keyBlock * keyBlock }

  /// Floats of scratch memory that `forward` and `backward` need.
  public var scratchCount: Int {
    let rows = PackedMatrix.packedCount(depth: CausalAttention.queryBlock, columns: headColumns)
    return 2 * CausalAttention.queryBlock * CausalAttention.keyBlock + 2 * rows + 3 * CausalAttention.queryBlock
  }

  /// Rows of queries of one head: floats `stride` apart from row to row, and the positions that they stand at.
  public struct Rows {
    let base: UnsafeMutablePointer<Float>
    let stride: Int
    let count: Int
    let positions: UnsafePointer<Int32>

    /// - Parameters:
    ///   - count: at most `queryBlock`.
    ///   - positions: one for each row, ascending.
    public init(
      _ base: UnsafeMutablePointer<Float>, stride: Int, count: Int, positions: UnsafePointer<Int32>
    ) {
      self.base = base
      self.stride = stride
      self.count = count
      self.positions = positions
    }
  }

  /// The positions that a row sees.
  private func visible(_ position: Int32) -> Range<Int> {
    let end = Int(position) + 1
    return max(0, end - (window ?? end))..<end
  }

  /// The blocks of keys that any of some rows sees, by their first position.
  private func blocks(_ rows: Rows) -> StrideTo<Int> {
    let first = visible(rows.positions[0]).lowerBound / CausalAttention.keyBlock * CausalAttention.keyBlock
    return stride(from: first, to: Int(rows.positions[rows.count - 1]) + 1, by: CausalAttention.keyBlock)
  }

  // MARK: Forward

  /// out = softmax(q kᵀ scale) v for some rows of one head of queries.
  ///
  /// - Parameters:
  ///   - keys, values: panels that have all positions up to that of the last row.
  ///   - head: of the keys and values.
  ///   - out: headColumns floats a row, rows as far apart as those of `queries`.
  ///   - logSums: one float a row, receives log(sum(exp(scores))), which `backward` reads; nil where there will be none.
  public func forward(
    _ queries: Rows, keys: ScorePanels, values: SumPanels, head: Int, into out: UnsafeMutablePointer<Float>,
    logSums: UnsafeMutablePointer<Float>?, scratch: UnsafeMutablePointer<Float>
  ) {
    guard queries.count > 0 else { return }
    precondition(queries.count <= CausalAttention.queryBlock)
    let width = CausalAttention.keyBlock
    let scores = scratch
    let maxima = scratch + CausalAttention.queryBlock * width
    let sums = maxima + CausalAttention.queryBlock
    for row in 0..<queries.count {
      (out + row * queries.stride).update(repeating: 0, count: headColumns)
      (maxima[row], sums[row]) = (-.infinity, 0)
    }
    for start in blocks(queries) {
      let count = min(width, Int(queries.positions[queries.count - 1]) + 1 - start)
      Product.multiply(
        rows: queries.count, depth: headColumns, columns: count, a: queries.base, rowStride: queries.stride,
        columnStride: 1, panels: keys.panel(head: head, of: start), into: scores, stride: width)
      for row in 0..<queries.count {
        let seen = visible(queries.positions[row]).clamped(to: start..<start + count)
        let probabilities = scores + row * width
        guard !seen.isEmpty else {
          probabilities.update(repeating: 0, count: count)
          continue
        }
        let factor = fold(
          probabilities, seen.lowerBound - start..<seen.upperBound - start, count: count, maximum: &maxima[row],
          sum: &sums[row])
        if factor != 1 { Accumulate.scale(headColumns, out + row * queries.stride, by: factor) }
      }
      Product.multiply(
        rows: queries.count, depth: count, columns: headColumns, a: scores, rowStride: width, columnStride: 1,
        panels: values.block(head: head, of: start), packedDepth: width, into: out, stride: queries.stride,
        from: .rows(out, stride: queries.stride))
    }
    for row in 0..<queries.count {
      Accumulate.scale(headColumns, out + row * queries.stride, by: 1 / sums[row])
      logSums?[row] = maxima[row] + logf(sums[row])
    }
  }

  /// Replaces a row's scores by exp(scale * score - maximum), zero where the row does not see, and takes them up in the
  /// running maximum and sum.
  ///
  /// - Returns: what sums of earlier blocks are multiplied with.
  private func fold(
    _ x: UnsafeMutablePointer<Float>, _ seen: Range<Int>, count: Int, maximum: inout Float, sum: inout Float
  ) -> Float {
    let highest = max(maximum, Softmax.maximum(seen.count, x + seen.lowerBound) * scale)
    let (factor, center) = (Vector(repeating: scale), Vector(repeating: highest))
    var total = Vector.zero
    forEachVector(from: seen.lowerBound, to: seen.upperBound) { offset, lanes in
      let value = keep8(exp8(load8(x + offset, lanes) * factor - center), lanes)
      total += value
      store8(x + offset, value, lanes)
    }
    clear(x, outside: seen, count: count)
    let earlier = maximum == highest ? 1 : expf(maximum - highest)
    sum = sum * earlier + sum8(total)
    maximum = highest
    return earlier
  }

  // MARK: Backward

  /// Rows of one head that `backward` reads: keys and values, each in the orders that its products want.
  public struct BackwardPanels: Sendable {
    /// The keys as the right-hand side of q · kᵀ.
    public let keys: ScorePanels
    /// The keys as the right-hand side of ds · k.
    public let keySums: SumPanels
    /// The values as the right-hand side of dout · vᵀ.
    public let values: ScorePanels

    /// Panels that have all positions up to that of the last row.
    public init(keys: ScorePanels, keySums: SumPanels, values: ScorePanels) {
      self.keys = keys
      self.keySums = keySums
      self.values = values
    }
  }

  /// The gradients that some rows of one head of queries cause: of the rows, which is overwritten, and of the keys and
  /// values, to which it is added.
  ///
  /// - Parameters:
  ///   - queries: as in `forward`.
  ///   - out, dout: the rows' results and the gradient of these, rows as far apart as those of `queries`.
  ///   - logSums: those of `forward`.
  ///   - head: of the keys and values.
  ///   - dq: rows as far apart as those of `queries`.
  ///   - firstKey: keys before it get no gradient.
  ///   - dk, dv: where the gradients of the key and value at `firstKey` lie, rows `kvStride` apart.
  public func backward(
    _ queries: Rows, out: UnsafePointer<Float>, dout: UnsafePointer<Float>, logSums: UnsafePointer<Float>,
    panels: BackwardPanels, head: Int, into dq: UnsafeMutablePointer<Float>, firstKey: Int,
    dk: UnsafeMutablePointer<Float>, dv: UnsafeMutablePointer<Float>, kvStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    guard queries.count > 0 else { return }
    let (width, rows, stride) = (CausalAttention.keyBlock, queries.count, queries.stride)
    let p = scratch
    let ds = p + CausalAttention.queryBlock * width
    let packedQueries = ds + CausalAttention.queryBlock * width
    let packedOut = packedQueries + PackedMatrix.packedCount(depth: CausalAttention.queryBlock, columns: headColumns)
    let deltas = packedOut + PackedMatrix.packedCount(depth: CausalAttention.queryBlock, columns: headColumns)
    PackedMatrix.pack(
      depth: rows, columns: headColumns, source: queries.base, rowStride: stride, columnStride: 1, into: packedQueries)
    PackedMatrix.pack(
      depth: rows, columns: headColumns, source: dout, rowStride: stride, columnStride: 1, into: packedOut)
    for row in 0..<rows {
      deltas[row] = Accumulate.dot(headColumns, dout + row * stride, out + row * stride)
      (dq + row * stride).update(repeating: 0, count: headColumns)
    }
    for start in blocks(queries) {
      let count = min(width, Int(queries.positions[rows - 1]) + 1 - start)
      Product.multiply(
        rows: rows, depth: headColumns, columns: count, a: queries.base, rowStride: stride, columnStride: 1,
        panels: panels.keys.panel(head: head, of: start), into: p, stride: width)
      Product.multiply(
        rows: rows, depth: headColumns, columns: count, a: dout, rowStride: stride, columnStride: 1,
        panels: panels.values.panel(head: head, of: start), into: ds, stride: width)
      for row in 0..<rows {
        let seen = visible(queries.positions[row]).clamped(to: start..<start + count)
        slope(
          p + row * width, ds + row * width, seen.lowerBound - start..<seen.upperBound - start, count: count,
          logSum: logSums[row], delta: deltas[row])
      }
      Product.multiply(
        rows: rows, depth: count, columns: headColumns, a: ds, rowStride: width, columnStride: 1,
        panels: panels.keySums.block(head: head, of: start), packedDepth: width, into: dq, stride: stride,
        from: .rows(dq, stride: stride))
      let first = max(start, firstKey)
      let target = (first - firstKey) * kvStride
      Product.multiply(
        rows: start + count - first, depth: rows, columns: headColumns, a: p + (first - start), rowStride: 1,
        columnStride: width, panels: packedOut, into: dv + target, stride: kvStride,
        from: .rows(dv + target, stride: kvStride))
      Product.multiply(
        rows: start + count - first, depth: rows, columns: headColumns, a: ds + (first - start), rowStride: 1,
        columnStride: width, panels: packedQueries, into: dk + target, stride: kvStride,
        from: .rows(dk + target, stride: kvStride))
    }
  }

  /// Replaces a row's scores by its probabilities and dout · vᵀ by the gradient of the scores, both zero where the row
  /// does not see.
  private func slope(
    _ p: UnsafeMutablePointer<Float>, _ ds: UnsafeMutablePointer<Float>, _ seen: Range<Int>, count: Int, logSum: Float,
    delta: Float
  ) {
    let (factor, center, delta) = (Vector(repeating: scale), Vector(repeating: logSum), Vector(repeating: delta))
    forEachVector(from: seen.lowerBound, to: seen.upperBound) { offset, lanes in
      let probability = exp8(load8(p + offset, lanes) * factor - center)
      store8(ds + offset, (load8(ds + offset, lanes) - delta) * probability * factor, lanes)
      store8(p + offset, probability, lanes)
    }
    clear(p, outside: seen, count: count)
    clear(ds, outside: seen, count: count)
  }

  private func clear(_ x: UnsafeMutablePointer<Float>, outside seen: Range<Int>, count: Int) {
    x.update(repeating: 0, count: seen.lowerBound)
    (x + seen.upperBound).update(repeating: 0, count: count - seen.upperBound)
  }
}
