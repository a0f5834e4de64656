import GLTP
import Testing

/// How slots are split over gateways (gltp-1.md 6.7).
@Suite struct WorkerCreditTests {
  @Test func oneGatewayHasAllSlotsAndGetsThemBack() {
    var bench = WorkerBench(slots: 2)
    #expect(bench.open(0).last == "0 CREDIT 2")
    _ = bench.request(1)
    _ = bench.request(2)
    #expect(bench.request(3) == ["0 END 3 OVERLOADED"])
    #expect(bench.finish(0) == ["0 END 1 OK best", "0 CREDIT 3"])
  }

  @Test func eachGatewayHasOneSlotAtLeast() {
    var bench = WorkerBench(slots: 1)
    #expect(bench.open(0).last == "0 CREDIT 1")
    #expect(bench.open(1).last == "1 CREDIT 1")
    #expect(bench.open(2).last == "2 CREDIT 1")
  }

  /// Two gateways, of which one at a time has all the work there is.
  @Test func slotsFollowDemand() {
    var bench = WorkerBench(slots: 6)
    var total = [0, 0]
    var used = [0, 0]
    func learn(_ words: [String]) {
      for word in words.map({ $0.split(separator: " ") }) where word.count == 3 && word[1] == "CREDIT" {
        total[Int(word[0]) ?? 0] = Int(word[2]) ?? 0
      }
    }
    learn(bench.open(0) + bench.open(1))
    #expect(total == [6, 1])
    var running: [Int] = []
    for busy in [0, 1, 0] {
      for _ in 0..<20 {
        while used[busy] < total[busy] {
          used[busy] += 1
          learn(bench.request(UInt64(1000 * busy + used[busy]), on: UInt32(busy)))
          running.append(bench.runs.count - 1)
        }
        learn(bench.finish(running.removeFirst()))
      }
      #expect(running.count >= 4, "the busy one has all slots but one, or nearly")
      #expect(running.count <= 6)
    }
  }

  @Test func aSlotThatComputationStillHoldsIsNotOffered() {
    var bench = WorkerBench(slots: 1)
    _ = bench.open(0)
    _ = bench.request(1, budget: 100)
    _ = bench.happen(.computing(bench.runs[0], .candidates))
    #expect(bench.pass(.milliseconds(100)) == ["0 END 1 DEADLINE", "cancel 0"])
    #expect(bench.happen(.stopped(bench.runs[0])) == ["0 CREDIT 2"])
  }

  @Test func refusedRequestsGiveTheirCreditBack() {
    var bench = WorkerBench(slots: 1)
    _ = bench.open(0)
    #expect(bench.request(1, bundle: bundleTwo) == ["0 END 1 BUNDLE_GONE", "0 CREDIT 2"])
    #expect(bench.request(2, stage: .aligner) == ["0 END 2 BAD_REQUEST", "0 CREDIT 3"])
  }
}
