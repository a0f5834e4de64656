public import Interactions
public import RankingEvaluation
public import Tensors

/// What every method ends in: scores of the whole catalogue for users of the graph.
public protocol PreferenceModel: Sendable {
  /// |I|.
  var itemCount: Int { get }

  /// The scores of all items for some users; higher is better. Called from several threads at once.
  ///
  /// - Parameters:
  ///   - users: dense indices.
  ///   - scores: users.count x |I|, zeros before.
  func score(users: ArraySlice<Int>, into scores: Matrix)
}

extension PreferenceModel {
  /// The best items of each user: up to `depth` dense indices, best first.
  ///
  /// - Parameters:
  ///   - wanted: dense indices of users.
  ///   - excluded: users x items matrices whose items are left out.
  public func rank(
    users wanted: [Int], excluding excluded: [CSRMatrix], depth: Int = MetricReport.depth, pool: ThreadPool
  ) -> [[Int32]] {
    FullRanking.rank(users: wanted, items: itemCount, excluding: excluded, depth: depth, pool: pool) { block, scores in
      score(users: block, into: scores)
    }
  }

  /// A metric, such as ndcg@10, of the validation items among all that are not in training; nil where no user has any.
  package func validationMetric(_ name: String, of split: InteractionSplit, pool: ThreadPool) -> Double? {
    let users = (0..<split.validation.rows).filter { split.validation.degree($0) > 0 }
    guard !users.isEmpty else { return nil }
    let rankings = rank(users: users, excluding: [split.train], pool: pool)
    return MetricReport(users: users, rankings: rankings, relevant: split.validation)[name]
  }
}

/// How many people have an item: the same scores for everybody.
public struct Popularity: PreferenceModel {
  private let counts: Matrix

  /// Counts the users of each item in training interactions, users x items.
  public init(train: CSRMatrix) {
    counts = Matrix(rows: 1, columns: train.columns)
    for item in train.indices { counts.base[Int(item)] += 1 }
  }

  /// |I|.
  public var itemCount: Int { counts.columns }

  /// The counts, once for each user.
  public func score(users: ArraySlice<Int>, into scores: Matrix) {
    for row in 0..<scores.rows { scores.slice(row..<row + 1).assign(counts) }
  }
}
