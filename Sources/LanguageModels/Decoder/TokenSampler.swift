import Tensors

/// How the next token is chosen from logits.
public struct SamplingOptions: Sendable, Equatable {
  /// Logits are divided by it; zero always takes the best token.
  public var temperature: Float
  /// Only so many of the best tokens are drawn from; nil = all.
  public var topK: Int?
  /// Of these, only the best whose probabilities reach this sum (Holtzman et al., 2020); 1 = all.
  public var topP: Float
  /// Draws are a function of the seed, the sequence and the step.
  public var seed: UInt64

  /// Always the best token.
  public static let greedy = SamplingOptions(temperature: 0)

  /// Draws with a temperature from the best tokens.
  public init(temperature: Float, topK: Int? = nil, topP: Float = 1, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }

  /// - Throws: `GLTAError.invalidArgument` naming the first option that cannot work.
  func validate() throws(GLTAError) {
    func require(_ isRight: Bool, _ what: String) throws(GLTAError) {
      guard isRight else { throw GLTAError(.invalidArgument, what) }
    }
    try require(temperature >= 0 && temperature <= 100, "the temperature is \(temperature), expected 0 to 100")
    try require(topK.map { $0 > 0 } ?? true, "top-k is \(topK ?? 0), expected a positive number")
    try require(topP > 0 && topP <= 1, "top-p is \(topP), expected a number above 0 up to 1")
  }
}

/// Chooses tokens; keeps its memory from one to the next.
struct TokenSampler {
  private struct Candidate {
    let token: Int32
    let probability: Float
  }

  private let options: SamplingOptions
  private let random: Philox
  private var step: UInt64 = 0
  private var candidates: [Candidate] = []

  /// - Parameter sequence: which of the sequences of one seed.
  init(_ options: SamplingOptions, sequence: Int) {
    self.options = options
    random = Philox(seed: options.seed, purpose: "generation", index: UInt64(sequence))
  }

  /// The next token.
  ///
  /// - Parameter logits: `count` of them; written over.
  /// - Throws: `GLTAError.diverged` where the best of them is no finite number.
  mutating func next(_ logits: UnsafeMutablePointer<Float>, count: Int) throws(GLTAError) -> Int32 {
    var best = 0
    for token in 1..<max(count, 1) where logits[token] > logits[best] { best = token }
    guard logits[best].isFinite else {
      throw GLTAError(.diverged, "the logits of a step are no finite numbers", hint: "the weights may be damaged")
    }
    defer { step += 1 }
    guard options.temperature > 0 else { return Int32(best) }
    Softmax.forward(rows: 1, columns: count, x: logits, stride: count, scale: 1 / options.temperature)
    let uniform = Float(random.words(at: step).x >> 8) * 0x1p-24
    if options.topK == nil, options.topP == 1 { return draw(uniform, logits, count: count, best: best) }
    choose(logits, count: count, highest: logits[best])
    let mass = candidates.reduce(0) { $0 + $1.probability }
    var rest = uniform * mass
    for candidate in candidates {
      rest -= candidate.probability
      if rest < 0 { return candidate.token }
    }
    return candidates[candidates.count - 1].token
  }

  private func draw(_ uniform: Float, _ probabilities: UnsafePointer<Float>, count: Int, best: Int) -> Int32 {
    var rest = uniform
    for token in 0..<count {
      rest -= probabilities[token]
      if rest < 0 { return Int32(token) }
    }
    return Int32(best)
  }

  /// Leaves in `candidates` the tokens to draw from, best first.
  private mutating func choose(_ probabilities: UnsafePointer<Float>, count: Int, highest: Float) {
    // All tokens above a bound, which falls until there are enough: sorting a whole vocabulary would take longer than
    // the model.
    let most = min(options.topK ?? count, count)
    var bound = highest / 16
    while true {
      candidates.removeAll(keepingCapacity: true)
      var mass: Float = 0
      for token in 0..<count where probabilities[token] >= bound {
        candidates.append(Candidate(token: Int32(token), probability: probabilities[token]))
        mass += probabilities[token]
      }
      let isEnough = options.topK == nil ? mass >= options.topP : candidates.count >= most
      if isEnough || bound == 0 { break }
      bound = bound < 1e-30 ? 0 : bound / 256
    }
    candidates.sort { ($0.probability, $1.token) > ($1.probability, $0.token) }
    if candidates.count > most { candidates.removeSubrange(most...) }
    guard options.topP < 1 else { return }
    let enough = options.topP * (options.topK == nil ? 1 : candidates.reduce(0) { $0 + $1.probability })
    var mass: Float = 0
    for (index, candidate) in candidates.enumerated() {
      mass += candidate.probability
      if mass >= enough {
        candidates.removeSubrange((index + 1)...)
        return
      }
    }
  }
}
