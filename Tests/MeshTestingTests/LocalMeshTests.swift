import GLTP
import Mesh
import MeshTestSupport
import MeshTesting
import Synchronization
import Testing

/// Whole meshes on loopback sockets.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct LocalMeshTests {
  @Test func ranksAsItsStagesDo() async throws {
    let stages = FakeStages()
    try await LocalMesh.run(stages.encoder, stages.aligner, stages.ranker) { mesh in
      var timed: Set<Stage> = []
      for query in [
        RankingQuery(user: "u7", count: 10), RankingQuery(items: ["i3", "i99"], count: 3),
        stages.query("u1", 5) { $0.candidates = .best(20) },
        stages.query("u2", 5) { $0.candidates = .items(["i5", "i4"]) },
        stages.query("u3", 5) { $0.exclude = ["i1", "i2"] }, stages.query("u4", 5) { $0.allow = ["i8", "i9", "i10"] },
      ] {
        var ranking = try await mesh.client.ranking(query)
        // The ranker may be done before the END of a stage whose chunks it has read.
        #expect(ranking.timings[.ranker] != nil)
        timed.formUnion(ranking.timings.keys)
        ranking.timings = [:]
        let expected = try stages.ranking(for: query)
        #expect(ranking == expected)
      }
      #expect(timed == [.encoder, .aligner, .ranker])
    }
  }

  @Test func showsRankingsAsTheyGetBetter() async throws {
    var stages = FakeStages()
    stages.chunkTime = .milliseconds(10)
    try await LocalMesh.run(stages.encoder, stages.aligner, stages.ranker) { mesh in
      var options = RankOptions()
      options.titles = true
      var updates: [RankingUpdate] = []
      for try await update in mesh.client.rank(RankingQuery(user: "u7", count: 10), options: options) {
        updates.append(update)
      }
      let last = try #require(updates.last)
      #expect(last.isFinal && !last.isProvisional)
      #expect(updates.dropLast().allSatisfy { !$0.isFinal })
      #expect(updates.count >= 3, "\(updates.count) rankings")
      #expect(updates.map(\.ranking.itemsSeen) == updates.map(\.ranking.itemsSeen).sorted())
      #expect(last.ranking.titles == last.ranking.ids.map { "Item \($0.dropFirst())" })
    }
  }

  @Test func tellsWhyThereIsNoRanking() async throws {
    let stages = FakeStages()
    try await LocalMesh.run(stages.encoder, stages.aligner, stages.ranker) { mesh in
      for (query, status) in [
        (RankingQuery(user: "nobody", count: 1), Status.unknownUser),
        (RankingQuery(items: ["i1000"], count: 1), .unknownItem),
      ] {
        let error = await failure { try await mesh.client.ranking(query) }
        #expect(error?.code == .refused)
        #expect(error?.failure?.status == status)
        #expect(error?.failure?.state == .ended)
        #expect(error?.failure?.gateway == mesh.clientEndpoints[0].description)
      }
      let wrong = await failure { try await mesh.client.ranking(RankingQuery(user: "u1", count: 0)) }
      #expect(wrong?.code == .invalidArgument)
    }
  }

  @Test func answersManyRequestsAtOnce() async throws {
    var stages = FakeStages()
    stages.chunkTime = .milliseconds(2)
    try await LocalMesh.run(stages.encoder, stages.aligner) { [stages] mesh in
      try await mesh.addWorker(stages.ranker, slots: 2)
      try await mesh.addWorker(stages.ranker)
      try await mesh.waitUntilReady()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for user in 0..<20 {
          group.addTask { try await expectRanking(mesh, stages, user) }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func losesNoRequestWithARanker() async throws {
    var stages = FakeStages()
    stages.chunkTime = .milliseconds(20)
    try await LocalMesh.run(stages.encoder, stages.aligner) { [stages] mesh in
      let first = try await mesh.addWorker(stages.ranker, slots: 2)
      try await mesh.addWorker(stages.ranker, slots: 2)
      try await mesh.waitUntilReady()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for user in 0..<8 {
          group.addTask { try await expectRanking(mesh, stages, user) }
        }
        try await Task.sleep(for: .milliseconds(60))
        await mesh.kill(first)
        try await group.waitForAll()
      }
    }
  }

  @Test func drainsAWorkerWithoutLosingARequest() async throws {
    var stages = FakeStages()
    stages.chunkTime = .milliseconds(10)
    try await LocalMesh.run(stages.encoder, stages.aligner) { [stages] mesh in
      let first = try await mesh.addWorker(stages.ranker)
      try await mesh.addWorker(stages.ranker)
      try await mesh.waitUntilReady()
      async let drained: Void = mesh.drain(first)
      for user in 0..<6 {
        let query = RankingQuery(user: "u\(user)", count: 7)
        #expect(try await mesh.client.ranking(query).ids == stages.ranking(for: query).ids)
      }
      await drained
    }
  }

  @Test func goesOnWithTheOtherGateway() async throws {
    var stages = FakeStages()
    stages.chunkTime = .milliseconds(20)
    var configuration = LocalMesh.Configuration()
    configuration.gateways = 2
    try await LocalMesh.run(stages.encoder, stages.aligner, stages.ranker, configuration: configuration) {
      [stages] mesh in
      try await mesh.addWorker(stages.ranker, slots: 4)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for user in 0..<6 {
          group.addTask { try await expectRanking(mesh, stages, user) }
        }
        try await Task.sleep(for: .milliseconds(50))
        await mesh.killGateway(0)
        try await group.waitForAll()
      }
      try await mesh.restartGateway(0)
      try await mesh.waitUntilReady()
      _ = try await mesh.client.ranking(RankingQuery(user: "u1", count: 3))
    }
  }

  @Test func cancelsInTheMeshWhatATaskCancels() async throws {
    var stages = FakeStages()
    stages.chunkTime = .seconds(20)
    try await LocalMesh.run(stages.encoder, stages.aligner, stages.ranker) { mesh in
      let task = Task { try await mesh.client.ranking(RankingQuery(user: "u1", count: 3)) }
      try await Task.sleep(for: .milliseconds(100))
      let start = ContinuousClock.now
      task.cancel()
      let error = await failure { try await task.value }
      #expect(error?.code == .cancelled)
      #expect(ContinuousClock.now - start < .seconds(1))
      // Leaving the loop does the same.
      for try await update in mesh.client.rank(RankingQuery(user: "u2", count: 3)) {
        #expect(update.isProvisional)
        break
      }
      var busy = 1
      let end = ContinuousClock.now + .seconds(5)
      while busy > 0, ContinuousClock.now < end {
        busy = await mesh.gateways[0].status()?.report.inFlight ?? 1
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(busy == 0, "the gateway still has a request")
    }
  }

  @Test func returnsTheBestRankingAtTheDeadline() async throws {
    var stages = FakeStages()
    stages.chunkTime = .milliseconds(400)
    try await LocalMesh.run(stages.encoder, stages.aligner, stages.ranker) { mesh in
      let start = ContinuousClock.now
      let error = await failure {
        try await mesh.client.ranking(
          RankingQuery(user: "u1", count: 3), options: RankOptions(deadline: .seconds(1)))
      }
      #expect(ContinuousClock.now - start < .seconds(4))
      #expect(error?.code == .deadline)
      #expect(error?.failure?.status == .deadline)
      let best = try #require(error?.failure?.best)
      #expect(best.ids.count == 3 && best.itemsSeen < 100)
    }
  }

  @Test func leavesWhenComputationIsStuck() async throws {
    var stages = FakeStages()
    let release = Flag()
    stages.fault = { stage throws(StageFailure) in
      guard stage.stage == .ranker, !release.isSet else { return }
      while !release.isSet { usleepBriefly() }
    }
    try await LocalMesh.run(stages.encoder, stages.aligner) { [stages] mesh in
      let stuck = try await mesh.addWorker(stages.ranker) { configuration in
        configuration.warmUpTime = .milliseconds(1)
        configuration.stuckMultiple = 100
        configuration.stuckAtLeast = .milliseconds(100)
        configuration.stuckGrace = .milliseconds(50)
      }
      try await mesh.waitUntilReady()
      var healthy = stages
      healthy.fault = { _ in }
      async let ranking = mesh.client.ranking(RankingQuery(user: "u1", count: 3))
      try await Task.sleep(for: .milliseconds(50))
      try await mesh.addWorker(healthy.ranker)
      #expect(try await ranking.ids == stages.ranking(for: RankingQuery(user: "u1", count: 3)).ids)
      defer { release.set() }
      // Its session ends first, which is what the ranking waited for.
      try await eventually { mesh.exitReason(of: stuck) != nil }
      guard case .stuck? = mesh.exitReason(of: stuck) else {
        Issue.record("the worker left for another reason: \(String(describing: mesh.exitReason(of: stuck)))")
        return
      }
    }
  }

  @Test func reportsAsJSON() async throws {
    let stages = FakeStages()
    try await LocalMesh.run(stages.encoder, stages.aligner, stages.ranker) { mesh in
      _ = try await mesh.client.ranking(RankingQuery(user: "u1", count: 3))
      let text = String(decoding: try await mesh.client.status(of: mesh.clientEndpoints[0]), as: UTF8.self)
      for part in [
        "\"sessions\"", "\"role\":\"ranker\"", "\"compute\":{\"count\":1", "\"by_status\"", "\"resident_bytes\"",
      ] {
        #expect(text.contains(part), "\(part) is not in \(text)")
      }
      let stranger = await failure { try await mesh.client.status(of: Endpoint(tcp: "127.0.0.1", port: 1)) }
      #expect(stranger?.code == .invalidArgument)
    }
  }

  @Test func stopsTwoHundredTimes() async throws {
    let stages = FakeStages()
    for round in 0..<200 {
      let start = ContinuousClock.now
      let mesh = LocalMesh()
      try await mesh.start()
      try await mesh.addWorker(stages.encoder)
      if round % 3 == 0 {
        _ = await failure {
          try await mesh.client.ranking(
            RankingQuery(user: "u1", count: 1), options: RankOptions(deadline: .milliseconds(20)))
        }
      }
      await mesh.stop()
      #expect(ContinuousClock.now - start < .seconds(10), "round \(round)")
    }
  }
}

extension FakeStages {
  func query(_ user: String, _ count: Int, _ change: (inout RankingQuery) -> Void) -> RankingQuery {
    var query = RankingQuery(user: user, count: count)
    change(&query)
    return query
  }
}

/// Ranks for a user, as the stages do.
func expectRanking(_ mesh: LocalMesh, _ stages: FakeStages, _ user: Int) async throws {
  let query = RankingQuery(user: "u\(user)", count: 7)
  let expected = try stages.ranking(for: query).ids
  let found = try await mesh.client.ranking(query, options: RankOptions(deadline: .seconds(60))).ids
  #expect(found == expected)
}

/// What `body` throws.
func failure(_ body: () async throws -> some Sendable) async -> MeshError? {
  do {
    let value = try await body()
    Issue.record("expected an error, got \(value)")
    return nil
  } catch let error as MeshError {
    return error
  } catch {
    Issue.record("expected a MeshError, got \(error)")
    return nil
  }
}

final class Flag: Sendable {
  private let value = Atomic<Bool>(false)
  var isSet: Bool { value.load(ordering: .acquiring) }
  func set() { value.store(true, ordering: .releasing) }
}
