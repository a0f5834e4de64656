import Tensors

/// The shape of a Llama-class decoder: Llama 2 and 3, SmolLM2, Mistral, Qwen2, Qwen2.5 and Qwen3 differ in these fields
/// only.
public struct DecoderConfiguration: Sendable, Equatable {
  /// `model_type`, as "llama": for messages and reports; the fields below decide.
  public var architecture: String
  /// Rows of the token embeddings and of the head.
  public var vocabularySize: Int
  /// Columns of the token embeddings and of the hidden states.
  public var hiddenSize: Int
  /// Transformer blocks.
  public var layerCount: Int
  /// Heads of queries in a layer.
  public var headCount: Int
  /// Heads of keys and values; `headCount` is a multiple of it.
  public var keyHeadCount: Int
  /// Columns of a head, an even number.
  public var headColumns: Int
  /// Columns of the gated feed-forward block.
  public var intermediateSize: Int
  /// Positions that the model was made for, before any stretching by `rotaryScaling`.
  public var maximumPositions: Int
  /// Added to the mean of squares in RMS norms.
  public var normEpsilon: Float
  /// The base of the rotary angles: `rope_theta`.
  public var rotaryBase: Double
  /// How the angles are stretched.
  public var rotaryScaling: RotaryScaling
  /// Whether the head that gives logits is the table of token embeddings.
  public var tiesEmbeddings: Bool
  /// Whether the projections to queries, keys and values have a bias.
  public var hasQueryKeyValueBias: Bool
  /// Whether the projection of the heads' results has a bias.
  public var hasAttentionOutputBias: Bool
  /// Whether the feed-forward block's projections have biases.
  public var hasFeedForwardBias: Bool
  /// Whether queries and keys are normalised head by head, as in Qwen3.
  public var hasQueryKeyNorms: Bool
  /// Positions that a position sees in layers from `firstWindowedLayer` on; nil = all before it.
  public var slidingWindow: Int?
  /// The first layer that `slidingWindow` holds for.
  public var firstWindowedLayer: Int

  /// A shape from its numbers; what follows the first seven has the values of Llama 2.
  public init(
    architecture: String = "llama", vocabularySize: Int, hiddenSize: Int, layerCount: Int, headCount: Int,
    keyHeadCount: Int, intermediateSize: Int, headColumns: Int? = nil, maximumPositions: Int = 4096,
    normEpsilon: Float = 1e-5, rotaryBase: Double = 10_000, rotaryScaling: RotaryScaling = .none,
    tiesEmbeddings: Bool = false, hasQueryKeyValueBias: Bool = false, hasAttentionOutputBias: Bool = false,
    hasFeedForwardBias: Bool = false, hasQueryKeyNorms: Bool = false, slidingWindow: Int? = nil,
    firstWindowedLayer: Int = 0
  ) {
    self.architecture = architecture
    self.vocabularySize = vocabularySize
    self.hiddenSize = hiddenSize
    self.layerCount = layerCount
    self.headCount = headCount
    self.keyHeadCount = keyHeadCount
    self.headColumns = headColumns ?? (headCount > 0 ? hiddenSize / headCount : 0)
    self.intermediateSize = intermediateSize
    self.maximumPositions = maximumPositions
    self.normEpsilon = normEpsilon
    self.rotaryBase = rotaryBase
    self.rotaryScaling = rotaryScaling
    self.tiesEmbeddings = tiesEmbeddings
    self.hasQueryKeyValueBias = hasQueryKeyValueBias
    self.hasAttentionOutputBias = hasAttentionOutputBias
    self.hasFeedForwardBias = hasFeedForwardBias
    self.hasQueryKeyNorms = hasQueryKeyNorms
    self.slidingWindow = slidingWindow
    self.firstWindowedLayer = firstWindowedLayer
  }

  /// Columns of all heads of queries.
  public var queryColumns: Int { headCount * headColumns }
  /// Columns of all heads of keys, and of all heads of values.
  public var keyColumns: Int { keyHeadCount * headColumns }

  /// The longest sequence, in tokens: what the model was made for, or what its angles are stretched to.
  public var maximumLength: Int {
    switch rotaryScaling {
    case .none, .linear, .llama3, .divisors: maximumPositions
    case .dynamic(let factor): max(maximumPositions, Int(factor * Double(maximumPositions)))
    case .yarn(let yarn): max(maximumPositions, Int(yarn.factor * Double(yarn.originalPositions)))
    }
  }

