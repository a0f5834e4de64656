import GLTP
import MeshTesting
import Testing

/// The failure table of the design (anchors.md 4.8), in memory.
@Suite struct InMemoryMeshFailureTests {
  /// The right answer, no breach of the protocol, and nothing left behind.
  private func expectRanked(
    _ mesh: inout InMemoryMesh, _ request: RankHandle, user: String = "ann",
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let answer = mesh.finish(request)
    #expect(
      answer.ranking == mesh.standard.ranking(user: user, count: 10), "\(String(describing: answer.failure))",
      sourceLocation: sourceLocation)
    #expect(answer.completions == 1, sourceLocation: sourceLocation)
    mesh.settle(within: .seconds(30))
    #expect(mesh.isIdle, sourceLocation: sourceLocation)
    #expect(mesh.breaches == [], sourceLocation: sourceLocation)
  }

  /// The process that computes a stage of the only request.
  private func worker(_ role: Role, in mesh: InMemoryMesh) -> MeshProcess {
    mesh.processes.first { $0.role == role && mesh.worker($0)?.isIdle == false } ?? MeshProcess(role, 0)
  }

  @Test func aRankerIsKilledMidStream() throws {
    var mesh = InMemoryMesh(rankers: 2)
    let request = mesh.rank()
    mesh.advance { $0.answer(request).snapshots.count >= 3 }
    let victim = worker(.ranker, in: mesh)
    mesh.kill(victim)
    expectRanked(&mesh, request)
    let elapsed = try #require(mesh.answer(request).elapsed)
    #expect(elapsed < .milliseconds(80), "its inputs are replayed at once: \(elapsed)")
    #expect(mesh.gateway(0)?.counters.retries == 0, "a lost worker costs no retry")
  }

  @Test(arguments: [Role.encoder, .aligner])
  func anEarlierStageIsKilled(role: Role) {
    var mesh = InMemoryMesh(encoders: 2, aligners: 2)
    let request = mesh.rank()
    mesh.advance { worker(role, in: $0).index >= 0 && $0.worker(worker(role, in: $0))?.isIdle == false }
    mesh.kill(worker(role, in: mesh))
    expectRanked(&mesh, request)
  }

  @Test func aRankerVanishesWithoutAWord() throws {
    var mesh = InMemoryMesh(rankers: 2)
    let request = mesh.rank(deadline: .seconds(20))
    mesh.advance { $0.answer(request).snapshots.count >= 2 }
    mesh.vanish(worker(.ranker, in: mesh))
    expectRanked(&mesh, request)
    let elapsed = try #require(mesh.answer(request).elapsed)
    #expect(elapsed > .seconds(4) && elapsed < .seconds(7), "noticed by its silence: \(elapsed)")
  }

  @Test func aGatewayIsKilled() {
    var mesh = InMemoryMesh(gateways: 2)
    let requests = (0..<6).map { mesh.rank(user: "user \($0)") }
    mesh.clock.advance(by: .milliseconds(10))
    mesh.kill(.gateway(0))
    for (number, request) in requests.enumerated() {
      #expect(mesh.finish(request).ranking == mesh.standard.ranking(user: "user \(number)", count: 10))
      #expect(mesh.answer(request).completions == 1)
    }
    #expect(mesh.client(0)?.counters.retries == 3)
    mesh.settle(within: .seconds(10))
    #expect(mesh.isIdle)
    #expect(mesh.breaches == [])
    // It comes back, and takes its share.
    mesh.restart(.gateway(0))
    mesh.clock.advance(by: .seconds(6))
    let later = (0..<4).map { mesh.rank(user: "later \($0)") }
    #expect(mesh.client(0)?.sessionCount == 2)
    for request in later { #expect(mesh.finish(request).status == .ok) }
    #expect((mesh.gateway(0)?.counters.accepted ?? 0) == 2)
  }

  @Test func aWorkerIsStoppedAndWoken() {
    var mesh = InMemoryMesh(rankers: 2)
    let request = mesh.rank(deadline: .seconds(30))
    mesh.advance { $0.answer(request).snapshots.count >= 2 }
    let sleeper = worker(.ranker, in: mesh)
    mesh.stop(sleeper)
    expectRankedKeepingTheSleeper(&mesh, request)
    mesh.clock.advance(by: .seconds(10))
    mesh.resume(sleeper)
    mesh.clock.advance(by: .seconds(1))
    #expect(mesh.worker(sleeper)?.sessionCount == 1, "it said HELLO again")
    #expect(mesh.worker(sleeper)?.isIdle == true)
    #expect((mesh.gateway(0)?.counters.strangers ?? 0) + (mesh.gateway(0)?.counters.late ?? 0) > 0)
    // It works again.
    let more = (0..<8).map { mesh.rank(user: "\($0)") }
    mesh.clock.advance(by: .milliseconds(20))
    #expect(mesh.worker(sleeper)?.isIdle == false)
    for request in more { #expect(mesh.finish(request).status == .ok) }
    #expect(mesh.breaches == [])
  }

  private func expectRankedKeepingTheSleeper(_ mesh: inout InMemoryMesh, _ request: RankHandle) {
    #expect(mesh.finish(request).ranking == mesh.standard.ranking(user: "ann", count: 10))
  }

  @Test func messagesComeTwice() {
    var mesh = InMemoryMesh()
    mesh.fault(.duplicate, times: .max) {
      [.input, .partial, .end, .ack, .request, .cancel, .credit].contains($0.header.kind)
    }
    let request = mesh.rank()
    expectRanked(&mesh, request)
    #expect((mesh.client(0)?.counters.late ?? 0) > 0)
  }

  @Test(arguments: [Stage.encoder, .ranker])
  func aChunkIsOvertaken(stage: Stage) {
    var mesh = InMemoryMesh(rankers: 2)
    // On its way to the gateway, or to the ranker.
    mesh.fault(.reorder(.milliseconds(30))) { $0.isChunk(stage, .candidates, 1) }
    let request = mesh.rank()
    expectRanked(&mesh, request)
  }

  @Test func aChunkIsMissing() {
    var mesh = InMemoryMesh(rankers: 2)
    mesh.fault(.drop) { $0.header.kind == .input && $0.isChunk(.ranker, .candidates, 1) }
    let request = mesh.rank()
    expectRanked(&mesh, request)
    #expect((mesh.gateway(0)?.counters.retries ?? 0) == 1, "a gap costs one retry")
  }

  @Test func aSnapshotIsMissing() {
    var mesh = InMemoryMesh(gateways: 2)
    mesh.fault(.drop) { $0.header.kind == .partial && $0.isChunk(.none, .ranking, 1) }
    let request = mesh.rank()
    expectRanked(&mesh, request)
    #expect(mesh.client(0)?.counters.retries == 1)
  }

  @Test func anEncoderMakesDamagedChunks() {
    var mesh = InMemoryMesh(encoders: 2)
    mesh.fault(.corrupt) { $0.header.kind == .partial && $0.isChunk(.encoder, .candidates, 2) }
    let request = mesh.rank()
    expectRanked(&mesh, request)
    let blamed = mesh.notes.compactMap { note -> UInt64? in
      if case .blamed(let session, _) = note { session } else { nil }
    }
    let names = mesh.notes.compactMap { note -> String? in
      guard case .sessionOpened(let session, _, let name, _) = note, blamed.contains(session) else { return nil }
      return name?.string
    }
    #expect(names.count == 1 && names[0].hasPrefix("encoder"), "\(names)")
  }

  @Test func aChunkIsDamagedBehindTheGateway() {
    var mesh = InMemoryMesh(rankers: 2)
    mesh.fault(.corrupt) { $0.header.kind == .input && $0.isChunk(.ranker, .candidates, 2) }
    let request = mesh.rank()
    expectRanked(&mesh, request)
  }

  @Test func aSlowClientSkipsSnapshots() {
    var standard = StandardStages()
    standard.items = 1000
    standard.rankerTime = .milliseconds(1)
    var mesh = InMemoryMesh(standard: standard)
    // Its ACKs crawl.
    mesh.fault(.delay(.milliseconds(20)), times: .max) { $0.from == .client(0) && $0.header.kind == .ack }
    let request = mesh.rank(count: 10)
    let answer = mesh.finish(request)
    #expect(answer.ranking == standard.ranking(user: "ann", count: 10))
    #expect(answer.snapshots.count < 50)
    #expect((mesh.gateway(0)?.counters.skippedSnapshots ?? 0) > 0)
    #expect(mesh.breaches == [])
  }

  @Test func aClientThatIsStoppedHoldsNothingForEver() {
    var standard = StandardStages()
    standard.rankerTime = .seconds(8)
    var mesh = InMemoryMesh(standard: standard)
    _ = mesh.rank(deadline: .seconds(600))
    mesh.clock.advance(by: .milliseconds(20))
    mesh.stop(.client(0))
    mesh.clock.advance(by: .seconds(20))
    #expect(mesh.gateway(0)?.footprint.requests == 0)
    #expect(mesh.worker(.ranker(0))?.isIdle == true)
  }

  @Test func overloadIsSaidAtOnce() {
    var mesh = InMemoryMesh(slots: 1, configureGateway: { $0.queueLimit = 4 })
    let requests = (0..<30).map { mesh.rank(user: "\($0)", deadline: .milliseconds(400)) }
    mesh.settle(within: .seconds(5))
    #expect(mesh.isIdle)
    let statuses = requests.compactMap { mesh.answer($0).status }
    #expect(statuses.count == 30, "all are answered")
    #expect(statuses.count { $0 == .ok } >= 4)
    let overloaded = requests.filter { mesh.answer($0).status == .overloaded }
    #expect(!overloaded.isEmpty)
    #expect(overloaded.contains { mesh.answer($0).failure?.retryAfterMilliseconds != nil })
    #expect(mesh.breaches == [])
  }

  @Test func aDeadlineBringsTheProvisionalRanking() throws {
    var standard = StandardStages()
    standard.rankerTime = .seconds(60)
    var mesh = InMemoryMesh(standard: standard)
    let request = mesh.rank(deadline: .milliseconds(200))
    let answer = mesh.finish(request)
    #expect(answer.status == .deadline)
    #expect(answer.failure?.isProvisional == true)
    #expect(answer.failure?.newest?.items == standard.prior(Array(standard.catalogue.prefix(20)), count: 10))
    #expect(try #require(answer.elapsed) <= .milliseconds(202))
    #expect(mesh.breaches == [])
  }

  @Test func aStuckRankerLeavesAndItsRunGoesElsewhere() {
    let standard = StandardStages()
    var stages = standard.stages
    let ranker = stages.ranker
    stages.ranker = { $0.process == .ranker(0) ? [.hang] : ranker($0) }
    var mesh = InMemoryMesh(rankers: 2, stages: stages, configureWorker: { $0.stuckLimit = .seconds(1) })
    let requests = (0..<4).map { mesh.rank(user: "\($0)") }
    for (number, request) in requests.enumerated() {
      #expect(mesh.finish(request).ranking == standard.ranking(user: "\(number)", count: 10))
    }
    mesh.clock.advance(by: .seconds(6))
    guard case .stuck? = mesh.exits[.ranker(0)] else {
      Issue.record("\(mesh.exits)")
      return
    }
    #expect(mesh.breaches == [])
  }

  @Test func aPoisonousRequestDoesNotKillThePool() {
    var mesh = InMemoryMesh(rankers: 4)
    let request = mesh.rank(user: "poison")
    for _ in 0..<2 {
      mesh.advance(within: .seconds(1)) { mesh in
        mesh.processes.contains { $0.role == .ranker && mesh.worker($0)?.isIdle == false }
      }
      mesh.kill(worker(.ranker, in: mesh))
    }
    #expect(mesh.finish(request).status == .poisoned)
    mesh.settle(within: .seconds(1))
    #expect(mesh.isIdle)
  }

  @Test func aWorkerDrainsUnderLoad() {
    var mesh = InMemoryMesh(encoders: 2, aligners: 2, rankers: 2)
    var requests: [RankHandle] = []
    for number in 0..<50 {
      requests.append(mesh.rank(user: "\(number)"))
      mesh.clock.advance(by: .milliseconds(20))
      switch number {
      case 10: mesh.drain(.ranker(0))
      case 20: mesh.drain(.encoder(1))
      case 30: mesh.drain(.aligner(0))
      case 40: mesh.add(.ranker)
      default: break
      }
    }
    mesh.settle(within: .seconds(10))
    #expect(mesh.isIdle)
    #expect(requests.allSatisfy { mesh.answer($0).status == .ok })
    #expect(mesh.exits[.ranker(0)] == .drained)
    #expect((mesh.worker(.ranker(2))?.counters.runs ?? 0) > 0)
    #expect(mesh.gateway(0)?.counters.retries == 0)
    #expect(mesh.breaches == [])
  }

  @Test func aGatewayDrainsUnderLoad() {
    var mesh = InMemoryMesh(gateways: 2, encoders: 2, aligners: 2, rankers: 3)
    var requests: [RankHandle] = []
    for number in 0..<40 {
      requests.append(mesh.rank(user: "\(number)"))
      mesh.clock.advance(by: .milliseconds(15))
      if number == 20 { mesh.drain(.gateway(0)) }
    }
    mesh.settle(within: .seconds(10))
    #expect(mesh.isIdle)
    #expect(requests.allSatisfy { mesh.answer($0).status == .ok })
    #expect(!mesh.isAlive(.gateway(0)))
    #expect(mesh.breaches == [])
  }

  @Test func aNewBundleRollsOutUnderLoad() {
    var mesh = InMemoryMesh(encoders: 1, aligners: 1, rankers: 2)
    let new = InMemoryMesh.bundle(2)
    var requests: [RankHandle] = []
    for number in 0..<80 {
      requests.append(mesh.rank(user: "\(number)"))
      mesh.clock.advance(by: .milliseconds(20))
      switch number {
      case 10: mesh.add(.encoder, bundle: new)
      case 15: mesh.add(.ranker, bundle: new)
      case 20: mesh.add(.aligner, bundle: new)
      case 25: mesh.add(.ranker, bundle: new)
      case 40: mesh.drain(.ranker(0))
      case 42: mesh.drain(.encoder(0))
      case 44: mesh.drain(.aligner(0))
      case 46: mesh.drain(.ranker(1))
      default: break
      }
    }
    mesh.settle(within: .seconds(10))
    #expect(mesh.isIdle)
    let failed = requests.filter { mesh.answer($0).status != .ok }
    #expect(failed.isEmpty, "\(failed.map { mesh.answer($0) })")
    #expect((mesh.worker(.ranker(2))?.counters.runs ?? 0) > 10)
    #expect(mesh.exits[.ranker(1)] == .drained)
    #expect(mesh.breaches == [])
  }

  @Test func aClientWithoutGatewaysSaysWhy() {
    var mesh = InMemoryMesh(gateways: 2)
    mesh.kill(.gateway(0))
    mesh.kill(.gateway(1))
    mesh.clock.advance(by: .milliseconds(500))
    let request = mesh.rank()
    let failure = mesh.finish(request).failure
    #expect(failure?.cause == .unreachable)
    #expect(failure?.gateways.map(\.name) == ["gateway 0", "gateway 1"])
    #expect(failure?.detail.contains("connection refused") == true)
  }

  @Test func gatewaysComeAndGo() {
    var mesh = InMemoryMesh(gateways: 1)
    var requests: [RankHandle] = []
    for number in 0..<40 {
      requests.append(mesh.rank(user: "\(number)"))
      mesh.clock.advance(by: .milliseconds(25))
      if number == 10 { mesh.add(.gateway) }
      if number == 20 {
        for process in mesh.processes where process.role != .gateway { mesh.removeGateway(0, from: process) }
      }
    }
    mesh.settle(within: .seconds(10))
    #expect(mesh.isIdle)
    #expect(requests.allSatisfy { mesh.answer($0).status == .ok })
    #expect((mesh.gateway(1)?.counters.accepted ?? 0) >= 19)
    #expect(mesh.breaches == [])
  }

  @Test func aPartedNetworkHeals() {
    var mesh = InMemoryMesh(gateways: 2)
    mesh.silence(.client(0), .gateway(0))
    let requests = (0..<4).map { mesh.rank(user: "\($0)", deadline: .seconds(20)) }
    for request in requests { #expect(mesh.finish(request).status == .ok) }
    mesh.heal()
    mesh.clock.advance(by: .seconds(12))
    #expect(mesh.client(0)?.sessionCount == 2)
  }
}
