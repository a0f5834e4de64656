import GLTP
import Testing

/// The rows of gltp-1.md 10.3.
@Suite struct GatewayRequestTests {
  @Test func aRequestGoesThroughThreeStagesToOneEnd() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client, flags: [.stream, .titles], budget: 5000)
    let sent = try #require(mesh.h.take(mesh.encoder).first)
    guard case .control(.rank(let body)) = sent.body else { throw SmallMesh.NoEnd() }
    let e = sent.header
    #expect(body.userID == "u" && body.count == 10)
    #expect(e.stage == .encoder && e.attempt == 1 && e.sessionID == mesh.encoder.session)
    #expect(e.bundle == GatewayHarness.bundle.prefix && e.budgetMilliseconds == 5000 && e.flags.isEmpty)

    mesh.h.now += .milliseconds(100)
    let instruction = mesh.h.chunk(.instruction, of: e, from: mesh.encoder)
    let aligned = mesh.h.take(mesh.aligner)
    #expect(aligned.map(\.header.kind) == [.request, .input])
    #expect(aligned[1].header.stream == .instruction && aligned[1].header.flags == .final)
    #expect(aligned[1].header.budgetMilliseconds == 4900)
    guard case .chunk(instruction) = aligned[1].body else { throw SmallMesh.NoEnd() }
    let a = aligned[0].header

    let candidates = mesh.h.chunk(.candidates, of: e, from: mesh.encoder)
    let ranked = mesh.h.take(mesh.ranker)
    #expect(ranked.map(\.header.kind) == [.request, .input])
    guard case .control(.run(let run)) = ranked[0].body, case .chunk(candidates) = ranked[1].body else {
      throw SmallMesh.NoEnd()
    }
    #expect(run == RunRequest(userID: "u", count: 10, mode: .slots))
    #expect(ranked[0].header.flags == [.stream, .titles])
    let r = ranked[0].header
    mesh.h.end(of: e, from: mesh.encoder)
    // Both of its chunks were the last of their streams.
    #expect(mesh.h.take(mesh.encoder).isEmpty)

    let prompt = mesh.h.chunk(.instruction, of: a, from: mesh.aligner)
    mesh.h.end(of: a, from: mesh.aligner)
    let input = try #require(mesh.h.take(mesh.ranker).first)
    guard case .chunk(prompt) = input.body else { throw SmallMesh.NoEnd() }

    let snapshot = mesh.h.snapshot(0, flags: .provisional, of: r, from: mesh.ranker)
    let partial = try #require(mesh.h.take(mesh.client).first)
    guard case .chunk(snapshot) = partial.body else { throw SmallMesh.NoEnd() }
    #expect(partial.header.kind == .partial && partial.header.stage == .none && partial.header.stream == .ranking)
    #expect(partial.header.flags == .provisional && partial.header.sequence == 0 && partial.header.attempt == 1)

    let ranking = mesh.h.end(of: r, from: mesh.ranker)
    let end = try mesh.clientEnd()
    #expect(end.header.status == .ok && end.header.flags.isEmpty && end.ranking == ranking)
    #expect(end.header.requestID == GatewayHarness.id(1) && end.header.sessionID == mesh.client.session)
    #expect(end.end.encoderTiming?.compute == 30 && end.end.alignerTiming != nil && end.end.rankerTiming != nil)
    #expect(mesh.h.machine.footprint.requests == 0 && mesh.h.machine.footprint.heldBytes == 0)
  }

  @Test func theWaitForAWorkerCountsAsQueueTime() throws {
    let mesh = SmallMesh(credit: 0)
    mesh.h.request(from: mesh.client)
    mesh.h.pass(.milliseconds(1500))
    for worker in [mesh.encoder, mesh.aligner, mesh.ranker] { mesh.h.credit(1, from: worker) }
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.encode(e, from: mesh.encoder)
    let r = try mesh.h.run(mesh.ranker)
    mesh.h.end(of: r, from: mesh.ranker)
    #expect(try mesh.clientEnd().end.encoderTiming?.queue == 1_500_010)
  }

  @Test func theRankersEndAloneEndsTheRequestAndCancelsTheOthers() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.instruction, of: e, from: mesh.encoder)
    mesh.h.chunk(.candidates, of: e, from: mesh.encoder)
    _ = mesh.h.take(mesh.encoder)
    let r = try mesh.h.run(mesh.ranker)
    _ = mesh.h.take(mesh.aligner)
    mesh.h.end(of: r, from: mesh.ranker)
    #expect(try mesh.clientEnd().header.status == .ok)
    let cancel = try #require(mesh.h.take(mesh.encoder).first)
    #expect(cancel.header.kind == .cancel && cancel.header.stage == .encoder && cancel.header.attempt == 1)
    #expect(mesh.h.take(mesh.aligner).map(\.header.kind) == [.cancel])
    #expect(mesh.h.take(mesh.ranker).isEmpty)
  }

  @Test func refusalsAreEndsWithTheirReason() throws {
    let mesh = SmallMesh()
    mesh.h.send(
      MessageHeader(.request, attempt: 1), .rank(RankRequest(userID: "u", count: 1)), from: mesh.client)
    #expect(try mesh.clientEnd("no request_id").header.status == .badRequest)
    mesh.h.request(2, from: mesh.client, bundle: GatewayHarness.otherBundle.prefix)
    #expect(try mesh.clientEnd("pinned to what nobody has").header.status == .bundleGone)

    let empty = GatewayHarness()
    let client = empty.client()
    empty.request(from: client)
    let end = try #require(empty.take(client, .end).first)
    #expect(end.header.status == .noWorker && end.header.attempt == 1)
    #expect(empty.machine.footprint.requests == 0)
  }

  @Test func aStageThatIsEmptyForLongRefusesAtOnce() throws {
    let mesh = SmallMesh()
    mesh.h.handle(.disconnected(mesh.ranker.id))
    mesh.h.request(1, from: mesh.client, budget: 60_000)
    #expect(mesh.h.take(mesh.client, .end).isEmpty, "the ranker may be back in a moment")
    mesh.h.pass(.seconds(5), alive: [mesh.client, mesh.encoder, mesh.aligner])
    mesh.h.request(2, from: mesh.client)
    #expect(try mesh.clientEnd().header.status == .noWorker)
  }

  @Test func tooManyRequestsAreRefusedWithATimeToRetry() throws {
    let mesh = SmallMesh { $0.maximumRequestsPerClient = 1 }
    mesh.h.request(1, from: mesh.client)
    mesh.h.request(2, from: mesh.client)
    let end = try mesh.clientEnd()
    #expect(end.header.status == .overloaded && end.header.requestID == GatewayHarness.id(2))
    #expect(end.end.retryAfterMilliseconds == 1000)
  }

  @Test func aDamagedRequestEndsWithCorrupt() throws {
    let mesh = SmallMesh()
    let header = MessageHeader(.request, attempt: 1, requestID: GatewayHarness.id(1), sessionID: mesh.client.session)
    mesh.h.handle(.refused(.failsRequest, header, from: mesh.client.id))
    #expect(try mesh.clientEnd().header.status == .corrupt)
    mesh.h.handle(.refused(.overloaded, header, from: mesh.client.id))
    #expect(try mesh.clientEnd().header.status == .overloaded)
  }

  // MARK: Deadlines

  @Test(arguments: [(UInt32(0), UInt64(10_000)), (250, 250), (4_000_000_000, 600_000)])
  func theDeadlineEndsTheRequestByTimer(_ budget: UInt32, _ expected: UInt64) throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client, budget: budget)
    mesh.h.pass(.milliseconds(expected - 1), alive: mesh.all)
    #expect(!(mesh.h.sent[mesh.client.id] ?? []).contains { $0.header.kind == .end })
    mesh.h.pass(.milliseconds(1))
    #expect(try mesh.clientEnd().header.status == .deadline)
    #expect(mesh.h.take(mesh.encoder, .cancel).count == 1)
  }

  @Test(arguments: [MessageFlags.provisional, []])
  func theDeadlineBringsTheBestRankingSoFar(_ flags: MessageFlags) throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker(budget: 1000)
    mesh.h.snapshot(0, flags: .provisional, of: runs.ranker, from: mesh.ranker)
    let best = mesh.h.snapshot(1, flags: flags, of: runs.ranker, from: mesh.ranker)
    #expect(mesh.h.take(mesh.client).isEmpty, "no snapshots without STREAM")
    mesh.h.pass(.seconds(1))
    let end = try mesh.clientEnd()
    #expect(end.ranking == best && end.header.flags == flags.union(.incomplete))
    #expect(end.end.encoderTiming != nil && end.end.rankerTiming == nil)
  }

  @Test func aRunThatWaitedTooLongIsNotStarted() throws {
    let mesh = SmallMesh(credit: 0)
    mesh.h.request(from: mesh.client, budget: 100)
    // The timer is late; the credit comes first.
    mesh.h.now += .milliseconds(150)
    mesh.h.credit(1, from: mesh.encoder)
    #expect(mesh.h.take(mesh.encoder, .request).isEmpty)
    #expect(try mesh.clientEnd().header.status == .deadline)
  }

  @Test func aWorkersOwnDeadlinePassesItsRankingOn() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker()
    let best = mesh.h.end(.deadline, of: runs.ranker, from: mesh.ranker, ranking: true, flags: [.incomplete])
    let end = try mesh.clientEnd()
    #expect(end.header.status == .deadline && end.ranking == best && end.header.flags == .incomplete)
  }

  // MARK: Cancel

  @Test func aCancelReachesEveryWorkerAndIsAnswered() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.instruction, of: e, from: mesh.encoder)
    mesh.h.chunk(.candidates, of: e, from: mesh.encoder)
    for worker in [mesh.encoder, mesh.aligner, mesh.ranker] { _ = mesh.h.take(worker) }
    mesh.h.cancel(from: mesh.client)
    #expect(try mesh.clientEnd().header.status == .cancelled)
    for worker in [mesh.encoder, mesh.aligner, mesh.ranker] {
      #expect(mesh.h.take(worker).map(\.header.kind) == [.cancel])
    }
    mesh.h.cancel(from: mesh.client)
    mesh.h.cancel(99, from: mesh.client)
    #expect(mesh.h.take(mesh.client).isEmpty)
  }

  @Test func aClientThatIsGoneCancelsItsRequests() throws {
    let mesh = SmallMesh()
    mesh.h.request(1, from: mesh.client)
    mesh.h.request(2, from: mesh.client)
    _ = mesh.h.take(mesh.encoder)
    mesh.h.handle(.disconnected(mesh.client.id))
    #expect(mesh.h.take(mesh.encoder).map(\.header.kind) == [.cancel, .cancel])
    #expect(mesh.h.take(mesh.client).isEmpty && mesh.h.machine.footprint.requests == 0)
  }

  @Test func nobodyCancelsAnothersRequest() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    mesh.h.cancel(from: mesh.h.client())
    #expect(mesh.h.machine.footprint.requests == 1)
  }

  // MARK: Done

  @Test func whatComesAfterTheEndIsLate() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker()
    mesh.h.cancel(from: mesh.client)
    _ = try mesh.clientEnd()
    let before = mesh.h.machine.counters.late
    mesh.h.snapshot(0, of: runs.ranker, from: mesh.ranker)
    mesh.h.ack(.candidates, 1, of: runs.ranker, from: mesh.ranker)
    mesh.h.end(of: runs.ranker, from: mesh.ranker)
    #expect(mesh.h.machine.counters.late == before + 3)
    #expect(mesh.h.take(mesh.client).isEmpty)
  }

  @Test func aRequestThatIsOverIsForgottenAfterTenSeconds() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    mesh.h.cancel(from: mesh.client)
    mesh.h.pass(.seconds(9), alive: mesh.all)
    #expect(mesh.h.machine.footprint.done == 1)
    mesh.h.pass(.seconds(3), alive: mesh.all)
    #expect(mesh.h.machine.footprint.done == 0)
  }

  // MARK: Duplicates and failover

  @Test func aSecondSendingInTheSameSessionIsIgnored() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    mesh.h.request(from: mesh.client)
    mesh.h.request(from: mesh.client, flags: .retry, attempt: 2)
    #expect(mesh.h.take(mesh.encoder, .request).count == 1)
    mesh.h.cancel(from: mesh.client)
    _ = try mesh.clientEnd()
    mesh.h.request(from: mesh.client)
    #expect(mesh.h.take(mesh.client).isEmpty && mesh.h.machine.footprint.requests == 0)
  }

  @Test func aRetryAfterTheEndIsANewRequestWhoseRunsAreNumberedOn() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let first = try mesh.h.run(mesh.encoder)
    mesh.h.cancel(from: mesh.client)
    _ = try mesh.clientEnd()
    mesh.h.request(from: mesh.client, flags: .retry, attempt: 2)
    let second = try mesh.h.run(mesh.encoder)
    #expect(second.attempt == first.attempt + 1)
    // The first run's END is late, and ends nothing.
    mesh.h.end(.cancelled, of: first, from: mesh.encoder)
    #expect(mesh.h.machine.footprint.requests == 1)
  }

  @Test func aClientThatComesBackByAnotherConnectionTakesItsRequestOver() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let first = try mesh.h.run(mesh.encoder)
    let again = mesh.h.client()
    mesh.h.request(from: again)
    #expect(mesh.h.take(again, .end).map(\.header.status) == [.badRequest], "not a failover: no RETRY")
    mesh.h.request(from: again, flags: .retry, attempt: 2)
    #expect(try mesh.clientEnd().header.status == .cancelled)
    let sent = mesh.h.take(mesh.encoder)
    #expect(sent.map(\.header.kind) == [.cancel, .request] && sent[1].header.attempt == first.attempt + 1)
  }
}
