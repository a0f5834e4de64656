public import Tensors

/// A matrix of draws from N(0, 1).
public func randomMatrix(_ rows: Int, _ columns: Int, seed: UInt64 = 1) -> Matrix {
  var random = Philox(seed: seed, purpose: "test").sequence()
  let matrix = Matrix(rows: rows, columns: columns)
  for index in 0..<matrix.count { matrix.base[index] = random.normal() }
  return matrix
}

/// max|a - b| / max|b|: what "relative" means in this project.
public func relativeDifference(_ a: [Float], _ b: [Float]) -> Float {
  precondition(a.count == b.count)
  let difference = zip(a, b).map { abs($0 - $1) }.max() ?? 0
  let largest = b.map { abs($0) }.max() ?? 0
  return largest == 0 ? difference : difference / largest
}

/// max|a - b|.
public func absoluteDifference(_ a: [Float], _ b: [Float]) -> Float {
  precondition(a.count == b.count)
  return zip(a, b).map { abs($0 - $1) }.max() ?? 0
}

/// The gradient of `loss` by central differences, one element of `x` after another.
public func finiteDifferences(of x: Matrix, step: Float = 1e-2, _ loss: () throws -> Double) rethrows -> [Float] {
  try (0..<x.count).map { index in
    let value = x.base[index]
    x.base[index] = value + step
    let above = try loss()
    x.base[index] = value - step
    let below = try loss()
    x.base[index] = value
    return Float((above - below) / Double(2 * step))
  }
}

/// The sum of x * y in double precision.
public func dot(_ x: Matrix, _ y: Matrix) -> Double {
  zip(x.elements, y.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
}
