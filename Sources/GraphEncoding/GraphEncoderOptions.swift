import RankingEvaluation
public import Tensors

/// What a graph encoder is trained for.
public enum GraphLoss: String, Sendable, Codable, CaseIterable {
  /// One item against one other: `BPRLoss`.
  case bpr
  /// One item against many: `SampledSoftmaxLoss` over the batch's positives and `negatives` uniform ones.
  case sampledSoftmax = "sampled-softmax"
  /// One item against the whole catalogue: `SampledSoftmaxLoss` over all items.
  case softmax
}

/// What a person may choose about the graph encoder.
public struct GraphEncoderOptions: Sendable, Codable, Equatable {
  /// The method; it decides which of the settings below are read.
  public var method = GraphMethod.lightGCN
  /// d, the length of a user's or an item's vector.
  public var dimensions = 64
  /// K, the number of propagations; a vector is the mean of K + 1 layers.
  public var layers = 3
  /// Adam's step size.
  public var learningRate: Float = 0.005
  /// Weight of the L2 term on layer-0 embeddings: l2 / 2 times the squares of a batch's mentions, over its triples.
  public var l2: Float = 1e-3
  /// Triples of one step; 0 = by the number of edges, so that an epoch has about forty steps.
  public var batchSize = 0
  /// Passes over the training edges at most; early stopping may end sooner.
  public var epochs = 200
  /// Epochs between two looks at the validation metric.
  public var evaluateEvery = 5
  /// Looks without a better figure before training stops.
  public var patience = 5
  /// What an epoch leaves of a moving average of the parameters, which is then what is looked at and ranked with; 0 = the
  /// parameters of the last epoch as they are.
  public var averaging: Float = 0
  /// The validation metric, as `MetricReport` names it.
  public var metric = "ndcg@10"
  /// How the positives of an epoch are drawn.
  public var sampling = TripleSampler.Order.shuffledEdges
  /// How the layers of a training step are kept.
  public var precision = LayerPrecision.f32
  /// What is trained for; BPR-MF has BPR in any case.
  public var loss = GraphLoss.bpr
  /// Both softmax losses: scores are divided by it.
  public var temperature: Float = 0.2
  /// Both softmax losses: whether vectors are compared by their cosine, in training and when ranking.
  public var cosine = true
  /// Losses over cosines: when ranking, an item's cosine is multiplied by (1 + its training interactions) to the power of
  /// this. At a low temperature cosines leave popular items too low; on Gowalla 0.05 was best at 0.07.
  public var popularityPower: Float = 0
  /// Sampled softmax: items drawn uniformly for a batch, beside its positives.
  public var negatives = 0
  /// Sampled softmax: whether the positives of a batch are candidates for all its users.
  public var inBatchNegatives = true
  /// Sampled softmax: c, the share of log q that is taken off the scores in training.
  public var popularityCorrection: Float = 0
  /// Both softmax losses, and EASE: a pair counts by its user's number of training items to the power of minus this; 0 =
  /// all pairs alike, so that people with many items decide most; 1 = all users alike, as metrics count them.
  public var userWeighting: Float = 0
  /// Methods that read text, and HCCF: weight of the contrastive or reconstructing term.
  public var alignmentWeight: Float = 0.1
  /// Methods that read text, and HCCF: temperature of that term.
  public var alignmentTemperature: Float = 0.2
  /// HCCF: hyperedges of users and of items.
  public var hyperedges = 128
  /// HCCF: how strongly nodes and hyperedges are joined; with less, the graph's own neighbours count for more.
  public var hyperedgeScale: Float = 1
  /// RLMRec-Gen: the share of a batch's nodes that is masked and reconstructed.
  public var maskedShare: Float = 0.2
  /// RLMRec: where the profiles of users and items come from.
  public var profiles = ProfileSource.tags
  /// EASE: weight of the squares of B.
  public var easeL2 = 500.0
  /// EASE: the probability that an item of the input is missing, as if the closed form were trained with dropout.
  public var easeDropout = 0.0
  /// Text-kNN: neighbours of an item that its text speaks for; 0 = all.
  public var neighbours = 0
  /// Whether items without an edge get a node from their text, `TextNodes`. Needs a language model.
  public var textNodes = false

  /// LightGCN with BPR.
  public init() {}

  /// Checks what no type can.
  ///
  /// - Throws: `GLTAError.invalidArgument` naming the value.
  public func validate() throws(GLTAError) {
    try Setting.require("graph.dimensions", dimensions, in: 1...8_192)
    try Setting.require("graph.layers", layers, in: 0...16)
    try Setting.require("graph.learningRate", learningRate, in: 1e-12...Float.greatestFiniteMagnitude)
    try Setting.require("graph.l2", l2, in: 0...1e6)
    try Setting.require("graph.batchSize", batchSize, in: 0...(1 << 24))
    try Setting.require("graph.epochs", epochs, in: 1...1_000_000)
    try Setting.require("graph.evaluateEvery", evaluateEvery, in: 1...1_000_000)
    try Setting.require("graph.averaging", averaging, in: 0...0.9999)
    try Setting.require("graph.patience", patience, in: 1...1_000_000)
    try Setting.require("graph.temperature", temperature, in: 1e-3...1e3)
    try Setting.require("graph.negatives", negatives, in: 0...(1 << 24))
    try Setting.require("graph.popularityCorrection", popularityCorrection, in: 0...1)
    try Setting.require("graph.popularityPower", popularityPower, in: 0...1)
    try Setting.require("graph.userWeighting", userWeighting, in: 0...1)
    try Setting.require("graph.alignmentWeight", alignmentWeight, in: 0...1e6)
    try Setting.require("graph.alignmentTemperature", alignmentTemperature, in: 1e-3...1e3)
    try Setting.require("graph.hyperedges", hyperedges, in: 1...8_192)
    try Setting.require("graph.hyperedgeScale", hyperedgeScale, in: 0...100)
    try Setting.require("graph.neighbours", neighbours, in: 0...(1 << 24))
    try Setting.require("graph.maskedShare", maskedShare, in: 0...1)
    if loss == .sampledSoftmax && negatives == 0 && !inBatchNegatives {
      throw GLTAError(
        .invalidArgument, "graph.loss is sampled-softmax, but graph.negatives is 0 and graph.inBatchNegatives is false",
        hint: "set one of them, or take the loss softmax, which reads the whole catalogue")
    }
    guard MetricReport.names.contains(metric) else {
      throw GLTAError(
        .invalidArgument, "graph.metric is \(metric), which does not exist",
        hint: "known are: " + MetricReport.names.joined(separator: ", "))
    }
  }

  func batchSize(edges: Int) -> Int {
    batchSize > 0 ? batchSize : min(32_768, max(2_048, (edges / 40 + 255) / 256 * 256))
  }

  /// Whether text embeddings of the items are needed.
  public var readsText: Bool { method.readsText || (textNodes && method.givesVectors) }

  /// What items rank with beside their direction.
  var itemLengths: ItemLengths { encoderLoss != .bpr && cosine ? .popularity(power: popularityPower) : .learned }
}
