package import Tensors

/// A weight in few bits a number, multiplied in f32: memory holds one copy of about the file's size for both directions.
package struct QuantizedWeight: FrozenWeight {
  private let panels: QuantizedPanels

  /// - Parameter panels: B = Wᵀ.
  package init(_ panels: QuantizedPanels) { self.panels = panels }

  package var inputs: Int { panels.depth }
  package var outputs: Int { panels.columns }
  package var byteCount: Int { panels.byteCount }

  package func multiply(
    rows: Int, _ x: UnsafePointer<Float>, panels range: Range<Int>, into out: UnsafeMutablePointer<Float>, stride: Int,
    from start: Product.Start, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
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
