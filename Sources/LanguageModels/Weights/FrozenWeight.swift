package import Tensors

/// The matrix W of a frozen linear layer, `[outputs, inputs]`, in one of the forms that weights are kept in.
///
/// A form that loses bits stands for the matrix that it can give back: both products are those of one and the same W,
/// so that a gradient belongs to its forward pass. A row of either product has the same bits whatever the number of
/// rows, panels or threads (DESIGN.md, decision 4).
package protocol FrozenWeight: Sendable {
  /// Columns of W: those of x.
  var inputs: Int { get }
  /// Rows of W: columns of the product.
  var outputs: Int { get }
  /// Bytes that W takes.
  var byteCount: Int { get }
  /// Bytes that the first backward product adds.
  var backwardByteCount: Int { get }

  /// out = start + x Wᵀ for the outputs of some panels, `PackedMatrix.panelColumns` outputs each.
  ///
  /// - Parameters:
  ///   - x: rows x `inputs`, dense.
  ///   - panels: of `panelCount`; the first of their outputs becomes the first of `out` and of `start`.
  ///   - out: rows `stride` floats apart.
  ///   - finish: called for each part of `out` that is complete, while it is in the cache.
  func multiply(
    rows: Int, _ x: UnsafePointer<Float>, panels: Range<Int>, into out: UnsafeMutablePointer<Float>, stride: Int,
    from start: Product.Start, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?)

  /// dx = start + dout W.
  ///
  /// - Parameters:
  ///   - dout: rows x `outputs`, dense.
  ///   - dx: rows x `inputs`, dense.
  ///   - finish: as in `multiply`.
  func multiplyBackward(
    rows: Int, _ dout: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, from start: Product.Start,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?)
}

extension FrozenWeight {
  package var backwardByteCount: Int { 0 }

  /// The panels that the outputs are cut into; the last may be narrower.
  package var panelCount: Int {
    (outputs + PackedMatrix.panelColumns - 1) / PackedMatrix.panelColumns
  }
}
