public import Interactions

extension CSRMatrix {
  /// Weights of users by their number of items n: n to the power of minus `exponent`, so scaled that interactions count
  /// one on average. Empty for exponent zero, where all count alike.
  public func userWeights(exponent: Float) -> [Float] {
    guard exponent > 0 else { return [] }
    let weights = (0..<rows).map { degree($0) > 0 ? powerOf(Double(degree($0)), -Double(exponent)) : 0 }
    let sum = (0..<rows).reduce(0) { $0 + weights[$1] * Double(degree($1)) }
    return weights.map { Float($0 * Double(count) / max(sum, .leastNormalMagnitude)) }
  }
}
