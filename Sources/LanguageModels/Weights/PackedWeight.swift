import Synchronization
package import Tensors

/// A weight in f32, packed for its products.
package final class PackedWeight: FrozenWeight {
  private let forward: PackedMatrix
  /// The same numbers in the order of the backward product; made by the first one, since serving has none.
  private let backward = Mutex<PackedMatrix?>(nil)

  /// - Parameter weight: `[outputs, inputs]`, as PyTorch stores it.
  package init(_ weight: Matrix) { forward = PackedMatrix(transposing: weight) }

  package var inputs: Int { forward.depth }
  package var outputs: Int { forward.columns }
  package var byteCount: Int { forward.byteCount }
  package var backwardByteCount: Int { PackedMatrix.byteCount(depth: outputs, columns: inputs) }

  package func multiply(
    rows: Int, _ x: UnsafePointer<Float>, panels: Range<Int>, into out: UnsafeMutablePointer<Float>, stride: Int,
    from start: Product.Start, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    Product.multiply(
      rows: rows, a: x, rowStride: forward.depth, b: forward, panels: panels, into: out, stride: stride, from: start,
      finish: finish)
  }

  package func multiplyBackward(
    rows: Int, _ dout: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>, from start: Product.Start,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    Product.multiply(
      rows: rows, a: dout, rowStride: outputs, b: backwardPanels(), into: dx, stride: inputs, from: start,
      finish: finish)
  }

  private func backwardPanels() -> PackedMatrix {
    backward.withLock { backward in
      if let backward { return backward }
      let packed = PackedMatrix(forward.transposed())
      backward = packed
      return packed
    }
  }
}
