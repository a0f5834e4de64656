/// The ways to rank items for users by who used what, each a choice of `glta train --method`. `GraphEncoding.docc`
/// has a page on each.
public enum GraphMethod: String, Sendable, Codable, CaseIterable {
  /// How many people have an item.
  case popularity
  /// Matrix factorisation: LightGCN without layers.
  case bprMF = "bpr-mf"
  /// Item-to-item weights in closed form: `EASE`.
  case ease
  /// Likeness of texts: `TextNeighbours`.
  case textKNN = "text-knn"
  /// Neighbour averages of embeddings: `LightGCN`.
  case lightGCN = "lightgcn"
  /// LightGCN beside a learned hypergraph.
  case hccf
  /// LightGCN with item vectors drawn to their texts.
  case lightGCNPlus = "lightgcn+"
  /// HCCF with item vectors drawn to their texts.
  case hccfPlus = "hccf+"
  /// LightGCN with user and item vectors drawn to their profiles.
  case rlmRecCon = "rlmrec-con"
  /// LightGCN whose masked nodes have to give their profiles back.
  case rlmRecGen = "rlmrec-gen"

  /// Whether the method reads text embeddings of the items.
  public var readsText: Bool {
    switch self {
    case .textKNN, .lightGCNPlus, .hccfPlus, .rlmRecCon, .rlmRecGen: true
    case .popularity, .bprMF, .ease, .lightGCN, .hccf: false
    }
  }

  /// Whether the method aligns users and items with their profiles.
  public var readsProfiles: Bool { self == .rlmRecCon || self == .rlmRecGen }

  /// Whether the method gives users and items vectors, which a bundle is made of; the others only rank.
  public var givesVectors: Bool {
    switch self {
    case .popularity, .ease, .textKNN: false
    case .bprMF, .lightGCN, .hccf, .lightGCNPlus, .hccfPlus, .rlmRecCon, .rlmRecGen: true
    }
  }

  var isHypergraph: Bool { self == .hccf || self == .hccfPlus }
}
