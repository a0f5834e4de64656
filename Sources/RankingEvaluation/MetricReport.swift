import Foundation
public import Interactions

/// Means of all metrics at 5, 10 and 20 over the users that have a relevant item.
public struct MetricReport: Sendable, Equatable, Codable {
  /// Users that have a relevant item.
  public var users: Int
  /// Means over the users by name: "precision", "recall", "ndcg", "hit" and "mrr", each "@5", "@10" and "@20".
  public var metrics: [String: Double]

  /// The ranks that metrics look at.
  public static let cutoffs = [5, 10, 20]
  /// The longest ranking that a report needs.
  public static let depth = 20

  /// The names of all metrics.
  public static let names = ["precision", "recall", "ndcg", "hit", "mrr"].flatMap { metric in
    cutoffs.map { "\(metric)@\($0)" }
  }

  /// A report that is known already.
  public init(users: Int, metrics: [String: Double]) {
    self.users = users
    self.metrics = metrics
  }

  /// The metrics of rankings against the relevant items.
  ///
  /// - Parameters:
  ///   - users: dense indices, rows of `relevant`.
  ///   - rankings: one list for each of `users`, best first, at least 20 long where there are as many candidates.
  ///   - relevant: users x items; rows without items do not count.
  public init(users: [Int], rankings: [[Int32]], relevant: CSRMatrix) {
    precondition(users.count == rankings.count)
    var sums: [String: Double] = [:]
    var counted = 0
    for (user, ranking) in zip(users, rankings) where relevant.degree(user) > 0 {
      counted += 1
      let hits = ranking.prefix(MetricReport.depth).map { relevant.contains(row: user, column: $0) }
      let total = relevant.degree(user)
      for k in MetricReport.cutoffs {
        sums["precision@\(k)", default: 0] += RankingMetrics.precision(hits: hits, at: k)
        sums["recall@\(k)", default: 0] += RankingMetrics.recall(hits: hits, relevant: total, at: k)
        sums["ndcg@\(k)", default: 0] += RankingMetrics.ndcg(hits: hits, relevant: total, at: k)
        sums["hit@\(k)", default: 0] += RankingMetrics.hitRate(hits: hits, at: k)
        sums["mrr@\(k)", default: 0] += RankingMetrics.reciprocalRank(hits: hits, at: k)
      }
    }
    self.users = counted
    metrics = sums.mapValues { $0 / Double(max(1, counted)) }
  }

  /// One metric by name; 0 where no user counted.
  public subscript(name: String) -> Double { metrics[name] ?? 0 }

  /// Reports side by side as a table for people: a line for each metric, a column for each report, four decimals.
  public static func table(_ columns: [(name: String, report: MetricReport)]) -> String {
    let width = max(11, (columns.map(\.name.count).max() ?? 0) + 1)
    func padded(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    var lines = [String(repeating: " ", count: 13) + columns.map { padded($0.name, width) }.joined()]
    for metric in ["precision", "recall", "ndcg", "hit", "mrr"] {
      for k in cutoffs {
        let name = "\(metric)@\(k)"
        let cells = columns.map { padded(String(format: "%.4f", $0.report[name]), width) }
        lines.append(name.padding(toLength: 13, withPad: " ", startingAt: 0) + cells.joined())
      }
    }
    return lines.joined(separator: "\n")
  }
}

/// log2 by the system's mathematics library.
func log2Of(_ value: Double) -> Double { log2(value) }
