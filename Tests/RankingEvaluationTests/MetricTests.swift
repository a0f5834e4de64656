import Foundation
import Interactions
import RankingEvaluation
import Tensors
import TestSupport
import Testing

/// Metrics worked out by hand.
struct MetricTests {
  /// Hits at ranks 1, 3 and 6; four relevant items.
  private let hits = [true, false, true, false, false, true, false, false, false, false]

  @Test func precisionRecallHitAndReciprocalRank() {
    #expect(RankingMetrics.precision(hits: hits, at: 5) == 2.0 / 5)
    #expect(RankingMetrics.precision(hits: hits, at: 10) == 3.0 / 10)
    // Fewer items than k: k stays the divisor.
    #expect(RankingMetrics.precision(hits: hits, at: 20) == 3.0 / 20)
    #expect(RankingMetrics.recall(hits: hits, relevant: 4, at: 5) == 2.0 / 4)
    #expect(RankingMetrics.recall(hits: hits, relevant: 4, at: 10) == 3.0 / 4)
    #expect(RankingMetrics.hitRate(hits: [false, false, true], at: 2) == 0)
    #expect(RankingMetrics.hitRate(hits: [false, false, true], at: 3) == 1)
    #expect(RankingMetrics.reciprocalRank(hits: [false, false, true], at: 5) == 1.0 / 3)
    #expect(RankingMetrics.reciprocalRank(hits: [false, false, true], at: 2) == 0)
  }

  @Test func ndcg() {
    // DCG@5 = 1/log2(2) + 1/log2(4) = 1.5; the ideal has four hits: 1 + 0.63093 + 0.5 + 0.43068 = 2.56161.
    #expect(abs(RankingMetrics.ndcg(hits: hits, relevant: 4, at: 5) - 1.5 / 2.561_606_31) < 1e-8)
    // DCG@10 adds 1/log2(7) = 0.35621.
    #expect(abs(RankingMetrics.ndcg(hits: hits, relevant: 4, at: 10) - (1.5 + 0.356_207_19) / 2.561_606_31) < 1e-8)
    // With one relevant item the ideal is 1, whatever k.
    #expect(abs(RankingMetrics.ndcg(hits: [false, true], relevant: 1, at: 10) - 1 / log2(3)) < 1e-12)
    #expect(RankingMetrics.ndcg(hits: [true, true, true], relevant: 9, at: 3) == 1)
    #expect(RankingMetrics.ndcg(hits: hits, relevant: 0, at: 5) == 0)
  }

  @Test func topKAgreesWithSortingAndBreaksTiesByIndex() {
    var random = Philox(seed: 1, purpose: "topk").sequence()
    for count in [1, 5, 20, 21, 400] {
      let scores = (0..<count).map { _ in Float(random.index(below: 30)) }
      var best = TopK(capacity: 20)
      let found = best.select(scores, count: count)
      let expected = scores.indices.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }.prefix(20)
      #expect(found == expected.map(Int32.init))
    }
  }

  @Test func fullRankingLeavesOutWhatIsExcludedOnAnyNumberOfThreads() {
    let train = CSRMatrix(rowLists: (0..<100).map { [Int32($0 % 7), 9] }, columns: 50)
    let rankings = [1, 3].map { threads in
      FullRanking.rank(users: Array(0..<100), items: 50, excluding: [train], pool: ThreadPool(threads: threads)) {
        users, scores in
        for (row, user) in users.enumerated() {
          for item in 0..<50 { scores[row, item] = Float((user * 31 + item * 17) % 101) }
        }
      }
    }
    #expect(rankings[0] == rankings[1])
    for user in 0..<100 {
      let expected = (0..<50).filter { $0 != user % 7 && $0 != 9 }.sorted {
        let (a, b) = ((user * 31 + $0 * 17) % 101, (user * 31 + $1 * 17) % 101)
        return a != b ? a > b : $0 < $1
      }
      #expect(rankings[0][user] == expected.prefix(20).map(Int32.init))
    }
  }

  @Test func aReportCountsOnlyUsersWithRelevantItems() {
    let relevant = CSRMatrix(rowLists: [[1], [], [2, 3]], columns: 5)
    let report = MetricReport(users: [0, 1, 2], rankings: [[1, 0], [0, 1], [0, 3]], relevant: relevant)
    #expect(report.users == 2)
    #expect(report["hit@5"] == 1)
    #expect(report["mrr@5"] == (1 + 0.5) / 2)
    #expect(report["recall@5"] == (1 + 0.5) / 2)
  }
}
