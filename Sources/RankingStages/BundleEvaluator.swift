import Bundles
import GraphEncoding
public import Interactions
public import LogitsMatching
import RankingEvaluation
public import Tensors

/// The metrics of a bundle, with those of the graph alone and of popularity beside.
public struct EvaluationReport: Sendable, Codable, Equatable {
  /// Users with held-out items.
  public var users: Int
  /// The bundle's own metrics, by name.
  public var metrics: [String: Double]
  /// The same metrics of the graph's ranking alone, by name.
  public var graph: [String: Double]
  /// The same metrics of a ranking by popularity, by name.
  public var popularity: [String: Double]

  /// The three side by side.
  public var table: String {
    func report(_ metrics: [String: Double]) -> MetricReport { MetricReport(users: users, metrics: metrics) }
    return MetricReport.table([
      ("GLTA", report(metrics)), ("graph", report(graph)), ("popularity", report(popularity)),
    ])
  }
}

/// The best items of a user beside what was to be found, all by their ids: what other programs compute metrics from.
public struct UserRanking: Sendable, Codable, Equatable {
  /// The user's id.
  public var user: String
  /// The ids of the items, best first, at most 20.
  public var items: [String]
  /// The ids of the user's held-out items.
  public var relevant: [String]
}

/// Ranks held-out items for all users through the serving stages.
public struct BundleEvaluator: Sendable {
  private let recommender: Recommender
  private let pool: ThreadPool

  /// Ranks with the stages of `recommender`; the pool shares out the work.
  public init(recommender: Recommender, pool: ThreadPool) {
    self.recommender = recommender
    self.pool = pool
  }

  /// The report of a split. A user's training items, and for the test split validation items, do not compete.
  ///
  /// - Parameters:
  ///   - part: validation or test.
  ///   - candidates: rank this many by prior; nil = all items, whatever the catalogue's size.
  /// - Returns: the report, and what it is made from: the rankings of all users that have something to be found.
  /// - Throws: what the stages throw.
  public func evaluate(
    _ part: SplitPart, mode: PredictionMode = .slots, candidates: Int? = nil,
    progress: ProgressHandler = { _ in true }
  ) throws(GLTAError) -> (report: EvaluationReport, rankings: [UserRanking]) {
    let split = recommender.bundle.split
    let relevant = part == .test ? split.test : split.validation
    let excluded = part == .test ? [split.train, split.validation] : [split.train]
    let users = (0..<relevant.rows).filter { relevant.degree($0) > 0 }
    guard !users.isEmpty else {
      throw GLTAError(
        .invalidArgument, "no user has an item in the \(part) split; there is nothing to evaluate",
        hint: "users need enough items for the split that the bundle was trained with")
    }
    let rankings = try rank(users, part, mode: mode, candidates: candidates) { done in
      progress(
        TrainingProgress(stage: "ranking", epoch: 1, epochs: 1, step: done, steps: users.count, loss: .nan))
    }
    let report = MetricReport(users: users, rankings: rankings, relevant: relevant)
    let graph = recommender.bundle.graph.rank(users: users, excluding: excluded, pool: pool)
    let popularity = FullRanking.popularity(users: users, train: split.train, excluding: excluded, pool: pool)
    return (
      EvaluationReport(
        users: report.users, metrics: report.metrics,
        graph: MetricReport(users: users, rankings: graph, relevant: relevant).metrics,
        popularity: MetricReport(users: users, rankings: popularity, relevant: relevant).metrics),
      zip(users, rankings).map { user, items in
        let ids = recommender.bundle.catalogue.ids
        return UserRanking(
          user: recommender.bundle.userIDs[user], items: items.map { ids[Int($0)] },
          relevant: relevant[user].map { ids[Int($0)] })
      }
    )
  }

  /// NDCG@10 on the validation items of some users; nil for none.
  public func validationNDCG(users: [Int]) throws(GLTAError) -> Double? {
    guard !users.isEmpty else { return nil }
    let rankings = try rank(users, .validation, mode: .slots, candidates: nil) { _ in true }
    return MetricReport(users: users, rankings: rankings, relevant: recommender.bundle.split.validation)["ndcg@10"]
  }

  private func rank(
    _ users: [Int], _ part: SplitPart, mode: PredictionMode, candidates: Int?, progress: (Int) -> Bool
  ) throws(GLTAError) -> [[Int32]] {
    let split = recommender.bundle.split
    let items = recommender.bundle.catalogue.count
    let requests = users.map { user in
      // Somebody with nearly everything has fewer than 20 items left.
      let known = split.train.degree(user) + (part == .test ? split.validation.degree(user) : 0)
      let count = min(MetricReport.depth, items - known, candidates ?? items)
      return RankingRequest(
        subject: .user(user), count: count, mode: mode, candidates: candidates.map { .best($0) } ?? .best(items),
        exclusion: part == .test ? .trainAndValidation : .train)
    }
    return try recommender.rank(requests, pool: pool, progress: progress).map { $0.map(\.item) }
  }
}
