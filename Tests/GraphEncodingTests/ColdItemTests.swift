import GraphEncoding
import Interactions
import RankingEvaluation
import Tensors
import TestSupport
import Testing

struct ColdItemTests {
  /// Scores that are known, the same for everybody.
  private struct Fixed: PreferenceModel {
    let scores: [Float]
    var itemCount: Int { scores.count }

    func score(users: ArraySlice<Int>, into matrix: Matrix) {
      for row in 0..<matrix.rows { for item in 0..<itemCount { matrix[row, item] = scores[item] } }
    }
  }

  /// Items 3, 4 and 5 are withheld; the second user has none of them.
  private static let split = InteractionSplit(
    train: CSRMatrix(rowLists: [[0], [0, 1], [1, 2]], columns: 6),
    validation: CSRMatrix(rowLists: [[1], [], []], columns: 6),
    test: CSRMatrix(rowLists: [[4], [], [3, 5]], columns: 6))

  @Test func ranksTheWithheldAloneAndAmongAll() {
    let report = ColdItemReport(Fixed(scores: [9, 9, 9, 1, 3, 2]), split: Self.split, pool: ThreadPool(threads: 2))
    #expect(report.users == 2 && report.items == 3)
    #expect(report.amongWithheld["recall@20"] == 1)
    // Item 4 is first for the first user; 5 and 3 are second and third for the other.
    let second = RankingMetrics.ndcg(hits: [false, true, true], relevant: 2, at: 10)
    #expect(abs((report.amongWithheld["ndcg@10"] ?? 0) - (1 + second) / 2) < 1e-12)
    #expect(report.amongAll == ["recall@20": 1, "recall@100": 1])
  }

  /// The expectation against the mean over many random rankings, on a catalogue larger than the cutoffs.
  @Test func chanceIsTheMeanOfRandomRankings() {
    let items = 150
    let isCold = { (item: Int32) in item % 5 == 0 }
    let split = InteractionSplit(
      train: CSRMatrix(rowLists: [[1, 2, 3], [4, 6]], columns: items),
      validation: CSRMatrix(rowLists: [[7], []], columns: items),
      test: CSRMatrix(rowLists: [(0..<Int32(items)).filter(isCold), [10, 20]], columns: items))
    let expected = ColdItemReport.chance(split)
    var (recall, ndcg, all): (Double, Double, Double) = (0, 0, 0)
    let rounds = 2_000
    var random = Philox(seed: 3, purpose: "chance").sequence()
    for _ in 0..<rounds {
      let model = Fixed(scores: (0..<items).map { _ in random.uniform() })
      let report = ColdItemReport(model, split: split, pool: .serial)
      recall += (report.amongWithheld["recall@20"] ?? 0) / Double(rounds)
      ndcg += (report.amongWithheld["ndcg@10"] ?? 0) / Double(rounds)
      all += (report.amongAll["recall@100"] ?? 0) / Double(rounds)
    }
    #expect(abs(recall - (expected.amongWithheld["recall@20"] ?? 0)) < 0.02)
    #expect(abs(ndcg - (expected.amongWithheld["ndcg@10"] ?? 0)) < 0.02)
    #expect(abs(all - (expected.amongAll["recall@100"] ?? 0)) < 0.02)
    #expect(expected.items == 30 && expected.users == 2)
  }

  /// Planted: genres decide who likes what, and texts tell genres with much noise.
  @Test func nodesFromTextRankWithheldItemsNotWorseThanTextNeighbours() throws {
    let dataset = SyntheticDataset.generate(users: 300, items: 240)
    let split = try Splitter.split(dataset, method: .coldItems(share: 0.15, seed: 2))
    let text = randomMatrix(dataset.catalogue.count, 24, seed: 4)
    let genres = Set(dataset.catalogue.categories.flatMap { $0 }).sorted()
    for item in 0..<dataset.catalogue.count {
      Accumulate.scale(24, text.row(item), by: 0.4)
      for genre in dataset.catalogue.categories[item] {
        if let index = genres.firstIndex(of: genre) { text[item, index % 24] += 1 }
      }
      let length = Accumulate.squares(24, text.row(item)).squareRoot()
      Accumulate.scale(24, text.row(item), by: 1 / length)
    }
    var options = GraphEncoderOptions()
    (options.dimensions, options.layers, options.epochs, options.evaluateEvery) = (16, 2, 30, 10)
    (options.loss, options.batchSize) = (.softmax, 1_024)
    let pool = ThreadPool(threads: 2)
    let graph = try GraphEncoderTrainer(options: options, split: split, seed: 1, pool: pool)
      .train(checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    let nodes = try TextNodes(graph: graph, text: text, train: split.train, pool: pool)
      .completing(graph, text: text, train: split.train)
    let report = ColdItemReport(nodes, split: split, pool: pool)
    let neighbours = ColdItemReport(
      TextNeighbours(train: split.train, text: text), split: split, pool: pool)
    let chance = ColdItemReport.chance(split)
    func ndcg(_ report: ColdItemReport) -> Double { report.amongWithheld["ndcg@10"] ?? 0 }
    #expect(ndcg(report) > 1.3 * ndcg(chance))
    #expect(ndcg(report) >= ndcg(neighbours))
    #expect((report.amongAll["recall@20"] ?? 0) > 0)
  }
}
