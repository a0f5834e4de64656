import GLTP
import Testing

/// gltp-1.md 10.4, row by row.
@Suite struct WorkerRunTests {
  @Test func encodesThroughItsWindows() {
    var bench = WorkerBench(.encoder)
    _ = bench.open(0)
    #expect(bench.request(1, budget: 500) == ["start 0"])
    #expect(bench.starts[0].deadline == bench.now + .milliseconds(500))
    let run = bench.runs[0]
    bench.now += .milliseconds(2)
    _ = bench.happen(.computing(run, .none))
    #expect(
      bench.happen(.output(run, .instruction, "user", .final))
        == ["0 PARTIAL 1 instruction 0 +final user", "release 0 instruction 1"])
    #expect(bench.lastSent?.header.budgetMilliseconds == 498)
    var sent: [String] = []
    for number in 0..<6 {
      sent += bench.happen(.output(run, .candidates, NamedBulk("c\(number)"), number == 5 ? .final : []))
    }
    #expect(sent.count == 8)
    #expect(bench.finish(0, ranking: nil) == [], "two chunks wait for the window")
    #expect(bench.ack(1, .candidates, 1) == ["0 PARTIAL 1 candidates 4 c4", "release 0 candidates 1"])
    #expect(bench.ack(1, .candidates, 1) == [], "a repeated ACK says nothing")
    #expect(
      bench.ack(1, .candidates, 3)
        == ["0 PARTIAL 1 candidates 5 +final c5", "release 0 candidates 1", "0 END 1 OK", "0 CREDIT 3"])
    #expect(bench.machine.isIdle)
  }

  @Test func timingSaysHowLongTheRunQueued() {
    var bench = WorkerBench(.aligner)
    _ = bench.open(0)
    _ = bench.request(1, attempt: 1)
    bench.now += .milliseconds(50)
    _ = bench.input(1, .instruction, 0, final: true)
    bench.now += .milliseconds(3)
    _ = bench.happen(.computing(bench.runs[0], .instruction))
    bench.now += .milliseconds(5)
    _ = bench.happen(.output(bench.runs[0], .instruction, "prompt", .final))
    _ = bench.finish(0, ranking: nil)
    #expect(bench.lastEnd?.alignerTiming == RunTiming(attempt: 1, queue: 3000, decode: 1, compute: 2, encode: 3))
  }

  @Test func acknowledgesWhileThereIsRoom() {
    var bench = WorkerBench(inputRoom: 2)
    _ = bench.open(0)
    _ = bench.request(1)
    #expect(bench.input(1, .candidates, 0) == ["deliver 0 candidates 0 c0", "0 ACK 1 candidates 1"])
    #expect(bench.input(1, .candidates, 1) == ["deliver 0 candidates 1 c1", "0 ACK 1 candidates 2"])
    #expect(bench.input(1, .candidates, 2) == ["deliver 0 candidates 2 c2"], "two wait, and that is all the room")
    #expect(bench.happen(.computing(bench.runs[0], .candidates)) == ["0 ACK 1 candidates 3"])
    #expect(bench.input(1, .candidates, 3, final: true) == ["deliver 0 candidates 3 c3 +final"])
  }

  @Test func dropsDuplicatesAndFailsAtGaps() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    _ = bench.input(1, .candidates, 0)
    #expect(bench.input(1, .candidates, 0) == [])
    #expect(bench.machine.counters.late == 1)
    #expect(
      bench.input(1, .candidates, 2) == ["0 END 1 SEQUENCE_GAP candidates 2", "cancel 0"])
    #expect(bench.happen(.stopped(bench.runs[0])) == ["0 CREDIT 3"])
    #expect(bench.input(1, .candidates, 1) == [], "late")
  }

  @Test func nothingFollowsFinal() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    _ = bench.input(1, .instruction, 0, final: true)
    #expect(bench.input(1, .instruction, 1) == ["0 END 1 INTERNAL instruction 1", "cancel 0"])
  }

  @Test func namesTheDamagedChunk() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    _ = bench.input(1, .candidates, 0)
    let header = bench.header(.input, 1, on: 0, stream: .candidates, sequence: 1)
    #expect(
      bench.happen(.refused(link(0), header, .failsRequest, detail: "payloadChecksum"))
        == ["0 END 1 CORRUPT candidates 1", "cancel 0"])
    #expect(bench.machine.sessionCount == 1, "the gateway only forwarded it")
  }

  @Test func memoryThatRunsOutIsOverload() {
    var bench = WorkerBench()
    _ = bench.open(0)
    let header = bench.header(.request, 1, on: 0)
    #expect(
      bench.happen(.refused(link(0), header, .overloaded, detail: "decodeBudget"))
        == ["0 END 1 OVERLOADED", "0 CREDIT 3"])
  }

  @Test func keepsOnlyTheNewestRankingBehindAClosedWindow() {
    var bench = WorkerBench()
    _ = bench.open(0, window: 2)
    _ = bench.request(1)
    let run = bench.runs[0]
    #expect(bench.happen(.output(run, .ranking, "r0", .provisional)) == ["0 PARTIAL 1 ranking 0 +provisional r0"])
    #expect(bench.happen(.output(run, .ranking, "r1", [])) == ["0 PARTIAL 1 ranking 1 r1"])
    #expect(bench.happen(.output(run, .ranking, "r2", [])) == [])
    #expect(bench.happen(.output(run, .ranking, "r3", [])) == [])
    #expect(bench.ack(1, .ranking, 1) == ["0 PARTIAL 1 ranking 2 r3"])
    #expect(bench.happen(.output(run, .ranking, "r4", [])) == [])
    #expect(bench.finish(0) == ["0 END 1 OK best", "0 CREDIT 3"], "what waited is not worth sending")
  }

  @Test func cancelGivesTheNewestRanking() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    _ = bench.happen(.output(bench.runs[0], .ranking, "r0", .provisional))
    #expect(bench.cancel(1, attempt: 2) == [], "another attempt's")
    #expect(bench.cancel(1) == ["0 END 1 CANCELLED +provisional +incomplete r0", "cancel 0"])
    #expect(bench.cancel(1) == [], "idempotent")
    #expect(bench.happen(.stopped(bench.runs[0])) == ["0 CREDIT 3"])
    #expect(bench.cancel(7) == [], "unknown")
  }

  @Test func theDeadlineDoesNotWaitForComputation() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1, budget: 300)
    #expect(bench.starts[0].wantsProvisional)
    _ = bench.happen(.computing(bench.runs[0], .candidates))
    _ = bench.happen(.output(bench.runs[0], .ranking, "r0", []))
    #expect(bench.pass(.milliseconds(299)) == [])
    #expect(bench.pass(.milliseconds(1)) == ["0 END 1 DEADLINE +incomplete r0", "cancel 0"])
    #expect(bench.finish(0) == ["0 CREDIT 3"])
  }

  @Test(arguments: [Status.unknownUser, .notEnoughItems, .overloaded, .corrupt])
  func failuresOfComputationHaveTheirStatus(status: Status) {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    #expect(bench.happen(.failed(bench.runs[0], RunFailure(status))) == ["0 END 1 \(status)", "0 CREDIT 3"])
  }

  @Test func aStageThatBreaksItsContractFailsTheRunOnly() {
    var bench = WorkerBench(.aligner, slots: 4)
    _ = bench.open(0)
    for number in 1...4 { _ = bench.request(UInt64(number)) }
    #expect(bench.finish(0, ranking: nil).first == "0 END 1 INTERNAL", "no FINAL")
    #expect(bench.happen(.output(bench.runs[1], .candidates, "x", [])).first == "0 END 2 INTERNAL", "no such stream")
    _ = bench.happen(.output(bench.runs[2], .instruction, "p", .final))
    #expect(bench.happen(.output(bench.runs[2], .instruction, "q", .final)).first == "0 END 3 INTERNAL", "after FINAL")
    #expect(bench.happen(.stopped(bench.runs[3])).first == "0 END 4 INTERNAL", "stopped unasked")
    var ranker = WorkerBench()
    _ = ranker.open(0)
    _ = ranker.request(1)
    #expect(ranker.finish(0, ranking: nil).first == "0 END 1 INTERNAL")
  }

  @Test func moreAcknowledgedThanSentIsAViolation() {
    var bench = WorkerBench()
    _ = bench.open(0)
    _ = bench.request(1)
    #expect(bench.ack(1, .ranking, 1) == ["0 BYE PROTOCOL", "cancel 0", "dial 0 after 100"])
  }

  @Test func aRepeatedRequestIsIgnoredAndAnotherAttemptIsNot() {
    var bench = WorkerBench()
    _ = bench.open(0)
    #expect(bench.request(1) == ["start 0"])
    #expect(bench.request(1) == [])
    #expect(bench.request(1, attempt: 2) == ["start 1"])
  }

  @Test func theSameRequestThroughTwoGatewaysIsTwoRuns() {
    var bench = WorkerBench(slots: 4)
    _ = bench.open(0)
    _ = bench.open(1)
    #expect(bench.request(1, on: 0).first == "start 0")
    #expect(bench.request(1, on: 1).first == "start 1")
    _ = bench.happen(.disconnected(link(0), reason: "killed"))
    #expect(bench.finish(1).first == "1 END 1 OK best")
  }

  @Test func aStuckComputationGivesItsRunAwayAndLeaves() {
    var bench = WorkerBench(slots: 2)
    _ = bench.open(0)
    _ = bench.request(1)
    _ = bench.request(2)
    _ = bench.happen(.computing(bench.runs[0], .candidates))
    _ = bench.happen(.computing(bench.runs[1], .none))
    _ = bench.happen(.idle(bench.runs[1]))
    // Idle runs and runs that make progress are not stuck.
    for second in 0..<19 {
      bench.now += .seconds(1)
      _ = bench.session(.ping)
      if second == 9 { _ = bench.happen(.output(bench.runs[0], .ranking, "r", [])) }
    }
    #expect(bench.machine.isReady)
    var words: [String] = []
    for _ in 0..<11 {
      _ = bench.session(.ping)
      words += bench.pass(.seconds(1)).filter { !$0.contains("PING") }
    }
    #expect(words == ["0 END 1 INTERNAL", "cancel 0", "0 DRAIN"])
    #expect(!bench.machine.isReady)
    #expect(
      bench.pass(.seconds(3)).filter { !$0.contains("PING") }
        == ["cancel 1", "0 BYE INTERNAL", "close 0", "exit stuck(\(requestID(1)))"])
  }

  @Test func aRunThatNoFreeThreadTakesIsStuckToo() {
    var bench = WorkerBench(slots: 1)
    _ = bench.open(0)
    _ = bench.request(1)
    var words: [String] = []
    for _ in 0..<21 {
      _ = bench.session(.ping)
      words += bench.pass(.seconds(1)).filter { !$0.contains("PING") }
    }
    // Nothing else runs: it leaves at once.
    #expect(words.prefix(3) == ["0 END 1 INTERNAL", "cancel 0", "0 DRAIN"])
    #expect(words.last == "exit stuck(\(requestID(1)))")
  }

  @Test func aRunThatWaitsBehindAnotherIsNotStuck() {
    var bench = WorkerBench(slots: 1)
    _ = bench.open(0)
    _ = bench.open(1)
    _ = bench.request(1)
    _ = bench.request(2, on: 1)
    // The first waits for its input for as long as it likes.
    _ = bench.happen(.computing(bench.runs[0], .none))
    _ = bench.happen(.idle(bench.runs[0]))
    for _ in 0..<60 {
      _ = bench.session(.ping)
      _ = bench.session(.ping, on: 1)
      _ = bench.pass(.seconds(1))
    }
    #expect(bench.machine.isReady)
  }
}
