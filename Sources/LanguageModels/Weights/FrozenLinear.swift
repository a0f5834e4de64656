package import Tensors

/// A frozen linear layer y = x Wᵀ + b.
package struct FrozenLinear: Sendable {
  /// W, in whatever form it is kept.
  package let weight: any FrozenWeight
  /// b, 1 x outputs; nil where the layer has none.
  package let bias: Matrix?

  /// A layer of a weight in any form.
  package init(_ weight: any FrozenWeight, bias: Matrix? = nil) {
    precondition(bias.map { $0.count == weight.outputs } ?? true)
    self.weight = weight
    self.bias = bias
  }

  /// A layer in f32.
  ///
  /// - Parameter weight: `[outputs, inputs]`, as PyTorch stores it.
  package init(weight: Matrix, bias: Matrix? = nil) { self.init(PackedWeight(weight), bias: bias) }

  /// Columns of x.
  package var inputs: Int { weight.inputs }
  /// Columns of y.
  package var outputs: Int { weight.outputs }

  /// Bytes of the weight.
  ///
  /// - Parameter forBackward: with what the backward product keeps.
  package func byteCount(forBackward: Bool) -> Int {
    weight.byteCount + (forBackward ? weight.backwardByteCount : 0)
  }

  /// out = x Wᵀ + b, or out = x Wᵀ + b + residual.
  ///
  /// - Parameters:
  ///   - x: rows x `inputs`.
  ///   - residual: rows x `outputs`; may be `out`.
  ///   - out: rows x `outputs`.
  ///   - finish: called for each part of `out` that is complete, while it is in the cache.
  package func apply(
    rows: Int, _ x: UnsafePointer<Float>, adding residual: UnsafePointer<Float>? = nil,
    into out: UnsafeMutablePointer<Float>, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    apply(rows: rows, x, panels: 0..<weight.panelCount, adding: residual, into: out, finish: finish)
  }

  /// The same for the outputs of some panels alone, which are written where they stand in `out`. Where there are few rows,
  /// threads share out the panels.
  package func apply(
    rows: Int, _ x: UnsafePointer<Float>, panels: Range<Int>, adding residual: UnsafePointer<Float>? = nil,
    into out: UnsafeMutablePointer<Float>, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    guard rows > 0, !panels.isEmpty else { return }
    let (columns, width) = (outputs, PackedMatrix.panelColumns)
    let first = panels.lowerBound * width
    let out = out + first
    var start = Product.Start.zero
    switch (bias, residual) {
    case (nil, nil): break
    case (let bias?, nil): start = .bias(bias.base + first)
    case (nil, let residual?): start = .rows(residual + first, stride: columns)
    case (let bias?, let residual?):
      let count = min(columns, panels.upperBound * width) - first
      for row in 0..<rows {
        Accumulate.sum(count, bias.base + first, residual + row * columns + first, into: out + row * columns)
      }
      start = .rows(out, stride: columns)
    }
    weight.multiply(rows: rows, x, panels: panels, into: out, stride: columns, from: start, finish: finish)
  }

  /// dx = dout W, or dx = residual + dout W; the residual may be dx itself.
  package func applyBackward(
    rows: Int, _ dout: UnsafePointer<Float>, adding residual: UnsafePointer<Float>? = nil,
    into dx: UnsafeMutablePointer<Float>, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    weight.multiplyBackward(
      rows: rows, dout, into: dx, from: residual.map { .rows($0, stride: inputs) } ?? .zero, finish: finish)
  }
}
