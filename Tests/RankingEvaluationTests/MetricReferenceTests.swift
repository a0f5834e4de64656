import Foundation
import Interactions
import RankingEvaluation
import Tensors
import TestSupport
import Testing

/// A fixed ranking of MovieLens-100K, measured by trec_eval (Tests/Golden/metrics_reference.py).
@Suite(.enabled(if: TestPaths.hasData("ml-100k"), "../shared/data/ml-100k is not on this machine"))
struct MetricReferenceTests {
  private struct Reference: Decodable {
    let users: Int
    let metrics: [String: Double]
  }

  @Test func agreesWithTrecEval() throws {
    let file = TestPaths.root + "/Tests/Golden/metrics_reference.json"
    let reference = try JSONDecoder().decode(Reference.self, from: Data(contentsOf: URL(fileURLWithPath: file)))
    let dataset = try DatasetImporter.load(path: TestPaths.data + "/ml-100k", format: nil, options: ImportOptions())
    let users = dataset.userIDs.count
    var (known, relevant) = ([[Int32]](repeating: [], count: users), [[Int32]](repeating: [], count: users))
    var seen = [Int](repeating: 0, count: users)
    for (user, item) in zip(dataset.interactions.users, dataset.interactions.items) {
      if seen[Int(user)] % 5 == 0 { relevant[Int(user)].append(item) } else { known[Int(user)].append(item) }
      seen[Int(user)] += 1
    }
    let items = dataset.catalogue.count
    let train = CSRMatrix(rowLists: known, columns: items)
    var popularity = [Int](repeating: 0, count: items)
    for item in train.indices { popularity[Int(item)] += 1 }
    let userNumbers = try dataset.userIDs.map { try #require(Int($0)) }
    let itemNumbers = try dataset.catalogue.ids.map { try #require(Int($0)) }
    let rankings = FullRanking.rank(
      users: Array(0..<users), items: items, excluding: [train], pool: ThreadPool(threads: 2)
    ) { block, scores in
      for (row, user) in block.enumerated() {
        for item in 0..<items {
          let mixed = (7919 * userNumbers[user] + 104729 * itemNumbers[item]) % 1000 + 3 * popularity[item]
          scores[row, item] = Float(mixed * 1683 + itemNumbers[item])
        }
      }
    }
    let report = MetricReport(
      users: Array(0..<users), rankings: rankings, relevant: CSRMatrix(rowLists: relevant, columns: items))
    #expect(report.users == reference.users)
    #expect(Set(report.metrics.keys) == Set(reference.metrics.keys))
    for (name, value) in reference.metrics { #expect(abs(report[name] - value) < 1e-6, "\(name)") }
  }
}
