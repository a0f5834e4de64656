/// The ways to make user and item vectors out of a graph, each a choice of `glta train --method`.
public enum GraphMethod: String, Sendable, Codable, CaseIterable {
  /// How many people have an item.
  case popularity
  /// Matrix factorisation: LightGCN without layers.
  case bprMF = "bpr-mf"
  /// Neighbour averages of embeddings.
  case lightGCN = "lightgcn"
}
