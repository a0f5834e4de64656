import GLTP
import Testing

/// Credits, the choice of workers and the queue (gltp-1.md 6.7, 7.1, 7.3).
@Suite struct GatewayDispatchTests {
  private typealias Peer = GatewayHarness.Peer

  /// A gateway with several encoders, and an aligner and a ranker without which nothing is current.
  private func mesh(encoders: Int, credit: UInt64 = 0, slots: UInt32 = 4) -> (SmallMesh, [Peer]) {
    let mesh = SmallMesh(credit: 0)
    var peers = [mesh.encoder]
    for _ in 1..<max(encoders, 1) { peers.append(mesh.h.worker(.encoder, credit: 0, slots: slots)) }
    for peer in peers where credit > 0 { mesh.h.credit(credit, from: peer) }
    return (mesh, peers)
  }

  @Test func withoutCreditNothingIsSent() throws {
    let (mesh, _) = mesh(encoders: 1)
    for number in 1...3 { mesh.h.request(UInt64(number), from: mesh.client) }
    #expect(mesh.h.take(mesh.encoder).isEmpty && mesh.h.machine.footprint.waitingRuns == 3)
    mesh.h.credit(2, from: mesh.encoder)
    #expect(
      mesh.h.take(mesh.encoder, .request).map(\.header.requestID) == [GatewayHarness.id(1), GatewayHarness.id(2)])
  }

  @Test func creditIsCumulativeAndNeverFalls() {
    let (mesh, _) = mesh(encoders: 1, credit: 2)
    mesh.h.credit(2, from: mesh.encoder)
    mesh.h.credit(1, from: mesh.encoder)
    for number in 1...5 { mesh.h.request(UInt64(number), from: mesh.client) }
    #expect(mesh.h.take(mesh.encoder, .request).count == 2)
    mesh.h.credit(.max, from: mesh.encoder)
    #expect(mesh.h.take(mesh.encoder, .request).count == 3)
  }

  @Test func tiesGoRound() throws {
    let (mesh, encoders) = mesh(encoders: 3, credit: 4)
    for number in 1...6 { mesh.h.request(UInt64(number), from: mesh.client) }
    let counts = encoders.map { mesh.h.take($0, .request).map(\.header.requestID.low) }
    #expect(counts == [[1, 4], [2, 5], [3, 6]])
  }

  @Test func theLeastBusyPerSlotComesFirst() {
    let mesh = SmallMesh(credit: 0)
    let small = mesh.h.worker(.encoder, credit: 100, slots: 1)
    let large = mesh.h.worker(.encoder, credit: 100, slots: 3)
    for number in 1...8 { mesh.h.request(UInt64(number), from: mesh.client) }
    #expect(mesh.h.take(small, .request).count == 2 && mesh.h.take(large, .request).count == 6)
  }

  @Test func aCancelledRunKeepsItsWorkerBusyUntilItsEnd() throws {
    let (mesh, encoders) = mesh(encoders: 2, credit: 10)
    mesh.h.request(1, from: mesh.client)
    let first = try mesh.h.run(encoders[0])
    mesh.h.cancel(1, from: mesh.client)
    for number in 2...3 { mesh.h.request(UInt64(number), from: mesh.client) }
    #expect(mesh.h.take(encoders[1], .request).count == 1 && mesh.h.take(encoders[0], .request).count == 1)
    mesh.h.end(.cancelled, of: first, from: encoders[0])
    #expect(mesh.h.machine.report().sessions.filter { $0.role == .encoder }.map(\.inFlight) == [1, 1])
  }

  @Test func endsThatNobodyAskedForDoNotMakeAWorkerLookIdle() throws {
    let (mesh, encoders) = mesh(encoders: 1, credit: 10)
    mesh.h.request(1, from: mesh.client)
    let run = try mesh.h.run(encoders[0])
    var ghost = run
    ghost.attempt = 77
    for _ in 0..<5 { mesh.h.end(of: ghost, from: encoders[0]) }
    #expect(mesh.h.machine.report().sessions.first { $0.role == .encoder }?.inFlight == 1)
  }

  @Test func priorityThenAge() {
    let (mesh, _) = mesh(encoders: 1)
    for (number, priority) in [(1, Priority.batch), (2, .normal), (3, .high), (4, .normal), (5, .high)] {
      mesh.h.request(UInt64(number), from: mesh.client, priority: priority)
    }
    mesh.h.credit(5, from: mesh.encoder)
    #expect(mesh.h.take(mesh.encoder, .request).map(\.header.requestID.low) == [3, 5, 2, 4, 1])
  }

  @Test func aFullQueueShedsTheYoungestOfTheLowestPriority() throws {
    let mesh = SmallMesh(credit: 0) { $0.queueLimit = 2 }
    mesh.h.request(1, from: mesh.client, priority: .batch)
    mesh.h.request(2, from: mesh.client, priority: .batch)
    mesh.h.request(3, from: mesh.client, priority: .batch)
    var end = try mesh.clientEnd()
    #expect(end.header.status == .overloaded && end.header.requestID == GatewayHarness.id(3))
    #expect(end.end.retryAfterMilliseconds == 1000)
    mesh.h.request(4, from: mesh.client, priority: .high)
    end = try mesh.clientEnd()
    #expect(end.header.status == .overloaded && end.header.requestID == GatewayHarness.id(2))
    mesh.h.request(5, from: mesh.client, priority: .high)
    #expect(try mesh.clientEnd().header.requestID == GatewayHarness.id(1))
    mesh.h.request(6, from: mesh.client, priority: .normal)
    #expect(try mesh.clientEnd().header.requestID == GatewayHarness.id(6))
  }

  @Test func aWaitBeyondTheRemainingTimeIsRefusedAtOnce() throws {
    let mesh = SmallMesh(credit: 1)
    // One encoder's run takes two seconds.
    mesh.h.request(1, from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.pass(.seconds(2), alive: mesh.all)
    mesh.h.encode(e, from: mesh.encoder)
    mesh.h.request(2, from: mesh.client, budget: 400)
    let end = try mesh.clientEnd()
    #expect(end.header.status == .overloaded && end.header.requestID == GatewayHarness.id(2))
    #expect(end.end.retryAfterMilliseconds == 500)
    mesh.h.request(3, from: mesh.client, budget: 600)
    #expect(mesh.h.take(mesh.client, .end).isEmpty)
  }

  @Test func aDrainingWorkerGetsNothingNewAndFinishesWhatItHas() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker(1)
    mesh.h.send(MessageHeader(.drain), .drain(detail: nil), from: mesh.ranker)
    mesh.h.request(2, from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    _ = mesh.h.take(mesh.ranker)
    mesh.h.encode(e, from: mesh.encoder)
    #expect(mesh.h.take(mesh.ranker).isEmpty)
    let other = mesh.h.worker(.ranker)
    #expect(mesh.h.take(other, .request).count == 1)
    mesh.h.end(of: runs.ranker, from: mesh.ranker)
    #expect(try mesh.clientEnd().header.requestID == GatewayHarness.id(1))
    mesh.h.send(MessageHeader(.bye), .bye(detail: nil), from: mesh.ranker)
    #expect(mesh.h.machine.footprint.requests == 1)
  }

  @Test func creditOfADrainingWorkerIsNotUsed() {
    let mesh = SmallMesh(credit: 0)
    mesh.h.request(from: mesh.client)
    mesh.h.send(MessageHeader(.drain), .drain(detail: nil), from: mesh.encoder)
    mesh.h.credit(5, from: mesh.encoder)
    #expect(mesh.h.take(mesh.encoder).isEmpty)
  }

  @Test func whoWaitsForTwoRunsIsShedOnce() throws {
    let mesh = SmallMesh(credit: 0) { $0.queueLimit = 1 }
    mesh.h.credit(2, from: mesh.encoder)
    mesh.h.request(1, from: mesh.client)
    mesh.h.encode(try mesh.h.run(mesh.encoder), from: mesh.encoder)
    #expect(mesh.h.machine.footprint.waitingRuns == 2 && mesh.h.machine.footprint.waitingRequests == 1)
    mesh.h.request(2, from: mesh.client, priority: .high)
    mesh.h.encode(try mesh.h.run(mesh.encoder), from: mesh.encoder)
    #expect(try mesh.clientEnd().header.requestID == GatewayHarness.id(1))
    #expect(mesh.h.machine.footprint.waitingRuns == 2 && mesh.h.machine.footprint.waitingRequests == 1)
  }
}
