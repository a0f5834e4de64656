import CProcessor
import Tensors

/// How the layers of a training step are kept. Sums are f32 or exact in any case, and so are parameters and moments.
public enum LayerPrecision: String, Sendable, Codable, CaseIterable {
  /// Four bytes an element.
  case f32
  /// Two bytes an element, rounded to nearest: half the traffic between memory and processor.
  case bf16
  /// Two bytes an element in fixed point: whole numbers, 8191 of which are the most that any element of the layer can be.
  /// Four rows are added in sixteen bits at once, so sums of neighbours take half the instructions of bf16, and they are
  /// exact. Elements near the largest are kept thirty times as finely as in bf16, those a hundred times smaller less so.
  case int16

  /// Columns of a layer are filled up with zeros to a multiple of this.
  var columnMultiple: Int { self == .f32 ? 16 : 32 }

  /// Bytes of an element.
  var size: Int { self == .f32 ? 4 : 2 }

  /// As C wants to know it.
  var kind: glta_layer_kind {
    switch self {
    case .f32: GLTA_LAYER_F32
    case .bf16: GLTA_LAYER_BF16
    case .int16: GLTA_LAYER_FIXED
    }
  }
}

/// A layer of propagation whose rows are already multiplied by 1 / sqrt(degree): the next layer then only adds rows.
struct ScaledLayer: Sendable {
  let columns: Int
  let precision: LayerPrecision
  /// What one is worth in fixed point.
  var unit: Float = 1
  private let storage: Storage
  private let offset: Int
  private let byteCount: Int

  /// Layers of so many rows each, all zeros. They lie in one piece of memory: together even small ones get large pages.
  static func layers(_ count: Int, rows: Int, columns: Int, precision: LayerPrecision) -> [ScaledLayer] {
    precondition(columns % precision.columnMultiple == 0)
    let size = rows * columns * precision.size
    let storage = Storage(byteCount: count * size)
    return (0..<count).map { index in
      ScaledLayer(columns: columns, precision: precision, storage: storage, offset: index * size, byteCount: size)
    }
  }

  private init(columns: Int, precision: LayerPrecision, storage: Storage, offset: Int, byteCount: Int) {
    self.columns = columns
    self.precision = precision
    self.storage = storage
    self.offset = offset
    self.byteCount = byteCount
  }

  /// The unit of layers none of whose elements is beyond `bound`; 1 where there is nothing to keep.
  static func unit(bound: Float) -> Float {
    bound.isFinite && bound > .leastNormalMagnitude * Float(GLTA_FIXED_LIMIT) ? bound / Float(GLTA_FIXED_LIMIT) : 1
  }

  /// The unit of a layer whose largest element is `largest`, or up to a quarter more: most small changes do not change it.
  static func unit(roughly largest: Float) -> Float {
    let rest: UInt32 = 0x1f_ffff
    return unit(bound: Float(bitPattern: (largest.bitPattern &+ rest) & ~rest))
  }

  /// The first row; valid while the layer lives.
  var base: UnsafeMutableRawPointer { storage.base + offset }

  /// Whether a processor's second cache is too small for the layer, so that rows should be asked for before they are read.
  var isFar: Bool { byteCount > 2 << 20 }

  /// Makes every element of a row zero.
  func clear(row: Int) {
    let size = columns * precision.size
    (base + row * size).initializeMemory(as: UInt8.self, repeating: 0, count: size)
  }

  /// Takes over rows of floats from the row `nodes` begins with, each times its factor of `scale`.
  ///
  /// - Returns: the largest of them all so multiplied, for fixed point; otherwise zero.
  @discardableResult
  func store(_ values: UnsafePointer<Float>, scaledBy scale: UnsafePointer<Float>, nodes: Range<Int>) -> Float {
    glta_store_rows(nodes.lowerBound, nodes.upperBound, values, scale, columns, precision.kind, 1 / unit, base)
  }

  /// sums = the sum of `count` rows.
  func gather(_ rows: UnsafePointer<Int32>, count: Int, into sums: UnsafeMutablePointer<Float>) {
    glta_gather_layer(rows, count, base, columns, precision.kind, unit, isFar ? 1 : 0, sums)
  }
}
