package import Tensors

/// A weight of bytes, or of four bits a number, multiplied as bytes: x is rounded, too. The gradient is that of the weight,
/// in f32.
package struct ByteWeight: FrozenWeight {
  private let panels: QuantizedPanels

  /// - Parameter panels: B = Wᵀ, of which `ByteProduct.takes` is true.
  package init(_ panels: QuantizedPanels) { self.panels = panels }

  package var inputs: Int { panels.depth }
  package var outputs: Int { panels.columns }
  package var byteCount: Int { panels.byteCount }

  package func multiply(
    rows: Int, _ x: UnsafePointer<Float>, panels range: Range<Int>, into out: UnsafeMutablePointer<Float>, stride: Int,
    from start: Product.Start, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    ByteProduct.multiply(
      rows: rows, a: x, rowStride: inputs, b: panels, panels: range, into: out, stride: stride, from: start,
      finish: finish)
  }

  package func multiplyBackward(
    rows: Int, _ dout: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, from start: Product.Start,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    panels.multiplyTransposed(
      rows: rows, a: dout, rowStride: outputs, into: dx, stride: inputs, from: start, finish: finish)
  }
}
