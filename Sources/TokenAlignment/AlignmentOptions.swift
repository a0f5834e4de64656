public import LogitsMatching
public import Tensors

/// Everything that a person may choose about alignment. Kept in the bundle: serving needs the same prompt.
public struct AlignmentOptions: Sendable, Codable, Equatable {
  /// The kind of GLLM head: free as in the paper, or tied to item tokens.
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
  /// Temperature of the InfoNCE term, which cosines are divided by.
  public var contrastiveTemperature: Float = 0.1
  /// Instructions of one optimiser step.
  public var batchSize = 16
  /// Passes over the items in stage 2. Zero leaves the stage out.
  public var itemEpochs = 6
  /// Adam's step size in stage 2; the paper states none.
  public var itemLearningRate: Float = 1e-3
  /// Passes over the users in stage 3 at most. Zero leaves the stage out.
  public var userEpochs = 8
  /// Users of one such pass, drawn anew for each; zero takes all. What is learned is shared by all users, and a model is
  /// validated after so many.
  public var usersPerEpoch = 1_000
  /// Adam's step size in stage 3; the paper states none.
  public var userLearningRate: Float = 5e-4
  /// Stage 3 stops after this many epochs without a better validation NDCG@10.
  public var patience = 2
  /// The largest norm of a step's gradients, all parameters together.
  public var gradientNorm: Float = 1
  /// Bytes that the passes of one step may hold to keep activations; beyond, these are computed again on the way back.
  public var activationBytes = 1 << 30

  /// The settings of the `default` recipe.
  public init() {}

  /// Checks what no type can.
  ///
  /// - Throws: `GLTAError.invalidArgument` naming the value.
  public func validate() throws(GLTAError) {
    try Setting.require("alignment.slots", slots, in: 1...256)
    try Setting.require("alignment.historyLength", historyLength, in: 1...4_096)
    try Setting.require("alignment.itemsPerInstruction", itemsPerInstruction, in: 2...256)
    try Setting.require("alignment.wordsPerItem", wordsPerItem, in: 1...1_024)
    try Setting.require("alignment.profileTags", profileTags, in: 0...256)
    try Setting.require("alignment.predictionTags", predictionTags, in: 0...256)
    try Setting.require("alignment.targetShare", targetShare, in: 0.01...0.99)
    try Setting.require("alignment.contrastiveWeight", contrastiveWeight, in: 0...1e6)
    try Setting.require("alignment.contrastiveTemperature", contrastiveTemperature, in: 1e-4...1e4)
    try Setting.require("alignment.batchSize", batchSize, in: 1...65_536)
    try Setting.require("alignment.itemEpochs", itemEpochs, in: 0...100_000)
    try Setting.require("alignment.userEpochs", userEpochs, in: 0...100_000)
    try Setting.require("alignment.usersPerEpoch", usersPerEpoch, in: 0...(1 << 31))
    try Setting.require("alignment.itemLearningRate", itemLearningRate, in: 1e-12...Float.greatestFiniteMagnitude)
    try Setting.require("alignment.userLearningRate", userLearningRate, in: 1e-12...Float.greatestFiniteMagnitude)
    try Setting.require("alignment.patience", patience, in: 1...100_000)
    try Setting.require("alignment.gradientNorm", gradientNorm, in: 1e-6...1e6)
    try Setting.require("alignment.activationBytes", activationBytes, in: 0...(1 << 48))
  }
}
