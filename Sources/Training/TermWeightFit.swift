import Bundles
import Interactions
import LanguageModels
import LogitsMatching
import RankingEvaluation
import RankingStages
import Tensors
import TokenAlignment

/// Chooses the weights of the final score on validation users: graph first, then what each further term adds.
///
/// A term earns its weight. It gets one only where NDCG@10 grows by more than its standard error over the users, so
/// that a small validation set does not hand weights to noise.
struct TermWeightFit {
  /// Weights tried for a term. Prior terms have variance 1; the logits' weights are divided by their own deviation.
  static let grid: [Float] = [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3]
  /// Floats of terms and logits that the fit may hold: users are left out beyond.
  static let maximumFloats = 1 << 28

  /// What is known of one user.
  private struct Case {
    let terms: PriorTerms
    /// slots x |I|.
    let logits: Matrix
    let candidates: [Int32]
    let relevant: Set<Int32>
  }

  private let cases: [Case]
  private let deviation: Float
  private let pool: ThreadPool

  /// - Parameter users: validation users that nothing else was decided on.
  init(
    recommender: Recommender, users: [Int], pool: ThreadPool, progress: (Int) -> Bool
  ) throws(GLTAError) {
    let bundle = recommender.bundle
    let items = bundle.catalogue.count
    let perUser = items * (bundle.manifest.alignment.slots + 3)
    let users = Array(users.prefix(max(1, TermWeightFit.maximumFloats / max(1, perUser))))
    let passes = (0..<pool.threads).map { _ in recommender.ranker.makePass(pool: .serial) }
    var cases = [Case?](repeating: nil, count: users.count)
    let failures = FirstFailure()
    for start in stride(from: 0, to: users.count, by: 64) {
      let end = min(users.count, start + 64)
      cases.withUnsafeMutableBufferPointer { cases in
        pool.forEach(end - start) { index, worker in
          do throws(GLTAError) {
            cases[start + index] = try TermWeightFit.makeCase(
              users[start + index], recommender: recommender, pass: passes[worker])
          } catch { failures.record(error, at: start + index) }
        }
      }
      try failures.rethrow()
      guard progress(end) else { throw .stopped("the fit of weights", after: "\(end) of \(users.count) users") }
    }
    self.cases = cases.compactMap { $0 }
    self.pool = pool
    deviation = TermWeightFit.deviation(of: self.cases.map(\.logits))
  }

  private static func makeCase(
    _ user: Int, recommender: Recommender, pass: any LanguageModelPass
  ) throws(GLTAError) -> Case {
    let bundle = recommender.bundle
    let request = RankingRequest(
      subject: .user(user), count: 1, candidates: .list((0..<Int32(bundle.catalogue.count)).map { $0 }),
      exclusion: .train)
    let encoded = try recommender.encoder.encode(request)
    let prompt = try recommender.aligner.align(encoded.view, items: encoded.items, user: user)
    return Case(
      terms: recommender.encoder.terms(of: .user(user)),
      logits: try recommender.ranker.logits(prompt, pass: pass), candidates: encoded.candidates,
      relevant: Set(bundle.split.validation[user]))
  }

  private static func deviation(of logits: [Matrix]) -> Float {
    var total: Double = 0
    for matrix in logits {
      for slot in 0..<matrix.rows {
        var row = Array(UnsafeBufferPointer(start: matrix.row(slot), count: matrix.columns))
        let mean = row.reduce(0) { $0 + Double($1) } / Double(max(1, row.count))
        for index in row.indices { row[index] -= Float(mean) }
        total += row.reduce(0) { $0 + Double($1) * Double($1) } / Double(max(1, row.count))
      }
    }
    let rows = logits.reduce(0) { $0 + $1.rows }
    return max(1e-6, Float((total / Double(max(1, rows))).squareRoot()))
  }

  /// The weights, and their mean NDCG@10 beside that of the graph alone.
  func fit() -> (weights: BundleManifest.TermWeights, ndcg: Double, graphNDCG: Double) {
    var weights = BundleManifest.TermWeights.graphOnly
    var best = evaluate(weights)
    let graph = mean(best)
    let terms: [WritableKeyPath<BundleManifest.TermWeights, Float>] = [\.text, \.gllm, \.popularity]
    for _ in 0..<2 {
      for term in terms {
        let scale = term == \.gllm ? 1 / deviation : 1
        let trials = TermWeightFit.grid.map { value in
          var trial = weights
          trial[keyPath: term] = value * scale
          return (weights: trial, figures: evaluate(trial))
        }
        // The first of equals: a smaller weight is the simpler score.
        guard let winner = trials.reduce(trials.first, { mean($1.figures) > mean($0?.figures ?? []) ? $1 : $0 }),
          improves(winner.figures, over: best)
        else { continue }
        (weights, best) = winner
      }
    }
    return (weights, mean(best), graph)
  }

  /// NDCG@10 of each user.
  private func evaluate(_ weights: BundleManifest.TermWeights) -> [Double] {
    var figures = [Double](repeating: 0, count: cases.count)
    figures.withUnsafeMutableBufferPointer { figures in
      pool.forEach(cases.count) { index, _ in figures[index] = ndcg(cases[index], weights) }
    }
    return figures
  }

  private func ndcg(_ example: Case, _ weights: BundleManifest.TermWeights) -> Double {
    let prior = example.terms.prior(weights)
    let scores = Matrix(rows: weights.gllm == 0 ? 1 : example.logits.rows, columns: example.candidates.count)
    for slot in 0..<scores.rows {
      let (row, logits) = (scores.row(slot), example.logits.row(slot))
      for (column, item) in example.candidates.enumerated() {
        row[column] = prior[Int(item)].addingProduct(weights.gllm, logits[Int(item)])
      }
    }
    let ranking = Ranking.select(mode: .slots, scores: scores, candidates: example.candidates, count: 10)
    return RankingMetrics.ndcg(
      hits: ranking.map { example.relevant.contains($0.item) }, relevant: example.relevant.count, at: 10)
  }

  private func mean(_ figures: [Double]) -> Double { figures.reduce(0, +) / Double(max(1, figures.count)) }

  /// Whether the mean difference exceeds its standard error.
  private func improves(_ new: [Double], over old: [Double]) -> Bool {
    let differences = zip(new, old).map { $0 - $1 }
    guard differences.count > 1 else { return false }
    let average = mean(differences)
    let squares = differences.reduce(0) { $0 + ($1 - average) * ($1 - average) }
    let variance = squares / Double(differences.count - 1)
    return average > (variance / Double(differences.count)).squareRoot()
  }
}
