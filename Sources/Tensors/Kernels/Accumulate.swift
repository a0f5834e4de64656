/// Sums and dots of float runs in a fixed order.
public enum Accumulate {
  /// y += x.
  public static func add(_ count: Int, _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>) {
    forEachVector(to: count) { offset, lanes in
      store8(y + offset, load8(y + offset, lanes) + load8(x + offset, lanes), lanes)
    }
  }

  /// out = x + y.
  public static func sum(
    _ count: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>
  ) {
    forEachVector(to: count) { offset, lanes in
      store8(out + offset, load8(x + offset, lanes) + load8(y + offset, lanes), lanes)
    }
  }

  /// y += scale * x.
  public static func add(
    _ count: Int, _ x: UnsafePointer<Float>, scaledBy scale: Float, to y: UnsafeMutablePointer<Float>
  ) {
    let factor = Vector(repeating: scale)
    forEachVector(to: count) { offset, lanes in
      store8(y + offset, load8(y + offset, lanes).addingProduct(load8(x + offset, lanes), factor), lanes)
    }
  }

  /// x *= scale.
  public static func scale(_ count: Int, _ x: UnsafeMutablePointer<Float>, by scale: Float) {
    let factor = Vector(repeating: scale)
    forEachVector(to: count) { offset, lanes in store8(x + offset, load8(x + offset, lanes) * factor, lanes) }
  }

  /// The sum of x * y in the order that `Product` sums: k = 0, 1, 2, ... with fused multiply-adds. Equal, bit for bit,
  /// to the same element of a product; made for a few elements, not for many.
  public static func dotInOrder(_ count: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>) -> Float {
    var sum: Float = 0
    for index in 0..<count { sum = sum.addingProduct(x[index], y[index]) }
    return sum
  }

  /// The sum of x * y, eight partial sums folded in a fixed order.
  public static func dot(_ count: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>) -> Float {
    var sums = Vector.zero
    forEachVector(to: count) { offset, lanes in
      sums = sums.addingProduct(load8(x + offset, lanes), load8(y + offset, lanes))
    }
    return sum8(sums)
  }

  /// The sum of squares, eight partial sums folded in a fixed order.
  public static func squares(_ count: Int, _ x: UnsafePointer<Float>) -> Float {
    var sums = Vector.zero
    forEachVector(to: count) { offset, lanes in
      let value = load8(x + offset, lanes)
      sums = sums.addingProduct(value, value)
    }
    return sum8(sums)
  }
}
