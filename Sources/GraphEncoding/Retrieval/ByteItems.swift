import CProcessor
import Tensors

/// A vector in eight bits a number: x[k] ~ scale * code[k], and how far that may be off.
struct ByteVector {
  /// What a code stands for.
  var scale: Float
  /// At least |x|.
  var norm: Float
  /// At least |x - scale * codes|.
  var error: Float
  /// At least |scale * codes|.
  var length: Float

  static let zero = ByteVector(scale: 0, norm: 0, error: 0, length: 0)

  /// Products of longer vectors may leave the range of floats on the way, where bounds mean nothing.
  private static let longest = 0x1p60

  /// Rounds a vector; nil where it is not finite, or too long.
  static func round(_ x: UnsafePointer<Float>, count: Int, into codes: UnsafeMutablePointer<Int8>) -> ByteVector? {
    var (largest, squares) = (Float.zero, 0.0)
    for k in 0..<count {
      largest = max(largest, abs(x[k]))
      squares += Double(x[k]) * Double(x[k])
    }
    guard squares <= longest * longest else { return nil }
    let scale = largest / 127
    let inverse = scale > 0 ? 1 / Double(scale) : 0
    var (errors, lengths) = (0.0, 0.0)
    for k in 0..<count {
      let code = max(-127, min(127, (Double(x[k]) * inverse).rounded()))
      let kept = Double(scale) * code
      codes[k] = Int8(code)
      errors += (Double(x[k]) - kept) * (Double(x[k]) - kept)
      lengths += kept * kept
    }
    return ByteVector(scale: scale, norm: above(squares), error: above(errors), length: above(lengths))
  }

  /// A float above the root of a sum that was rounded itself, by more than two roundings of floats take away again.
  private static func above(_ squares: Double) -> Float { Float(squares.squareRoot() * (1 + 1e-6)).nextUp }
}

/// The items in eight bits a number, in panels of sixteen as ByteTile.h has them.
///
/// With q and x the query and the item, q' and x' their rounded forms, |q·x - q'·x'| <= |q| |x - x'| + |q - q'| |x'| by
/// Cauchy and Schwarz. To that come the roundings of the f32 score itself, at most d 2^-24 |q| |x| to first order
/// (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1), and those of q'·x', five at most; an item's
/// error has room for twice as much.
struct ByteItems: Sendable {
  /// Sums of products of bytes stay within 32 bits.
  static let maximumColumns = 32_768

  /// Bytes of a panel.
  let panelBytes: Int
  /// Runs of four numbers that a vector takes.
  let groups: Int
  private let storage: Storage

  /// - Throws: `GLTAError.invalidArgument` for more than `maximumColumns` columns.
  init(_ items: Matrix, pool: ThreadPool) throws(GLTAError) {
    guard items.columns <= ByteItems.maximumColumns else {
      throw GLTAError(
        .invalidArgument,
        "vectors of \(items.columns) numbers, expected at most \(ByteItems.maximumColumns) in eight bits",
        hint: "keep them as floats")
    }
    groups = (items.columns + 3) / 4
    panelBytes = 192 + 64 * groups
    let panels = (items.rows + 15) / 16
    storage = Storage(byteCount: panels * panelBytes)
    pool.forEach(panels) { panel, _ in fill(panel, from: items) }
  }

  /// The panels from one on.
  func panel(_ number: Int) -> UnsafeMutablePointer<UInt8> {
    (storage.base + number * panelBytes).assumingMemoryBound(to: UInt8.self)
  }

  private func fill(_ panel: Int, from items: Matrix) {
    let bytes = self.panel(panel)
    let numbers = UnsafeMutableRawPointer(bytes).assumingMemoryBound(to: Float.self)
    (bytes + 192).update(repeating: 128, count: 64 * groups)
    withUnsafeTemporaryAllocation(of: Int8.self, capacity: max(1, items.columns)) { codes in
      guard let codes = codes.baseAddress else { return }
      for lane in 0..<16 {
        let item = panel * 16 + lane
        (numbers[lane], numbers[32 + lane]) = (0, 0)
        guard item < items.rows else {
          // No item: at or above nothing.
          numbers[16 + lane] = .nan
          continue
        }
        guard let vector = ByteVector.round(items.row(item), count: items.columns, into: codes) else {
          // Whatever its score, it lies within these bounds.
          numbers[16 + lane] = .infinity
          continue
        }
        numbers[lane] = vector.scale
        numbers[16 + lane] = vector.error + ByteItems.rounding(items.columns) * (vector.norm + vector.error)
        numbers[32 + lane] = vector.length
        for k in 0..<items.columns {
          bytes[192 + k / 4 * 64 + lane * 4 + k % 4] = UInt8(bitPattern: codes[k]) &+ 128
        }
      }
    }
  }

  private static func rounding(_ columns: Int) -> Float { Float(2 * columns + 32) * 0x1p-24 }
}
