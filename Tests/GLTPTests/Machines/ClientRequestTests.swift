import GLTP
import Testing

/// gltp-1.md 10.5, row by row.
@Suite struct ClientRequestTests {
  @Test func ranksWithSnapshots() {
    var bench = ClientBench()
    _ = bench.open(0)
    #expect(bench.rank(1) == ["0 REQUEST 1 attempt 1 +stream"])
    #expect(bench.lastSent?.header.budgetMilliseconds == 1000)
    #expect(
      bench.snapshot(1, 0, flags: .provisional) == ["snapshot 1 s0 provisional", "0 ACK 1 ranking 1"])
    #expect(bench.snapshot(1, 0) == [], "a duplicate")
    #expect(bench.snapshot(1, 1) == ["snapshot 1 s1", "0 ACK 1 ranking 2"])
    #expect(bench.end(1) == ["ranked 1 best"])
    #expect(bench.end(1) == [], "the first END only")
    #expect(bench.snapshot(1, 2) == [])
    #expect(bench.machine.counters.late == 3)
    #expect(bench.machine.isIdle)
  }

  @Test func waitsForASession() {
    var bench = ClientBench()
    #expect(bench.happen(.added(link(0), name: "tcp://a")) == ["dial 0 after 0"])
    #expect(bench.rank(1) == [])
    bench.now += .milliseconds(200)
    #expect(bench.happen(.connected(link(0))) == ["0 HELLO"])
    #expect(
      bench.happen(.received(link(0), welcome(session: 100))) == ["0 REQUEST 1 attempt 1 +stream"])
    #expect(bench.lastSent?.header.budgetMilliseconds == 800)
  }

  @Test func namesEachGatewayThatCouldNotBeReached() throws {
    var bench = ClientBench()
    _ = bench.happen(.added(link(0), name: "tcp://a:1"))
    _ = bench.happen(.added(link(1), name: "tcp://b:2"))
    _ = bench.happen(.added(link(2), name: "tcp://c:3"))
    _ = bench.rank(1, budget: 20_000)
    _ = bench.happen(.disconnected(link(0), reason: "connection refused"))
    _ = bench.happen(.connected(link(1)))
    _ = bench.happen(.connected(link(2)))
    _ = bench.session(.reject(Reject(detail: "clients' keys only")), on: 2, status: .unauthorized, session: 0)
    let words = bench.pass(.seconds(5))
    #expect(words.contains("failed 1 unreachable"))
    let failure = try #require(bench.failure)
    #expect(
      failure.gateways.map(\.description) == [
        "tcp://a:1: no connection: connection refused",
        "tcp://b:2: no connection: connected, HELLO not answered yet",
        "tcp://c:3: refused with UNAUTHORIZED: clients' keys only",
      ])
    #expect(failure.detail.contains("tcp://a:1"))
  }

  @Test func withoutAnyGatewayItStillEnds() {
    var bench = ClientBench()
    _ = bench.rank(1, budget: 300)
    #expect(bench.pass(.milliseconds(300)) == ["failed 1 unreachable"])
  }

  @Test func zeroMeansTenSecondsAndHoursMeanTenMinutes() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1, budget: 0)
    #expect(bench.lastSent?.header.budgetMilliseconds == 10_000)
    _ = bench.rank(2, budget: 9_000_000)
    #expect(bench.lastSent?.header.budgetMilliseconds == 600_000)
  }

  @Test func aGapGoesElsewhere() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    _ = bench.snapshot(1, 0)
    bench.now += .milliseconds(100)
    #expect(bench.snapshot(1, 2) == ["0 CANCEL 1", "1 REQUEST 1 attempt 2 +stream +retry"])
    #expect(bench.lastSent?.header.budgetMilliseconds == 900)
    #expect(bench.end(1, .cancelled) == [], "the old attempt's END is late")
    #expect(bench.snapshot(1, 0, on: 1, attempt: 2) == ["snapshot 1 s0", "1 ACK 1 ranking 1"])
    #expect(bench.end(1, on: 1, attempt: 2) == ["ranked 1 best"])
  }

  @Test func aDamagedMessageGoesElsewhere() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1)
    let header = bench.header(.partial, 1, on: 0, stream: .ranking)
    #expect(
      bench.happen(.refused(link(0), header, .failsRequest, detail: "payloadChecksum"))
        == ["0 CANCEL 1", "0 REQUEST 1 attempt 2 +stream +retry"])
  }

  @Test func aLostSessionGoesElsewhereWithTheSameRequest() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    #expect(
      bench.happen(.disconnected(link(0), reason: "reset"))
        == ["dial 0 after 100", "1 REQUEST 1 attempt 2 +stream +retry"])
    #expect(bench.end(1, on: 1, attempt: 2) == ["ranked 1 best"])
  }

  @Test func aLostSessionWaitsForTheNextOneIfNeedBe() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1, budget: 8000)
    _ = bench.snapshot(1, 0)
    #expect(bench.session(.bye(detail: nil), status: .expired) == ["dial 0 after 100"])
    #expect(bench.happen(.connected(link(0))) == ["0 HELLO"])
    #expect(
      bench.happen(.received(link(0), welcome(session: 101))) == ["0 REQUEST 1 attempt 2 +stream +retry"])
    #expect(bench.happen(.disconnected(link(0), reason: "again")) == ["dial 0 after 200"])
    let words = bench.pass(.seconds(5))
    #expect(words.contains("failed 1 unreachable s0"), "with the newest ranking: \(words)")
  }

  @Test func atMostThreeAttempts() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.open(2)
    _ = bench.rank(1)
    #expect(bench.happen(.disconnected(link(0), reason: "x")).last == "1 REQUEST 1 attempt 2 +stream +retry")
    #expect(bench.happen(.disconnected(link(1), reason: "y")).last == "2 REQUEST 1 attempt 3 +stream +retry")
    #expect(bench.happen(.disconnected(link(2), reason: "z")).last == "failed 1 lost")
    #expect(bench.failure?.gateways.map(\.name) == ["tcp://g0", "tcp://g1", "tcp://g2"])
  }

  @Test func anOverloadedGatewayIsLeftForAnotherAtOnce() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    #expect(bench.end(1, .overloaded, retryAfter: 400) == ["1 REQUEST 1 attempt 2 +stream +retry"])
    // Both are overloaded now: not before the time that the second asked for.
    #expect(bench.end(1, .overloaded, on: 1, attempt: 2, retryAfter: 300) == [])
    #expect(bench.pass(.milliseconds(299)) == [])
    #expect(bench.pass(.milliseconds(1)).last?.hasSuffix("REQUEST 1 attempt 3 +stream +retry") == true)
  }

  @Test func aPauseBeyondTheDeadlineIsNotWaitedFor() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1, budget: 1000)
    #expect(bench.end(1, .overloaded, retryAfter: 5000) == ["failed 1 ended OVERLOADED"])
    #expect(bench.failure?.retryAfterMilliseconds == 5000)
  }

  @Test(arguments: [Status.internal, .corrupt])
  func oneRetryOnly(status: Status) {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    #expect(bench.end(1, status) == ["1 REQUEST 1 attempt 2 +stream +retry"])
    #expect(bench.end(1, status, on: 1, attempt: 2) == ["failed 1 ended \(status)"])
  }

  @Test(arguments: [
    Status.badRequest, .unsupported, .poisoned, .unknownUser, .unknownItem, .notEnoughItems, .stalled, .bundleGone,
    Status(rawValue: 999),
  ])
  func otherStatusesAreTheAnswer(status: Status) {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    #expect(bench.end(1, status) == ["failed 1 ended \(status)"])
  }

  @Test func aDeadlineBringsTheBestSoFar() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1)
    _ = bench.snapshot(1, 0, flags: .provisional)
    #expect(
      bench.end(1, .deadline, ranking: "prior", flags: [.provisional, .incomplete])
        == ["failed 1 ended DEADLINE prior"])
    #expect(bench.failure?.isProvisional == true)
  }

  @Test func aSilentGatewayCannotHoldTheApplication() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1)
    _ = bench.snapshot(1, 0)
    #expect(bench.pass(.milliseconds(1249)) == [])
    #expect(bench.pass(.milliseconds(1)) == ["failed 1 deadline DEADLINE s0"])
  }

  @Test func cancelTellsTheGateway() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1)
    #expect(bench.happen(.cancel(requestID(1))) == ["0 CANCEL 1", "failed 1 cancelled CANCELLED"])
    #expect(bench.happen(.cancel(requestID(1))) == [])
    #expect(bench.end(1, .cancelled) == [])
  }

  @Test func anEndWithoutItsRankingIsNoAnswer() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1)
    let message = PeerMessage<NamedBulk>(bench.header(.end, 1, on: 0), .end(RunEnd(), ranking: nil))
    #expect(
      bench.happen(.received(link(0), message)) == ["0 CANCEL 1", "0 REQUEST 1 attempt 2 +stream +retry"])
  }

  @Test func requestsGoToTheGatewayWithTheFewest() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    #expect((1...4).map { bench.rank($0)[0].prefix(1) } == ["0", "1", "0", "1"])
    _ = bench.end(2, on: 1)
    _ = bench.end(4, on: 1)
    #expect((5...6).map { bench.rank($0)[0].prefix(1) } == ["1", "1"])
  }
}
