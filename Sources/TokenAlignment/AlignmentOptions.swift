public import LogitsMatching

/// Everything that a person may choose about alignment. Kept in the bundle: serving needs the same prompt.
public struct AlignmentOptions: Sendable, Codable, Equatable {
  /// The GLLM head.
  public var head = HeadKind.tied
  /// Answer slots of a user's instruction: the paper's k.
  public var slots = 10
  /// Item tokens of a user's instruction at most; the graph's favourites among the user's items stay.
  public var historyLength = 24
  /// Items of one item-alignment instruction.
  public var itemsPerInstruction = 8
  /// Words of an item's text that are read, title first.
  public var wordsPerItem = 20
  /// Profile tags of a user's instruction; zero leaves them out.
  public var profileTags = 6
  /// Prediction tags of a user's instruction; zero leaves them out.
  public var predictionTags = 6
  /// The part of each user's training items that alignment predicts; the rest is visible to the prompt.
  public var targetShare = 0.25
  /// Weight of the InfoNCE term between item tokens and text embeddings in stage 2; the paper has none.
  public var contrastiveWeight: Float = 1
  /// Its temperature.
  public var contrastiveTemperature: Float = 0.1
  /// Instructions of one optimiser step.
  public var batchSize = 16
  /// Passes over the items in stage 2. Zero leaves the stage out.
  public var itemEpochs = 6
  public var itemLearningRate: Float = 1e-3
  /// Passes over the users in stage 3 at most. Zero leaves the stage out.
  public var userEpochs = 6
  public var userLearningRate: Float = 5e-4
  /// Stage 3 stops after this many epochs without a better validation NDCG@10.
  public var patience = 2
  /// The largest norm of a step's gradients, all parameters together.
  public var gradientNorm: Float = 1
  /// Bytes of activations that one step may keep; beyond, they are computed again on the way back.
  public var activationBytes = 1 << 30

  public init() {}
}
