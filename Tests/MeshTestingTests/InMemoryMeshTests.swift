import GLTP
import MeshTesting
import Testing

/// The mesh when all goes well, and the mesh in memory itself.
@Suite struct InMemoryMeshTests {
  @Test func ranksWithStreamedSnapshots() throws {
    var mesh = InMemoryMesh()
    let request = mesh.rank(user: "ann", count: 10)
    let answer = mesh.finish(request)
    #expect(answer.ranking == mesh.standard.ranking(user: "ann", count: 10))
    #expect(answer.snapshots.first?.isProvisional == true)
    #expect(
      answer.snapshots.first?.chunk.items == mesh.standard.prior(Array(mesh.standard.catalogue.prefix(20)), count: 10))
    let seen = answer.snapshots.dropFirst().map(\.chunk.itemsSeen)
    #expect(seen == seen.sorted() && seen.count >= 3, "\(seen)")
    #expect(try #require(answer.elapsed) < .milliseconds(50))
    mesh.settle(within: .seconds(1))
    #expect(mesh.isIdle)
    #expect(mesh.breaches.isEmpty)
  }

  @Test func endsCarryTheTimingOfEachStage() {
    var mesh = InMemoryMesh()
    let request = mesh.rank()
    guard case .ranked(_, let end)? = mesh.finish(request).outcome else {
      Issue.record("no ranking")
      return
    }
    #expect(end.encoderTiming != nil && end.alignerTiming != nil && end.rankerTiming != nil)
  }

  @Test func manyClientsThroughManyGateways() {
    var mesh = InMemoryMesh(gateways: 3, encoders: 2, aligners: 2, rankers: 4, clients: 5)
    var requests: [RankHandle] = []
    for number in 0..<60 {
      requests.append(mesh.rank(user: "user \(number)", count: 5, from: number % 5))
      mesh.clock.advance(by: .milliseconds(3))
    }
    mesh.settle(within: .seconds(20))
    #expect(mesh.isIdle)
    for (number, request) in requests.enumerated() {
      #expect(mesh.answer(request).ranking == mesh.standard.ranking(user: "user \(number)", count: 5))
    }
    #expect(mesh.breaches.isEmpty)
  }

  @Test func twoRankersDoTwiceTheWork() {
    func time(rankers: Int) -> UInt64 {
      var mesh = InMemoryMesh(encoders: 2, aligners: 2, rankers: rankers)
      let start = mesh.now
      for number in 0..<40 { _ = mesh.rank(user: "\(number)", deadline: .seconds(60)) }
      mesh.settle(within: .seconds(60))
      #expect(mesh.isIdle)
      return mesh.now.since(start).microseconds
    }
    #expect(Double(time(rankers: 1)) / Double(time(rankers: 2)) > 1.7)
  }

  @Test func theSameCallsGiveTheSameMesh() {
    func life() -> [MeshAnswer.Snapshot] {
      var mesh = InMemoryMesh(gateways: 2, encoders: 2, aligners: 2, rankers: 3, clients: 2)
      var snapshots: [MeshAnswer.Snapshot] = []
      let requests = (0..<20).map { mesh.rank(user: "\($0)", from: $0 % 2) }
      mesh.clock.advance(by: .milliseconds(12))
      mesh.kill(.ranker(1))
      mesh.kill(.gateway(0))
      mesh.settle()
      for request in requests { snapshots += mesh.answer(request).snapshots }
      return snapshots
    }
    #expect(life() == life())
  }

  @Test func aCopyGoesItsOwnWay() {
    var mesh = InMemoryMesh(rankers: 2)
    let request = mesh.rank(deadline: .seconds(1))
    mesh.clock.advance(by: .milliseconds(10))
    var other = mesh
    other.kill(.ranker(0))
    other.kill(.ranker(1))
    #expect(mesh.finish(request).status == .ok)
    #expect(other.finish(request).status == .poisoned)
  }

  @Test func aCatalogueOfOnesOwn() {
    var standard = StandardStages()
    standard.items = 1000
    standard.chunk = 100
    var mesh = InMemoryMesh(standard: standard)
    let request = mesh.rank(user: "bob", count: 3)
    #expect(mesh.finish(request).ranking == standard.ranking(user: "bob", count: 3))
  }

  @Test func errorsOfStagesReachTheClient() {
    var mesh = InMemoryMesh()
    let request = mesh.rank(user: "nobody")
    let answer = mesh.finish(request)
    #expect(answer.status == .unknownUser)
    mesh.settle(within: .seconds(1))
    #expect(mesh.isIdle)
  }

  @Test func cancelFreesTheWorkers() {
    var mesh = InMemoryMesh()
    let request = mesh.rank()
    mesh.clock.advance(by: .milliseconds(8))
    mesh.cancel(request)
    #expect(mesh.answer(request).failure?.cause == .cancelled)
    mesh.settle(within: .milliseconds(20))
    #expect(mesh.isIdle)
    let next = mesh.rank(user: "bob")
    #expect(mesh.finish(next).status == .ok)
    #expect(mesh.breaches.isEmpty)
  }
}
