public import GLTP

/// Items, best first.
public struct Ranking: Sendable, Equatable {
  /// The items' ids.
  public var ids: [String]
  /// Their scores, as many.
  public var scores: [Float]
  /// Their titles, where they were asked for.
  public var titles: [String]?
  /// Candidates that have been taken into account.
  public var itemsSeen: Int
  /// All candidates; 0 while that is not known.
  public var itemsTotal: Int
  /// Where the time of each stage went; with the final ranking only.
  public var timings: [Stage: RunTiming] = [:]

  /// A ranking without timings; `ids`, `scores` and `titles` have one entry for each item.
  public init(ids: [String], scores: [Float], titles: [String]? = nil, itemsSeen: Int, itemsTotal: Int) {
    self.ids = ids
    self.scores = scores
    self.titles = titles
    self.itemsSeen = itemsSeen
    self.itemsTotal = itemsTotal
  }

  init(_ snapshot: RankingSnapshot) {
    self.init(
      ids: snapshot.items.strings, scores: snapshot.scores.array(), titles: snapshot.titles?.strings,
      itemsSeen: Int(snapshot.itemsSeen), itemsTotal: Int(snapshot.itemsTotal))
  }
}

/// A ranking that replaces the one before it.
public struct RankingUpdate: Sendable, Equatable {
  /// Complete in itself.
  public var ranking: Ranking
  /// Whether it is by prior alone, before the language model had its say.
  public var isProvisional: Bool
  /// Whether it is the last word. Exactly the last element of a sequence that ends without an error is final.
  public var isFinal: Bool

  /// A ranking and how far it has come.
  public init(ranking: Ranking, isProvisional: Bool, isFinal: Bool) {
    self.ranking = ranking
    self.isProvisional = isProvisional
    self.isFinal = isFinal
  }
}

/// How far a request came that has no final ranking.
public struct RequestFailure: Sendable, Equatable {
  /// Where a request was when it failed.
  public enum State: String, Sendable, Hashable {
    /// No gateway had it yet.
    case connecting
    /// A gateway had it and had not answered.
    case sent
    /// A gateway had begun to answer.
    case streaming
    /// A gateway ended it, with `status`.
    case ended
  }

  /// The name of the request in the mesh's logs.
  public var request: RequestID
  /// How far the request had come.
  public var state: State
  /// The address of the gateway that had it last.
  public var gateway: String?
  /// What the gateway said; DEADLINE and CANCELLED also where the client says so itself.
  public var status: Status?
  /// Each gateway that was tried or waited for, and how it failed.
  public var gateways: [GatewayFailure]
  /// The best ranking so far.
  public var best: Ranking?
  /// Whether that is by prior alone.
  public var isProvisional: Bool
  /// When a gateway would like to be asked again.
  public var retryAfter: Duration?
}
