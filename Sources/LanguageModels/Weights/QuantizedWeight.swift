package import Tensors

/// A weight in few bits a number: memory holds one copy of about the file's size for both directions. The gradient is that
/// of the weight, in f32.
package struct QuantizedWeight: FrozenWeight {
  private let panels: QuantizedPanels
  private let multipliesBytes: Bool

  /// - Parameters:
  ///   - panels: B = Wᵀ.
  ///   - multipliesBytes: whether x is rounded, too, and multiplied as bytes, for which `ByteProduct.takes` has to be true of
  ///     the panels; otherwise the product is f32's.
  package init(_ panels: QuantizedPanels, multipliesBytes: Bool = false) {
    self.panels = panels
    self.multipliesBytes = multipliesBytes
  }

  package var inputs: Int { panels.depth }
  package var outputs: Int { panels.columns }
  package var byteCount: Int { panels.byteCount }

  package func multiply(
    rows: Int, _ x: UnsafePointer<Float>, panels range: Range<Int>, into out: UnsafeMutablePointer<Float>, stride: Int,
    from start: Product.Start, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    if multipliesBytes {
      return ByteProduct.multiply(
        rows: rows, a: x, rowStride: inputs, b: panels, panels: range, into: out, stride: stride, from: start,
        finish: finish)
    }
    panels.multiply(
      rows: rows, a: x, rowStride: inputs, panels: range, into: out, stride: stride, from: start, finish: finish)
  }

  package func multiplyBackward(
    rows: Int, _ dout: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, from start: Product.Start,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    panels.multiplyTransposed(
      rows: rows, a: dout, rowStride: outputs, into: dx, stride: inputs, from: start, finish: finish)
  }
}
