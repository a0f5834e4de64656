public import Tensors

/// One training example: a user prefers an item of theirs over one that is not.
public struct Triple: Sendable, Equatable {
  /// The dense index of the user.
  public var user: Int32
  /// An item of the user's training items.
  public var positive: Int32
  /// An item that is none of the user's training items, drawn by chance.
  public var negative: Int32

  /// A triple of dense indices; nothing is checked.
  public init(user: Int32, positive: Int32, negative: Int32) {
    self.user = user
    self.positive = positive
    self.negative = negative
  }
}

/// Bayesian personalised ranking (Rendle et al., 2009): the mean over triples of softplus(u · n - u · p).
public enum BPRLoss {
  /// The mentions of triples in the order that `forwardBackward` takes them: user, positive, negative; items follow users.
  public static func mentions(_ triples: some Sequence<Triple>, users: Int) -> [Int32] {
    triples.flatMap { [$0.user, $0.positive + Int32(users), $0.negative + Int32(users)] }
  }

  /// The loss of a batch and its gradient.
  ///
  /// - Parameters:
  ///   - batch: the `mentions` of at least one triple.
  ///   - output: |batch| x d.
  ///   - gradient: |batch| x d, overwritten with the gradient of `output`.
  /// - Returns: the mean loss of a triple.
  public static func forwardBackward(
    _ batch: BatchNodes, output: Matrix, gradient: Matrix, pool: ThreadPool
  ) -> Double {
    let columns = output.columns
    let slots = batch.slots
    let triples = slots.count / 3
    let slopes = Matrix(rows: 1, columns: triples)
    let losses = Matrix(rows: 1, columns: triples)
    let share = 1 / Float(triples)
    let block = 256
    func row(_ mention: Int) -> UnsafeMutablePointer<Float> { output.row(Int(slots[mention])) }
    pool.forEach((triples + block - 1) / block) { index, _ in
      for triple in index * block..<min(triples, (index + 1) * block) {
        let user = row(3 * triple)
        let margin =
          Accumulate.dot(columns, user, row(3 * triple + 1)) - Accumulate.dot(columns, user, row(3 * triple + 2))
        // softplus(-margin), written so that neither side overflows.
        losses.base[triple] = max(0, -margin) + logOfOnePlus(expOf(-abs(margin)))
        slopes.base[triple] = -share / (1 + expOf(margin))
      }
    }
    pool.forEach((batch.count + block - 1) / block) { index, _ in
      for slot in index * block..<min(batch.count, (index + 1) * block) {
        let sums = gradient.row(slot)
        sums.update(repeating: 0, count: columns)
        batch.forEachMention(slot) { mention in
          let (triple, role) = mention.quotientAndRemainder(dividingBy: 3)
          let slope = slopes.base[triple]
          if role == 0 {
            Accumulate.add(columns, row(3 * triple + 1), scaledBy: slope, to: sums)
            Accumulate.add(columns, row(3 * triple + 2), scaledBy: -slope, to: sums)
          } else {
            Accumulate.add(columns, row(3 * triple), scaledBy: role == 1 ? slope : -slope, to: sums)
          }
        }
      }
    }
    var loss: Double = 0
    for triple in 0..<triples { loss += Double(losses.base[triple]) }
    return loss * Double(share)
  }
}
