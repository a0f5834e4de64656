import Foundation

/// How the angles of rotary position embeddings were stretched for longer contexts than a model was first trained with.
///
/// The names and the formulas are those of Hugging Face's configurations (`rope_parameters`, before version 5
/// `rope_scaling`).
public enum RotaryScaling: Sendable, Equatable {
  /// Not at all.
  case none
  /// All angles are divided by `factor`.
  case linear(factor: Double)
  /// The base grows with the length of the sequence beyond the model's positions ("NTK-aware").
  case dynamic(factor: Double)
  /// Slow pairs are divided by `factor`, fast ones are left, those between are mixed: Llama 3.1.
  case llama3(factor: Double, lowFrequency: Double, highFrequency: Double, originalPositions: Int)
  /// The same by another ramp, and a factor on sines and cosines (Peng et al., *YaRN*, 2023).
  case yarn(YaRN)
  /// The angle of each pair is divided by a number of its own: how GGUF files write Llama 3.1's ramp.
  case divisors([Float])

  /// The settings of YaRN.
  public struct YaRN: Sendable, Equatable {
    /// The extended context as a multiple of the original one.
    public var factor: Double
    /// Positions that the model was first trained with.
    public var originalPositions: Int
    /// Pairs that turn more often than this over the original positions are left as they are.
    public var fastTurns: Double
    /// Pairs that turn less often than this are divided by `factor`.
    public var slowTurns: Double
    /// What sines and cosines are multiplied with.
    public var attentionFactor: Double
    /// Whether the ends of the ramp are whole numbers.
    public var truncates: Bool

    /// The settings that the paper recommends, for a factor and the original positions.
    public init(
      factor: Double, originalPositions: Int, fastTurns: Double = 32, slowTurns: Double = 1,
      attentionFactor: Double? = nil, truncates: Bool = true
    ) {
      self.factor = factor
      self.originalPositions = originalPositions
      self.fastTurns = fastTurns
      self.slowTurns = slowTurns
      self.attentionFactor = attentionFactor ?? YaRN.attentionFactor(factor)
      self.truncates = truncates
    }

    /// 0.1 scale ln(factor) + 1.
    static func attentionFactor(_ factor: Double, scale: Double = 1) -> Double {
      factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1
    }
  }

  /// What sines and cosines are multiplied with.
  var attentionFactor: Double {
    if case .yarn(let yarn) = self { return yarn.attentionFactor }
    return 1
  }

  /// The angle of one position, in radians, for each pair of columns.
  ///
  /// - Parameters:
  ///   - length: of the sequence, for `.dynamic`.
  ///   - positions: that the model was made for, for `.dynamic`.
  func frequencies(base: Double, headColumns: Int, length: Int, positions: Int) -> [Float] {
    let columns = Double(headColumns)
    var base = base
    if case .dynamic(let factor) = self, headColumns > 2 {
      let stretch = factor * Double(max(length, positions)) / Double(positions) - (factor - 1)
      base *= pow(stretch, columns / (columns - 2))
    }
    let plain = (0..<headColumns / 2).map { 1 / pow(base, Double(2 * $0) / columns) }
    switch self {
    case .none, .dynamic: return plain.map(Float.init)
    case .linear(let factor): return plain.map { Float($0 / factor) }
    case .divisors(let divisors): return zip(plain, divisors).map { Float($0) / $1 }
    case .llama3(let factor, let low, let high, let original):
      return plain.map { Float(RotaryScaling.llama3($0, factor, low: low, high: high, Double(original))) }
    case .yarn(let yarn): return yarn.frequencies(plain, base: base, headColumns: headColumns).map(Float.init)
    }
  }

  private static func llama3(
    _ frequency: Double, _ factor: Double, low: Double, high: Double, _ original: Double
  ) -> Double {
    let turns = original * frequency / (2 * .pi)
    if turns > high { return frequency }
    if turns < low { return frequency / factor }
    let share = (turns - low) / (high - low)
    return (1 - share) * frequency / factor + share * frequency
  }
}

extension RotaryScaling.YaRN {
  fileprivate func frequencies(_ plain: [Double], base: Double, headColumns: Int) -> [Double] {
    /// The pair, as a fraction, that turns so often over the original positions.
    func pair(turning turns: Double) -> Double {
      Double(headColumns) * log(Double(originalPositions) / (turns * 2 * .pi)) / (2 * log(base))
    }
    var (low, high) = (pair(turning: fastTurns), pair(turning: slowTurns))
    if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
    (low, high) = (max(low, 0), min(high, Double(headColumns - 1)))
    if low == high { high += 0.001 }
    return plain.enumerated().map { index, frequency in
      let ramp = min(max((Double(index) - low) / (high - low), 0), 1)
      return frequency / factor * ramp + frequency * (1 - ramp)
    }
  }
}
