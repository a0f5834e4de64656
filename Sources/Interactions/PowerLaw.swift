#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Numbers whose density falls as x^-exponent: how many things people have, and how many people a thing has.
enum PowerLaw {
  /// Degrees of `count` nodes, largest first, that sum to `total`: a Pareto law's quantiles, scaled to the sum and held
  /// between one and `largest`.
  ///
  /// - Precondition: count <= total <= count * largest, exponent > 1.
  static func degrees(count: Int, total: Int, largest: Int, exponent: Double) -> [Int] {
    let slope = -1 / (exponent - 1)
    let quantiles = (0..<count).map { pow((Double($0) + 0.5) / Double(count), slope) }
    func degree(_ quantile: Double, _ scale: Double) -> Double { min(Double(largest), max(1, scale * quantile)) }
    // The sum grows with the scale; sixty halvings are as exact as a sum of so many numbers.
    var (low, high) = (0.0, Double(largest))
    for _ in 0..<60 {
      let middle = (low + high) / 2
      let sum = quantiles.reduce(0) { $0 + degree($1, middle) }
      if sum < Double(total) { low = middle } else { high = middle }
    }
    return roundedInSum(quantiles.map { degree($0, high) }, total: total, largest: largest)
  }

  /// Whole numbers near some numbers of at least one, that sum to `total`.
  private static func roundedInSum(_ numbers: [Double], total: Int, largest: Int) -> [Int] {
    var (sum, before) = (0.5, 0)
    var rounded = numbers.map { number -> Int in
      sum += number
      defer { before = Int(sum) }
      return max(1, min(largest, Int(sum) - before))
    }
    // What the ends of the range cut off.
    var rest = total - rounded.reduce(0, +)
    while rest != 0 {
      let step = rest > 0 ? 1 : -1
      for index in rounded.indices where rest != 0 && (1...largest).contains(rounded[index] + step) {
        rounded[index] += step
        rest -= step
      }
    }
    return rounded
  }

  /// Draws ranks from 0..<count, rank r with a probability that falls as (r + shift)^-slope (Zipf and Mandelbrot), by
  /// the inverse of its continuous form: without a table.
  struct Ranks {
    private let count: Int
    private let shift: Double
    private let power: Double
    private let low: Double
    private let span: Double

    /// - Parameters:
    ///   - exponent: of the density of how often ranks are drawn, above two.
    ///   - shift: at least one; flattens the head.
    init(count: Int, exponent: Double, shift: Double) {
      self.count = count
      self.shift = shift
      power = 1 - 1 / (exponent - 1)
      low = pow(shift, power)
      span = pow(shift + Double(count), power) - low
    }

    /// The share of draws that are rank 0.
    var headShare: Double { (pow(shift + 1, power) - low) / span }

    /// The rank of a uniform draw from [0, 1).
    func rank(_ uniform: Double) -> Int {
      min(count - 1, max(0, Int(pow(low + uniform * span, 1 / power) - shift)))
    }
  }
}
