import GLTP
import Testing

/// gltp-1.md 10.1, as a worker walks it.
@Suite struct WorkerSessionTests {
  @Test func opensASessionAndGrantsItsSlots() {
    var bench = WorkerBench(slots: 3)
    #expect(bench.happen(.added(link(0), name: "tcp://a")) == ["dial 0 after 0"])
    #expect(bench.happen(.connected(link(0))) == ["0 HELLO"])
    #expect(!bench.machine.isReady)
    #expect(bench.happen(.received(link(0), welcome(session: 100))) == ["0 CREDIT 3"])
    #expect(bench.machine.isReady)
    #expect(bench.notices == [.opened(sessionID: 100, peer: "gateway")])
    #expect(bench.lastSent?.header.sessionID == 100)
  }

  @Test func backsOffLongerAfterEachFailureUpToFiveSeconds() {
    var bench = WorkerBench()
    _ = bench.happen(.added(link(0), name: "tcp://a"))
    var waits: [String] = []
    for _ in 0..<8 { waits += bench.happen(.disconnected(link(0), reason: "refused")) }
    #expect(waits == [100, 200, 400, 800, 1600, 3200, 5000, 5000].map { "dial 0 after \($0)" })
  }

  @Test func aLastingSessionEndsTheBackOff() {
    var bench = WorkerBench()
    _ = bench.happen(.added(link(0), name: "tcp://a"))
    for _ in 0..<4 { _ = bench.happen(.disconnected(link(0), reason: "refused")) }
    _ = bench.happen(.connected(link(0)))
    _ = bench.happen(.received(link(0), welcome(session: 100)))
    // Broken at once: it goes on.
    #expect(bench.happen(.disconnected(link(0), reason: "reset")) == ["dial 0 after 1600"])
    _ = bench.happen(.connected(link(0)))
    _ = bench.happen(.received(link(0), welcome(session: 101)))
    bench.now += .seconds(5)
    #expect(bench.happen(.disconnected(link(0), reason: "reset")) == ["dial 0 after 100"])
  }

  @Test func dialsAgainWhenHelloIsNotAnswered() {
    var bench = WorkerBench()
    _ = bench.happen(.added(link(0), name: "tcp://a"))
    _ = bench.happen(.connected(link(0)))
    #expect(bench.pass(.milliseconds(4999)) == [])
    #expect(bench.pass(.milliseconds(1)) == ["dial 0 after 100"])
    #expect(bench.notices == [.failed(.noAnswer)])
    // No connection either.
    #expect(bench.pass(.milliseconds(5100)) == ["dial 0 after 200"])
  }

