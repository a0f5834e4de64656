public import Interactions
import Tensors

/// Draws the triples of an epoch: positives as `Order` says, each with a negative drawn uniformly from the items that
/// its user does not have. A function of (seed, epoch, position).
public struct TripleSampler: Sendable {
  /// How positives are drawn.
  public enum Order: String, Sendable, Codable, CaseIterable {
    /// Every training edge once, in random order.
    case shuffledEdges
    /// As many as there are edges: a user uniformly, then one of the user's items, as LightGCN's code samples.
    case uniformUsers
    /// Every training edge once, user after user in random order: a batch holds all items of its users.
    case wholeUsers
  }

  private let train: CSRMatrix
  private let order: Order
  private let seed: UInt64
  private let drawsNegatives: Bool
  private let userOfEdge: [Int32]
  private let activeUsers: [Int32]

  /// A sampler over training interactions, users x items. A user who has every item has no negative and no triples.
  ///
  /// - Parameter drawsNegatives: whether triples get a negative; without, it is -1.
  public init(train: CSRMatrix, order: Order, seed: UInt64, drawsNegatives: Bool = true) {
    self.train = train
    self.drawsNegatives = drawsNegatives
    self.order = order
    self.seed = seed
    var userOfEdge: [Int32] = []
    userOfEdge.reserveCapacity(train.count)
    for user in 0..<train.rows { userOfEdge += repeatElement(Int32(user), count: train.degree(user)) }
    self.userOfEdge = userOfEdge
    // Somebody who has every item has no negative.
    activeUsers = (0..<train.rows).filter { (1..<train.columns).contains(train.degree($0)) }.map(Int32.init)
  }

  /// The triples of an epoch, counted from zero; the same whenever they are asked for.
  public func triples(epoch: Int) -> [Triple] {
    guard !activeUsers.isEmpty else { return [] }
    var random = Philox(seed: seed, purpose: "bpr triples", index: UInt64(epoch)).sequence()
    var triples: [Triple] = []
    triples.reserveCapacity(train.count)
    switch order {
    case .shuffledEdges:
      var edges = Array(0..<train.count)
      random.shuffle(&edges)
      for edge in edges where train.degree(Int(userOfEdge[edge])) < train.columns {
        triples.append(triple(userOfEdge[edge], train.indices[edge], &random))
      }
    case .uniformUsers:
      for _ in 0..<train.count {
        let user = activeUsers[random.index(below: activeUsers.count)]
        let row = train[Int(user)]
        triples.append(triple(user, row[row.startIndex + random.index(below: row.count)], &random))
      }
    case .wholeUsers:
      var users = activeUsers
      random.shuffle(&users)
      for user in users { for item in train[Int(user)] { triples.append(triple(user, item, &random)) } }
    }
    return triples
  }

  private func triple(_ user: Int32, _ positive: Int32, _ random: inout Philox.Sequence) -> Triple {
    guard drawsNegatives else { return Triple(user: user, positive: positive, negative: -1) }
    while true {
      let item = Int32(random.index(below: train.columns))
      if !train.contains(row: Int(user), column: item) { return Triple(user: user, positive: positive, negative: item) }
    }
  }
}
