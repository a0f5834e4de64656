import GraphEncoding
import Interactions
import Tensors
import TestSupport
import Testing

struct LossTests {
  private let train = CSRMatrix(rowLists: [[0, 1], [1, 2, 4], [], [0, 4]], columns: 6)
  private let pool = ThreadPool(threads: 2)
  private let triples = [
    Triple(user: 0, positive: 1, negative: 3), Triple(user: 1, positive: 4, negative: 0),
    Triple(user: 1, positive: 2, negative: 3), Triple(user: 1, positive: 2, negative: 5),
  ]

  private func batch(_ mentions: [Int32]) -> BatchNodes {
    let batch = BatchNodes(nodes: 10)
    batch.assign(mentions)
    return batch
  }

  private func dot(_ x: Matrix, _ a: Int, _ b: Int) -> Double {
    (0..<x.columns).reduce(0) { $0 + Double(x[a, $1]) * Double(x[b, $1]) }
  }

  @Test func bprIsTheSoftplusOfMarginsAndItsGradientAgreesWithFiniteDifferences() {
    let batch = batch(BPRLoss.mentions(triples, users: 4))
    let (output, gradient) = (randomMatrix(batch.count, 5), Matrix(rows: batch.count, columns: 5))
    func loss() -> Double { BPRLoss.forwardBackward(batch, output: output, gradient: gradient, pool: pool) }
    func slot(_ node: Int32) -> Int { batch.slot(of: Int(node)) ?? -1 }
    let byHand =
      triples.reduce(0.0) { total, triple in
        let user = slot(triple.user)
        let margin = dot(output, user, slot(4 + triple.positive)) - dot(output, user, slot(4 + triple.negative))
        return total + logOf(1 + expOf(-margin))
      } / 4
    #expect(abs(loss() - byHand) < 1e-5)
    let expected = finiteDifferences(of: output) { loss() }
    _ = loss()
    #expect(relativeDifference(gradient.elements, expected) < 5e-3)
  }

  /// The mean loss of `triples`' pairs, with all items as candidates.
  private func softmaxByHand(
    _ output: Matrix, _ batch: BatchNodes, isCosine: Bool, correction: [Float] = [], weights: [Float] = []
  ) -> Double {
    func score(_ user: Int32, _ item: Int32) -> Double {
      let (u, i) = (batch.slot(of: Int(user)) ?? -1, batch.slot(of: 4 + Int(item)) ?? -1)
      let length = isCosine ? (dot(output, u, u) * dot(output, i, i)).squareRoot() : 1
      return dot(output, u, i) / length / 0.5 - Double(correction.isEmpty ? 0 : correction[Int(item)])
    }
    return triples.reduce(0.0) { total, pair in
      let own = expOf(score(pair.user, pair.positive))
      let others = (0..<6).filter { !train.contains(row: Int(pair.user), column: Int32($0)) }
      let loss = -logOf(own / (own + others.reduce(0) { $0 + expOf(score(pair.user, Int32($1))) }))
      return total + Double(weights.isEmpty ? 1 : weights[Int(pair.user)]) * loss / 4
    }
  }

  @Test(arguments: [true, false], [[], [0.3, 0, -0.2, 0.1, 0.5, 0] as [Float]])
  func softmaxIsTheFormulaAndItsGradientAgreesWithFiniteDifferences(isCosine: Bool, correction: [Float]) {
    // Item 3 is nobody's; item 0 is user 0's, a candidate for user 1 alone.
    let batch = batch(SampledSoftmaxLoss.mentions(triples, candidates: [3, 0, 5, 3], users: 4))
    let (output, gradient) = (randomMatrix(batch.count, 5), Matrix(rows: batch.count, columns: 5))
    let softmax = SampledSoftmaxLoss(train: train, temperature: 0.5, isCosine: isCosine, correction: correction)
    func loss() -> Double {
      softmax.forwardBackward(batch, pairs: 4, output: output, gradient: gradient, pool: pool)
    }
    #expect(abs(loss() - softmaxByHand(output, batch, isCosine: isCosine, correction: correction)) < 1e-5)
    let expected = finiteDifferences(of: output, step: 3e-3) { loss() }
    _ = loss()
    #expect(relativeDifference(gradient.elements, expected) < 5e-3)
  }

  @Test func userWeightsScaleTheLossesOfEachUsersPairs() {
    let batch = batch(SampledSoftmaxLoss.mentions(triples, candidates: [3, 0, 5], users: 4))
    let (output, gradient) = (randomMatrix(batch.count, 5), Matrix(rows: batch.count, columns: 5))
    let weights: [Float] = [0.5, 2, 1, 3]
    let softmax = SampledSoftmaxLoss(train: train, temperature: 0.5, isCosine: true, userWeights: weights)
    func loss() -> Double {
      softmax.forwardBackward(batch, pairs: 4, output: output, gradient: gradient, pool: pool)
    }
    #expect(abs(loss() - softmaxByHand(output, batch, isCosine: true, weights: weights)) < 1e-5)
    let expected = finiteDifferences(of: output, step: 3e-3) { loss() }
    _ = loss()
    #expect(relativeDifference(gradient.elements, expected) < 5e-3)
  }

  /// Users have 2, 3, 0 and 2 items.
  @Test func userWeightsAreAPowerOfTheNumberOfItemsAndLeaveTheMeanPairAtOne() {
    #expect(train.userWeights(exponent: 0).isEmpty)
    let alike = train.userWeights(exponent: 1)
    // Seven pairs, three users who have some.
    #expect(relativeDifference(alike, [7 / 3 / 2, 7 / 3 / 3, 0, 7 / 3 / 2]) < 1e-6)
    let half = train.userWeights(exponent: 0.5)
    #expect(abs(half[0] / half[1] - Float(1.5).squareRoot()) < 1e-6)
    #expect(abs(2 * half[0] + 3 * half[1] + 2 * half[3] - 7) < 1e-5)
  }

  /// Somebody who has every candidate has nothing to lose against.
  @Test func softmaxWithoutNegativesIsZero() {
    let batch = batch(
      SampledSoftmaxLoss.mentions([Triple(user: 0, positive: 1, negative: -1)], candidates: [0], users: 4))
    let (output, gradient) = (randomMatrix(batch.count, 5), randomMatrix(batch.count, 5, seed: 3))
    let loss = SampledSoftmaxLoss(train: train, temperature: 0.1, isCosine: true).forwardBackward(
      batch, pairs: 1, output: output, gradient: gradient, pool: pool)
    #expect(abs(loss) < 1e-6 && gradient.elements.allSatisfy { abs($0) < 1e-6 })
  }
}
