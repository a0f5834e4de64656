#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Softmax over rows, the maximum subtracted first.
public enum Softmax {
  /// x[j] = exp(scale x[j]) / sum, in place over the first `columns` floats of each row.
  ///
  /// - Parameter scale: positive.
  public static func forward(rows: Int, columns: Int, x: UnsafeMutablePointer<Float>, stride: Int, scale: Float = 1) {
    let factor = Vector(repeating: scale)
    for row in 0..<rows {
      let x = x + row * stride
      let highest = Vector(repeating: maximum(columns, x) * scale)
      var sums = Vector.zero
      forEachVector(to: columns) { offset, lanes in
        let value = keep8(exp8(load8(x + offset, lanes) * factor - highest), lanes)
        sums += value
        store8(x + offset, value, lanes)
      }
      let inverse = Vector(repeating: 1 / sum8(sums))
      forEachVector(to: columns) { offset, lanes in store8(x + offset, load8(x + offset, lanes) * inverse, lanes) }
    }
  }

  /// The gradient of the unscaled input, in place of `dp`: ds = scale * p * (dp - sum(p dp)).
  public static func backward(
    rows: Int, columns: Int, p: UnsafePointer<Float>, dp: UnsafeMutablePointer<Float>, stride: Int, scale: Float = 1
  ) {
    let factor = Vector(repeating: scale)
    for row in 0..<rows {
      let p = p + row * stride
      let dp = dp + row * stride
      var products = Vector.zero
      forEachVector(to: columns) { offset, lanes in
        products = products.addingProduct(load8(p + offset, lanes), load8(dp + offset, lanes))
      }
      let total = Vector(repeating: sum8(products))
      forEachVector(to: columns) { offset, lanes in
        store8(
          dp + offset, (load8(dp + offset, lanes) - total) * load8(p + offset, lanes) * factor, lanes)
      }
    }
  }

  /// log(sum(exp(x))) of one row.
  public static func logSumExp(_ columns: Int, _ x: UnsafePointer<Float>) -> Float {
    let highest = maximum(columns, x)
    let center = Vector(repeating: highest)
    var sums = Vector.zero
    forEachVector(to: columns) { offset, lanes in
      let value = keep8(exp8(load8(x + offset, lanes) - center), lanes)
      sums += value
    }
    return highest + logf(sum8(sums))
  }

  static func maximum(_ columns: Int, _ x: UnsafePointer<Float>) -> Float {
    var highest = -Float.infinity
    var highests = Vector(repeating: -.infinity)
    let whole = columns / 8 * 8
    for offset in stride(from: 0, to: whole, by: 8) {
      let value = load8(x + offset)
      highests = highests.replacing(with: value, where: value .> highests)
    }
    for lane in 0..<8 { highest = max(highest, highests[lane]) }
    for column in whole..<columns { highest = max(highest, x[column]) }
    return highest
  }
}
