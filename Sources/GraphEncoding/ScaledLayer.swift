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
  private let offset: Int
  private let byteCount: Int

  /// Layers of so many rows each. They lie in one piece of memory: together even small ones get large pages.
  static func layers(rows: [Int], columns: Int, precision: LayerPrecision) -> [ScaledLayer] {
    precondition(columns % precision.columnMultiple == 0)
    let sizes = rows.map { $0 * columns * (precision == .f32 ? 4 : 2) }
    let storage = Storage(byteCount: sizes.reduce(0, +))
    var offset = 0
    return sizes.map { size in
      defer { offset += size }
      return ScaledLayer(columns: columns, precision: precision, storage: storage, offset: offset, byteCount: size)
    }
  }

  private init(columns: Int, precision: LayerPrecision, storage: Storage, offset: Int, byteCount: Int) {
    self.columns = columns
    self.precision = precision
    self.storage = storage
    self.offset = offset
    self.byteCount = byteCount
  }

  /// The first row; valid while the layer lives.
  var base: UnsafeMutableRawPointer { storage.base + offset }

  /// Makes every element zero.
  func clear() { base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount) }

  /// Takes over rows of floats from the row `nodes` begins with, each times its factor of `scale`.
  func store(_ values: UnsafePointer<Float>, scaledBy scale: UnsafePointer<Float>, nodes: Range<Int>) {
    glta_store_rows(nodes.lowerBound, nodes.upperBound, values, scale, columns, precision.isHalf, base)
  }

  /// sums = the sum of `count` rows.
  func gather(_ rows: UnsafePointer<Int32>, count: Int, into sums: UnsafeMutablePointer<Float>) {
    switch precision {
    case .f32: glta_gather_f32(rows, count, base.assumingMemoryBound(to: Float.self), columns, nil, sums)
    case .bf16: glta_gather_bf16(rows, count, base.assumingMemoryBound(to: UInt32.self), columns, sums)
    }
  }
}
