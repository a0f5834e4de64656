import Foundation
import Interactions
import Tensors
import Testing

/// Large graphs that are made, not found.
@Suite struct SyntheticGraphTests {
  private func options(
    users: Int = 4_000, items: Int = 1_000, interactions: Int = 80_000, clusters: Int = 8
  ) -> SyntheticGraph.Options {
    var options = SyntheticGraph.Options()
    (options.users, options.items, options.interactions) = (users, items, interactions)
    options.clusters = clusters
    return options
  }

  @Test(arguments: [(4_000, 1_000, 80_000), (1, 2, 1), (10, 40, 200), (50, 41, 1_000), (7, 9, 7)])
  func edgesAreAsManyAsAskedForAndNoneTwice(users: Int, items: Int, interactions: Int) throws {
    let graph = try SyntheticGraph(
      options(users: users, items: items, interactions: interactions, clusters: min(8, items / 2)))
    let matrix = graph.interactions
    #expect(matrix.count == interactions && matrix.rows == users && matrix.columns == items)
    for user in 0..<users {
      let row = Array(matrix[user])
      #expect(!row.isEmpty && zip(row, row.dropFirst()).allSatisfy { $0 < $1 })
      #expect(row.allSatisfy { $0 >= 0 && $0 < items })
    }
    #expect(graph.userClusters.count == users && graph.itemClusters.count == items)
  }

  @Test func seedsDecideAndThreadsDoNot() throws {
    var options = options()
    let first = try SyntheticGraph(options)
    #expect(try SyntheticGraph(options, pool: ThreadPool(threads: 3)).interactions == first.interactions)
    options.seed += 1
    #expect(try SyntheticGraph(options).interactions != first.interactions)
  }

  /// The maximum-likelihood exponent of degrees above a bound (Clauset, Shalizi and Newman, *Power-law distributions in
  /// empirical data*, 2009, equation 3.7).
  private func exponent(_ degrees: [Int], above bound: Int) -> Double {
    let tail = degrees.filter { $0 >= bound }
    return 1 + Double(tail.count) / tail.reduce(0) { $0 + log(Double($1) / (Double(bound) - 0.5)) }
  }

  @Test(arguments: [2.2, 2.5, 3.0]) func degreesFallAsTheirPowerLawSays(gamma: Double) throws {
    var options = options(users: 60_000, items: 20_000, interactions: 600_000, clusters: 10)
    (options.userExponent, options.itemExponent) = (gamma, gamma)
    let matrix = try SyntheticGraph(options, pool: ThreadPool(threads: 2)).interactions
    let users = (0..<matrix.rows).map(matrix.degree)
    var items = [Int](repeating: 0, count: matrix.columns)
    for item in matrix.indices { items[Int(item)] += 1 }
    #expect(abs(exponent(users, above: 20) - gamma) < 0.1)
    #expect(abs(exponent(items, above: 60) - gamma) < 0.3)
  }

  /// One item of each user is hidden. Who guesses a user's cluster from the others finds it far more often than who goes
  /// by popularity alone.
  @Test func clustersCanBeFoundAgain() throws {
    let graph = try SyntheticGraph(options())
    let matrix = graph.interactions
    var counts = [Int](repeating: 0, count: matrix.columns)
    for item in matrix.indices { counts[Int(item)] += 1 }
    let popular = counts.indices.sorted { counts[$0] > counts[$1] }
    var random = Philox(seed: 1, purpose: "hidden").sequence()
    var (byPopularity, byCluster, clusters) = (0, 0, 0)
    for user in 0..<matrix.rows where matrix.degree(user) >= 6 {
      var rest = Array(matrix[user])
      let hidden = Int(rest.remove(at: random.index(below: rest.count)))
      let known = Set(rest.map { Int($0) })
      var votes = [Int](repeating: 0, count: 8)
      for item in known { votes[Int(graph.itemClusters[item])] += 1 }
      let guess = votes.indices.max { votes[$0] < votes[$1] } ?? 0
      if guess == Int(graph.userClusters[user]) { clusters += 1 }
      let free = popular.lazy.filter { !known.contains($0) }
      if free.prefix(20).contains(hidden) { byPopularity += 1 }
      if free.filter({ Int(graph.itemClusters[$0]) == guess }).prefix(20).contains(hidden) { byCluster += 1 }
    }
    let users = (0..<matrix.rows).count { matrix.degree($0) >= 6 }
    #expect(clusters * 100 > users * 95)
    #expect(byCluster > 2 * byPopularity && byPopularity > 0)
  }

  @Test func withoutAffinityThereAreNoClusters() throws {
    var options = options()
    options.affinity = 0
    let graph = try SyntheticGraph(options)
    var own = 0
    for user in 0..<graph.interactions.rows {
      own += graph.interactions[user].count { graph.itemClusters[Int($0)] == graph.userClusters[user] }
    }
    #expect(abs(Double(own) / Double(graph.interactions.count) - 1.0 / 8) < 0.02)
  }

  @Test func dataSetsHoldTheSameEdges() throws {
    let graph = try SyntheticGraph(options(users: 50, items: 40, interactions: 200, clusters: 4))
    let dataset = graph.dataset()
    let edges = (rows: dataset.interactions.users, columns: dataset.interactions.items)
    #expect(CSRMatrix(rows: 50, columns: 40, edges: edges) == graph.interactions)
    #expect(dataset.catalogue.categories[3] == ["cluster \(graph.itemClusters[3])"])
  }

  @Test func optionsOutOfRangeAreRefused() {
    let base = options()
    let changes: [(inout SyntheticGraph.Options) -> Void] = [
      { $0.users = 0 }, { $0.items = 1 }, { $0.clusters = 0 }, { $0.clusters = 501 }, { $0.interactions = 3_999 },
      { $0.interactions = 4_000 * 500 + 1 }, { $0.affinity = -0.1 }, { $0.affinity = .nan }, { $0.userExponent = 2 },
      { $0.itemExponent = .nan }, { $0.users = Int.max }, { $0.items = Int.max },
    ]
    for (number, change) in changes.enumerated() {
      var options = base
      change(&options)
      #expect(throws: GLTAError.self, "change \(number)") { try SyntheticGraph(options) }
    }
  }
}
