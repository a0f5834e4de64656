import GLTP
import Testing

/// gltp-1.md 10.1, where a client differs from a worker.
@Suite struct ClientSessionTests {
  @Test func aDrainingGatewayGetsNothingNew() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    #expect(bench.session(.drain(detail: nil)) == [])
    #expect((2...4).map { bench.rank($0)[0].prefix(1) } == ["1", "1", "1"])
    #expect(bench.end(1) == ["ranked 1 best"], "what it has it finishes")
    #expect(bench.session(.bye(detail: nil)) == ["dial 0 after 100"])
  }

  @Test func aRefusalForDrainingGoesElsewhere() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    #expect(bench.end(1, .draining) == ["1 REQUEST 1 attempt 2 +stream +retry"])
  }

  @Test func aForgottenSessionSendsItsRequestsElsewhere() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.rank(1)
    #expect(
      bench.session(.reject(Reject()), status: .unknownSession) == ["0 HELLO", "1 REQUEST 1 attempt 2 +stream +retry"])
  }

  @Test func closesWhenAllIsAnswered() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.happen(.added(link(1), name: "tcp://never"))
    _ = bench.rank(1)
    #expect(bench.happen(.close(cancelling: false)) == ["0 DRAIN"])
    #expect(bench.rank(2) == ["failed 2 closed CANCELLED"])
    #expect(bench.end(1) == ["ranked 1 best", "close 1", "0 BYE OK", "close 0", "closed"])
    #expect(bench.machine.nextTimer == .distantFuture)
  }

  @Test func closesAtOnceWhenAskedTo() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1)
    _ = bench.rank(2)
    #expect(
      bench.happen(.close(cancelling: true)) == [
        "0 DRAIN", "0 CANCEL 1", "failed 1 closed CANCELLED", "0 CANCEL 2", "failed 2 closed CANCELLED", "0 BYE OK",
        "close 0", "closed",
      ])
  }

  @Test func gatewaysComeAndGo() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1)
    #expect(bench.happen(.removed(link(0))) == ["0 DRAIN"])
    _ = bench.open(1)
    #expect(bench.rank(2) == ["1 REQUEST 2 attempt 1 +stream"])
    #expect(bench.end(1) == ["ranked 1 best", "0 BYE OK", "close 0"])
  }

  @Test func asksForReports() {
    var bench = ClientBench()
    _ = bench.happen(.added(link(0), name: "tcp://a"))
    #expect(bench.happen(.status(requestID(99), link(0), limit: .seconds(2))) == [])
    _ = bench.happen(.connected(link(0)))
    #expect(bench.happen(.received(link(0), welcome(session: 100))) == ["0 STATUS 99"])
    let json = BufferPool().vector(.report, .u8, Array("{}".utf8))
    #expect(bench.session(.report(StatusReport(json: json))) == ["report 99"])
    #expect(bench.session(.report(StatusReport(json: json))) == [], "late")
    #expect(bench.happen(.status(requestID(98), link(0), limit: .seconds(1))) == ["0 STATUS 98"])
    #expect(bench.pass(.seconds(1)) == ["no report 98: session lost: the request has not been answered"])
  }

  @Test func silenceForTheExpirySendsRequestsElsewhere() {
    var bench = ClientBench()
    _ = bench.open(0)
    _ = bench.rank(1, budget: 20_000)
    bench.now += .seconds(5)
    _ = bench.open(1)
    let words = bench.pass(.seconds(1))
    #expect(words.contains("1 REQUEST 1 attempt 2 +stream +retry"), "\(words)")
  }
}