  /// Positions that a position sees in a layer; nil = all before it.
  func window(ofLayer layer: Int) -> Int? { layer < firstWindowedLayer ? nil : slidingWindow }

  /// Makes sure that the numbers describe a decoder and keep products of sizes clear of overflow.
  ///
  /// - Parameter path: where they come from, for messages.
  /// - Throws: `GLTAError.invalidFile` naming the first that does not.
  func validate(path: String) throws(GLTAError) {
    func require(_ name: String, _ value: Int, in range: ClosedRange<Int>) throws(GLTAError) {
      guard range.contains(value) else {
        throw GLTAError(
          .invalidFile,
          "\(path): \(name) is \(value), expected a whole number from \(range.lowerBound) to "
            + "\(range.upperBound)")
      }
    }
    try require("the vocabulary's size", vocabularySize, in: 1...1 << 24)
    try require("the hidden size", hiddenSize, in: 1...1 << 20)
    try require("the number of layers", layerCount, in: 1...1 << 12)
    try require("the number of heads", headCount, in: 1...1 << 16)
    try require("the number of key and value heads", keyHeadCount, in: 1...1 << 16)
    try require("the size of a head", headColumns, in: 2...1 << 12)
    try require("the feed-forward block's size", intermediateSize, in: 1...1 << 20)
    try require("the number of positions", maximumPositions, in: 1...1 << 24)
    try require("the sliding window", slidingWindow ?? 1, in: 1...1 << 24)
    func broken(_ what: String) -> GLTAError { GLTAError(.invalidFile, "\(path): \(what)") }
    guard headCount % keyHeadCount == 0 else {
      throw broken("\(headCount) heads do not share \(keyHeadCount) heads of keys and values evenly")
    }
    guard headColumns % 2 == 0 else {
      throw broken("a head has \(headColumns) columns, rotary positions need an even number")
    }
    guard normEpsilon >= 0, normEpsilon < 1 else {
      throw broken("the norms' epsilon is \(normEpsilon), expected 0 to 1")
    }
    guard rotaryBase.isFinite, rotaryBase > 1 else {
      throw broken("the base of rotary positions is \(rotaryBase), expected a number above 1")
    }
    try rotaryScaling.validate(path: path)
    if case .divisors(let divisors) = rotaryScaling, divisors.count != headColumns / 2 {
      throw broken("\(divisors.count) divisors of angles for heads of \(headColumns) columns")
    }
  }
}

extension RotaryScaling {
  /// - Throws: `GLTAError.invalidFile` for numbers from which no angles can be made.
  fileprivate func validate(path: String) throws(GLTAError) {
    func require(_ isRight: Bool, _ what: String) throws(GLTAError) {
      guard isRight else { throw GLTAError(.invalidFile, "\(path): rotary scaling: \(what)") }
    }
    func requireFactor(_ factor: Double) throws(GLTAError) {
      try require(factor >= 1 && factor <= 65_536, "factor is \(factor), expected 1 to 65536")
    }
    switch self {
    case .none: break
    case .linear(let factor), .dynamic(let factor): try requireFactor(factor)
    case .llama3(let factor, let low, let high, let original):
      try requireFactor(factor)
      try require(
        low > 0 && low < high && high.isFinite,
        "low_freq_factor \(low) and high_freq_factor \(high) are not two ascending positive numbers")
      try require(
        (1...1 << 24).contains(original), "original_max_position_embeddings is \(original), expected 1 to \(1 << 24)")
    case .divisors(let divisors):
      try require(
        divisors.allSatisfy { $0 >= 1e-3 && $0 <= 65_536 }, "a divisor is not a positive number up to 65536")
    case .yarn(let yarn):
      try requireFactor(yarn.factor)
      try require(
        (1...1 << 24).contains(yarn.originalPositions),
        "original_max_position_embeddings is \(yarn.originalPositions), expected 1 to \(1 << 24)")
      try require(
        yarn.slowTurns > 0 && yarn.slowTurns <= yarn.fastTurns && yarn.fastTurns.isFinite,
        "beta_slow \(yarn.slowTurns) and beta_fast \(yarn.fastTurns) are not two ascending positive numbers")
      try require(
        yarn.attentionFactor > 0 && yarn.attentionFactor < 1024,
        "attention_factor is \(yarn.attentionFactor), expected a positive number")
    }
  }
}
