/// What a person may choose about the graph encoder.
public struct GraphEncoderOptions: Sendable, Codable, Equatable {
  /// d.
  public var dimensions = 64
  /// K.
  public var layers = 3
  public var learningRate: Float = 0.005
  /// Weight of the L2 term on layer-0 embeddings.
  public var l2: Float = 1e-4
  /// Triples of one step; 0 = by the number of edges, so that an epoch has about forty steps.
  public var batchSize = 0
  public var epochs = 200
  /// Epochs between two looks at validation NDCG@10.
  public var evaluateEvery = 5
  /// Looks without a better figure before training stops.
  public var patience = 5
  public var sampling = TripleSampler.Order.shuffledEdges

  public init() {}

  func batchSize(edges: Int) -> Int {
    batchSize > 0 ? batchSize : min(32_768, max(2_048, (edges / 40 + 255) / 256 * 256))
  }
}
