public import Tensors

/// What a person may choose about the graph encoder.
public struct GraphEncoderOptions: Sendable, Codable, Equatable {
  /// d, the length of a user's or an item's vector.
  public var dimensions = 64
  /// K, the number of propagations; a vector is the mean of K + 1 layers.
  public var layers = 3
  /// Adam's step size.
  public var learningRate: Float = 0.005
  /// Weight of the L2 term on layer-0 embeddings.
  public var l2: Float = 1e-3
  /// Triples of one step; 0 = by the number of edges, so that an epoch has about forty steps.
  public var batchSize = 0
  /// Passes over the training edges at most; early stopping may end sooner.
  public var epochs = 200
  /// Epochs between two looks at validation NDCG@10.
  public var evaluateEvery = 5
  /// Looks without a better figure before training stops.
  public var patience = 5
  /// How the positives of an epoch are drawn.
  public var sampling = TripleSampler.Order.shuffledEdges

  /// The defaults, which both recipes use.
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
    try Setting.require("graph.patience", patience, in: 1...1_000_000)
  }

  func batchSize(edges: Int) -> Int {
    batchSize > 0 ? batchSize : min(32_768, max(2_048, (edges / 40 + 255) / 256 * 256))
  }
}
