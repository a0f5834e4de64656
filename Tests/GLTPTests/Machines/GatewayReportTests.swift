import GLTP
import Testing

/// STATUS, REPORT and drain (gltp-1.md 5.6, 6.8).
@Suite struct GatewayReportTests {
  private let pool = BufferPool()

  private func report() -> MessageBody {
    .report(StatusReport(json: pool.vector(.report, .u8, Array("{}".utf8))))
  }

  private func askStatus(_ mesh: SmallMesh, _ number: UInt64 = 1) {
    mesh.h.send(MessageHeader(.status, requestID: GatewayHarness.id(number)), .status, from: mesh.client)
  }

  @Test func aStatusIsAnsweredWhenAllWorkersHaveReported() throws {
    let mesh = SmallMesh()
    askStatus(mesh)
    for worker in [mesh.encoder, mesh.aligner, mesh.ranker] {
      #expect(mesh.h.reports.isEmpty && mesh.h.take(worker).map(\.header.kind) == [.status])
      mesh.h.send(MessageHeader(.report), report(), from: worker)
    }
    let answer = try #require(mesh.h.reports.first)
    #expect(answer.peer == mesh.client.id && answer.header.kind == .report)
    #expect(answer.header.requestID == GatewayHarness.id(1) && answer.header.sessionID == mesh.client.session)
    #expect(answer.report.sessions.count == 4 && answer.report.bundle == GatewayHarness.bundle)
    #expect(answer.report.sessions.filter { $0.report != nil }.map(\.role) == [.encoder, .aligner, .ranker])
    // Within a second nobody is asked again.
    askStatus(mesh, 2)
    #expect(mesh.h.reports.count == 2 && mesh.h.take(mesh.encoder).isEmpty)
  }

  @Test func aStatusDoesNotWaitForLong() throws {
    let mesh = SmallMesh()
    askStatus(mesh)
    mesh.h.send(MessageHeader(.report), report(), from: mesh.encoder)
    mesh.h.pass(.milliseconds(249))
    #expect(mesh.h.reports.isEmpty)
    mesh.h.pass(.milliseconds(1))
    #expect(mesh.h.reports.first?.report.sessions.count { $0.report != nil } == 1)
    mesh.h.pass(.seconds(1))
    #expect(mesh.h.machine.report().sessions.allSatisfy { $0.report == nil })
  }

  @Test func aWorkerThatIsLostIsNotWaitedFor() throws {
    let mesh = SmallMesh()
    askStatus(mesh)
    mesh.h.send(MessageHeader(.report), report(), from: mesh.encoder)
    mesh.h.send(MessageHeader(.report), report(), from: mesh.aligner)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    #expect(mesh.h.reports.count == 1)
  }

  @Test func aGatewayWithoutWorkersAnswersAtOnceAndQuestionsAreBounded() {
    let h = GatewayHarness()
    let client = h.client()
    h.send(MessageHeader(.status, requestID: GatewayHarness.id(1)), .status, from: client)
    #expect(h.reports.count == 1)
    let mesh = SmallMesh { $0.maximumStatuses = 3 }
    for number in 1...10 {
      if number > 5 { mesh.client = mesh.h.client() }
      askStatus(mesh, UInt64(number))
    }
    // Of the first client one waits, two of the others, and the last three are answered from what is there.
    #expect(mesh.h.reports.count == 3 && mesh.h.machine.footprint.pendingStatuses == 3)
  }

  @Test func aReportHasRoomForAllWorkersAndSomeClients() {
    let mesh = SmallMesh { $0.maximumReportedSessions = 5 }
    for _ in 0..<10 { _ = mesh.h.client() }
    #expect(mesh.h.machine.report().sessions.map(\.role) == [.encoder, .aligner, .ranker, .client, .client])
  }

  @Test func theReportCountsWhatHappened() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker(1)
    mesh.h.now += .milliseconds(5)
    mesh.h.end(of: runs.ranker, from: mesh.ranker)
    mesh.h.request(2, from: mesh.client)
    let report = mesh.h.machine.report()
    #expect(report.counters.accepted == 2 && report.counters.endsByStatus[0] == 1 && report.inFlight == 1)
    #expect(report.stages.map(\.runs) == [1, 1, 1] && report.stages[2].compute == 30)
    #expect(report.stages[2].elapsed == 5000)
    let encoder = try #require(report.sessions.first { $0.role == .encoder })
    #expect(encoder.credit == 2 && encoder.inFlight == 1 && encoder.slots == 4)
  }

  @Test func canariesAreLeftOut() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker(flags: .canary)
    #expect(runs.ranker.flags.contains(.canary))
    mesh.h.end(of: runs.ranker, from: mesh.ranker)
    let report = mesh.h.machine.report()
    #expect(report.counters.endsByStatus[0] == 0 && report.stages.map(\.runs) == [0, 0, 0])
    #expect(try mesh.clientEnd().header.status == .ok)
  }

  // MARK: Drain

  @Test func aDrainingGatewayFinishesWhatItHas() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker(1)
    mesh.h.handle(.drain)
    for peer in mesh.all { #expect(mesh.h.sent[peer.id]?.last?.header.kind == .drain) }
    _ = mesh.h.take(mesh.client)
    mesh.h.request(2, from: mesh.client)
    let refused = try mesh.clientEnd()
    #expect(refused.header.status == .draining && refused.end.retryAfterMilliseconds != nil)
    #expect(mesh.h.hello(Hello(role: .client), as: mesh.h.newPeer(.clients))?.header.status == .draining)
    #expect(!mesh.h.hasDrained)
    mesh.h.end(of: runs.ranker, from: mesh.ranker)
    let last = mesh.h.take(mesh.client)
    #expect(last.map(\.header.kind) == [.end, .bye] && last[1].header.status == .ok)
    #expect(mesh.h.hasDrained && mesh.h.machine.footprint.sessions == 0)
  }

  @Test func anIdleGatewayDrainsAtOnce() {
    let mesh = SmallMesh()
    mesh.h.handle(.drain)
    #expect(mesh.h.hasDrained)
    for peer in mesh.all { #expect(mesh.h.take(peer).map(\.header.kind) == [.drain, .bye]) }
    #expect(
      mesh.h.hello(Hello(role: .ranker, slots: 1, bundles: [GatewayHarness.bundle]), as: mesh.h.newPeer(.workers))?
        .header.status == .draining)
  }

  @Test func aWorkerMayReplaceALostOneWhileTheGatewayDrains() throws {
    let mesh = SmallMesh()
    _ = try mesh.reachRanker()
    mesh.h.handle(.drain)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    let ranker = mesh.h.worker(.ranker)
    let sent = mesh.h.take(ranker)
    #expect(sent.map(\.header.kind) == [.drain, .request, .input, .input] || sent.first?.header.kind == .request)
    mesh.h.end(of: try #require(sent.first { $0.header.kind == .request }).header, from: ranker)
    #expect(mesh.h.hasDrained)
  }
}