  @Test(arguments: [Status.version, .unauthorized])
  func tellsTheOperatorWhatOnlyHeCanMend(status: Status) {
    var bench = WorkerBench()
    _ = bench.happen(.added(link(0), name: "tcp://a"))
    _ = bench.happen(.connected(link(0)))
    #expect(
      bench.session(.reject(Reject(detail: "no")), status: status, session: 0) == ["dial 0 after 5000"])
    #expect(bench.notices.first == .needsOperator(status, detail: "no"))
  }

  @Test func aRefusalSaysWhenToComeBack() {
    var bench = WorkerBench()
    _ = bench.happen(.added(link(0), name: "tcp://a"))
    _ = bench.happen(.connected(link(0)))
    #expect(
      bench.session(.reject(Reject(retryAfterMilliseconds: 700)), status: .overloaded, session: 0)
        == ["dial 0 after 700"])
  }

  @Test func answersPingsAndSendsItsOwnWhenQuiet() {
    var bench = WorkerBench()
    _ = bench.open(0)
    #expect(bench.session(.ping, sequence: 17) == ["0 PONG 17"])
    #expect(bench.pass(.milliseconds(1999)) == [])
    #expect(bench.pass(.milliseconds(1)) == ["0 PING 1"])
    _ = bench.session(.pong, sequence: 1)
    #expect(bench.pass(.seconds(2)) == ["0 PING 2"])
  }

  @Test func silenceForTheExpiryEndsTheSession() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    #expect(
      bench.pass(.seconds(6)) == ["0 PING 1", "0 PING 2", "cancel 0", "dial 0 after 100"])
    #expect(!bench.machine.isReady)
  }

  @Test func aForgottenSessionStartsAgainOnTheSameConnection() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    #expect(
      bench.session(.reject(Reject()), status: .unknownSession) == ["cancel 0", "0 HELLO"])
    // Another refusal of the old session crosses the HELLO.
    #expect(bench.session(.reject(Reject()), status: .unknownSession) == [])
    // Until computation lets go of the orphan, its slot is not offered again.
    #expect(bench.happen(.received(link(0), welcome(session: 101))) == ["0 CREDIT 1"])
    #expect(bench.happen(.stopped(bench.runs[0])) == ["0 CREDIT 2"])
  }

  @Test func byeAndDisconnectionLoseTheRuns() {
    for isBye in [true, false] {
      var bench = WorkerBench()
      _ = bench.open(0)
      _ = bench.request(1)
      _ = bench.input(1, .candidates, 0)
      let words =
        isBye
        ? bench.session(.bye(detail: nil), status: .expired) : bench.happen(.disconnected(link(0), reason: "reset"))
      #expect(words == ["cancel 0", "dial 0 after 100"])
      #expect(bench.happen(.output(bench.runs[0], .ranking, "r", .provisional)) == [])
      #expect(bench.finish(0) == [])
      #expect(bench.machine.isIdle)
    }
  }

  @Test func messagesOfOtherSessionsAreLate() {
    var bench = WorkerBench()
    _ = bench.open(0)
    #expect(bench.session(.ping, session: 55) == [])
    #expect(bench.session(.bye(detail: nil), session: 55) == [])
    #expect(bench.session(.hello(Hello(role: .gateway))) == [])
    #expect(bench.machine.counters.late == 3)
    #expect(bench.machine.sessionCount == 1)
  }

  @Test func structuralErrorsCloseTheSession() {
    var bench = WorkerBench()
    _ = bench.open(0)
    #expect(
      bench.happen(.refused(link(0), nil, .closesSession, detail: "magic"))
        == ["0 BYE PROTOCOL", "dial 0 after 100"])
  }

  @Test func theThirdDamagedHeadWithinAMinuteClosesTheSession() {
    var bench = WorkerBench()
    _ = bench.open(0)
    let damaged = WorkerEvent<NamedBulk>.refused(link(0), nil, .failsRequest, detail: "headChecksum")
    #expect(bench.happen(damaged) == [])
    bench.now += .milliseconds(1)
    #expect(bench.happen(damaged) == [])
    #expect(bench.happen(damaged) == ["0 BYE PROTOCOL", "dial 0 after 100"])
  }

  @Test func drainsFinishesAndLeaves() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.request(1)
    #expect(
      bench.happen(.drain(limit: .seconds(30))) == ["1 DRAIN", "0 DRAIN", "1 BYE OK", "close 1"])
    #expect(!bench.machine.isReady)
    #expect(bench.request(2) == ["0 END 2 DRAINING"])
    #expect(bench.finish(0) == ["0 END 1 OK best", "0 BYE OK", "close 0", "exit drained"])
    #expect(bench.machine.nextTimer == .distantFuture)
  }

  @Test func aDrainDoesNotWaitForEver() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    _ = bench.happen(.drain(limit: .seconds(1)))
    #expect(
      bench.pass(.seconds(1)) == ["cancel 0", "0 BYE OK", "close 0", "exit drainLimit(unfinished: 1)"])
  }

  @Test func aGatewayThatIsRemovedIsLeftInOrder() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.request(1, on: 0)
    #expect(bench.happen(.removed(link(0))) == ["0 DRAIN"])
    #expect(bench.request(2, on: 0) == ["0 END 2 DRAINING"])
    #expect(bench.finish(0).prefix(3) == ["0 END 1 OK best", "0 BYE OK", "close 0"])
    #expect(bench.machine.isReady)
    #expect(bench.machine.sessionCount == 1)
  }

  @Test func statusIsAnsweredWithAReport() {
    var bench = WorkerBench()
    _ = bench.open(0)
    #expect(bench.session(.status) == ["report 0 99"])
  }
}
