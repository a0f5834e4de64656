import CProcessor
import Tensors

/// How the layers of a training step are kept. Sums are f32 in any case, and so are parameters and moments.
public enum LayerPrecision: String, Sendable, Codable, CaseIterable {
  /// Four bytes an element.
  case f32
  /// Two bytes an element, rounded to nearest: half the traffic between memory and processor, which is what propagation
  /// takes its time for.
  case bf16

  /// Columns of a layer are filled up with zeros to a multiple of this.
  var columnMultiple: Int { self == .f32 ? 16 : 32 }

  /// As C wants to know it.
  var isHalf: Int32 { self == .bf16 ? 1 : 0 }
}

/// A layer of propagation whose rows are already multiplied by 1 / sqrt(degree): the next layer then only adds rows.
struct ScaledLayer: Sendable {
  let columns: Int
  let precision: LayerPrecision
  private let storage: Storage

  init(nodes: Int, columns: Int, precision: LayerPrecision) {
    precondition(columns % precision.columnMultiple == 0)
    self.columns = columns
    self.precision = precision
    storage = Storage(byteCount: nodes * columns * (precision == .f32 ? 4 : 2))
  }

  var byteCount: Int { storage.byteCount }

  /// The first row; valid while the layer lives.
  var base: UnsafeMutableRawPointer { storage.base }

  /// Makes every element zero.
  func clear() { storage.base.initializeMemory(as: UInt8.self, repeating: 0, count: storage.byteCount) }

  /// Takes over rows of floats from the row `nodes` begins with, each times its factor of `scale`.
  func store(_ values: UnsafePointer<Float>, scaledBy scale: UnsafePointer<Float>, nodes: Range<Int>) {
    glta_store_rows(nodes.lowerBound, nodes.upperBound, values, scale, columns, precision.isHalf, storage.base)
  }

  /// sums = the sum of `count` rows.
  func gather(_ rows: UnsafePointer<Int32>, count: Int, into sums: UnsafeMutablePointer<Float>) {
    switch precision {
    case .f32: glta_gather_f32(rows, count, storage.base.assumingMemoryBound(to: Float.self), columns, nil, sums)
    case .bf16: glta_gather_bf16(rows, count, storage.base.assumingMemoryBound(to: UInt32.self), columns, sums)
    }
  }
}
