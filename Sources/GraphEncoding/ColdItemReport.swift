public import Interactions
import RankingEvaluation
public import Tensors

/// How well items are ranked that nobody has used: those of the test split, which must have no edge elsewhere, as
/// `SplitMethod.coldItems` leaves them.
public struct ColdItemReport: Sendable, Codable, Equatable {
  /// Users who have a withheld item.
  public var users: Int
  /// Withheld items.
  public var items: Int
  /// Means over the users, the withheld items being the only candidates: "recall@20" and "ndcg@10".
  public var amongWithheld: [String: Double]
  /// Means over the users among all items but those of their training and validation: "recall@20" and "recall@100".
  public var amongAll: [String: Double]

  /// The ranks of the two recalls among all items.
  private static let cutoffs = [20, 100]

  /// Ranks by a model.
  public init(_ model: any PreferenceModel, split: InteractionSplit, pool: ThreadPool) {
    let cold = ColdItemReport.isCold(split)
    let wanted = ColdItemReport.users(split)
    users = wanted.count
    items = cold.lazy.filter { $0 }.count
    let among = FullRanking.rank(users: wanted, items: model.itemCount, excluding: [], pool: pool) { block, scores in
      model.score(users: block, into: scores)
      for row in 0..<scores.rows {
        for item in cold.indices where !cold[item] { scores[row, item] = -.infinity }
      }
    }
    let report = MetricReport(users: wanted, rankings: among, relevant: split.test)
    amongWithheld = ["recall@20": report["recall@20"], "ndcg@10": report["ndcg@10"]]
    let all = model.rank(
      users: wanted, excluding: [split.train, split.validation], depth: ColdItemReport.cutoffs.max() ?? 1, pool: pool)
    amongAll = [:]
    for cutoff in ColdItemReport.cutoffs {
      let recalls = zip(wanted, all).map { user, ranking in
        RankingMetrics.recall(
          hits: ranking.map { split.test.contains(row: user, column: $0) }, relevant: split.test.degree(user),
          at: cutoff)
      }
      amongAll["recall@\(cutoff)"] = recalls.reduce(0, +) / Double(max(1, recalls.count))
    }
  }

  /// What rankings by chance are expected to reach: each of n candidates is equally likely at each rank, so recall@k is
  /// k / n, and a rank's share of the discounted gain is that of the relevant items.
  public static func chance(_ split: InteractionSplit) -> ColdItemReport {
    let wanted = users(split)
    let cold = isCold(split).lazy.filter { $0 }.count
    func mean(_ value: (Int) -> Double) -> Double {
      wanted.reduce(0) { $0 + value($1) } / Double(max(1, wanted.count))
    }
    func recall(_ cutoff: Int, _ candidates: Int) -> Double { min(1, Double(cutoff) / Double(max(1, candidates))) }
    func candidates(_ user: Int) -> Int {
      split.test.columns - split.train.degree(user) - split.validation.degree(user)
    }
    var report = ColdItemReport(users: wanted.count, items: cold)
    report.amongWithheld["recall@20"] = recall(20, cold)
    report.amongWithheld["ndcg@10"] = mean { user in
      let relevant = split.test.degree(user)
      let full = [Bool](repeating: true, count: min(10, cold))
      // The gain of ten hits, each worth its chance, over that of a perfect ranking.
      let ideal = RankingMetrics.ndcg(hits: full, relevant: relevant, at: 10)
      return ideal * Double(relevant) / Double(max(1, cold))
    }
    for cutoff in cutoffs { report.amongAll["recall@\(cutoff)"] = mean { recall(cutoff, candidates($0)) } }
    return report
  }

  private init(users: Int, items: Int) { (self.users, self.items, amongWithheld, amongAll) = (users, items, [:], [:]) }

  private static func users(_ split: InteractionSplit) -> [Int] {
    (0..<split.test.rows).filter { split.test.degree($0) > 0 }
  }

  private static func isCold(_ split: InteractionSplit) -> [Bool] {
    var isCold = [Bool](repeating: false, count: split.test.columns)
    for item in split.test.indices { isCold[Int(item)] = true }
    return isCold
  }
}
