import GraphEncoding
import Interactions
import RankingEvaluation
import Tensors
import TestSupport
import Testing
import Training

/// The graph encoder trained and measured alone.
struct GraphRunTests {
  /// More users than are ranked between two looks at Ctrl-C.
  private func manyUsers() throws -> Dataset {
    var options = SyntheticGraph.Options()
    (options.users, options.items, options.interactions, options.clusters) = (9_000, 300, 120_000, 4)
    return try SyntheticGraph(options).dataset()
  }

  /// A run of one small epoch: its test metrics, and which stages it reported steps of.
  private func run(
    _ dataset: Dataset, out: String, resume: Bool = false, goesOn: @escaping (TrainingProgress) -> Bool = { _ in true }
  ) throws -> (metrics: [String: Double], stages: [String: Int]) {
    var configuration = try TrainingConfiguration(TrainingConfiguration.Choices())
    (configuration.graph.epochs, configuration.graph.dimensions) = (1, 16)
    var stages: [String: Int] = [:]
    let run = try GraphRun(
      configuration: configuration, dataset: dataset, languageModel: nil, out: out, resume: resume,
      pool: ThreadPool(threads: 2),
      reporter: TrainingRun.Reporter(say: { _ in }) { progress in
        stages[progress.stage, default: 0] += 1
        return goesOn(progress)
      })
    let result = try run.run()
    return (try #require(result.test).metrics, stages)
  }

  @Test func stopsWhileRankingAndGoesOnWithWhatWasTrained() throws {
    let dataset = try manyUsers()
    let folder = try TemporaryFolder()
    let whole = try run(dataset, out: folder.path + "/whole")
    #expect((whole.stages["ranking"] ?? 0) > 1 && (whole.stages["graph encoder"] ?? 0) > 0)
    let error = try #require(throws: GLTAError.self) {
      try run(dataset, out: folder.path + "/stopped") { $0.stage != "ranking" }
    }
    #expect(error.code == .interrupted && error.message.contains("ranking stopped after"))
    let resumed = try run(dataset, out: folder.path + "/stopped", resume: true)
    #expect(resumed.stages["graph encoder"] == nil)
    #expect(resumed.metrics == whole.metrics)
  }
}
