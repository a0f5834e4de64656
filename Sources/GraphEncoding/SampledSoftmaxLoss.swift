public import Interactions
public import Tensors

/// Softmax over items with temperature: for a user u and an item p of theirs, with candidates C that are none of theirs,
///
///     -log( e^(s(u,p)) / (e^(s(u,p)) + sum over n in C of e^(s(u,n))) ),   s(u,i) = sim(u,i) / temperature - c log q_i
///
/// where sim is the cosine or the dot product and q_i the expected number of times that the sampler draws item i for a
/// batch: with c = 1 the sampled sum is an unbiased estimate of the whole one (Bengio and Senécal, 2008; Yi et al.,
/// RecSys 2019), with less, popular items are held down as negatives. Candidates are shared by the whole batch: its
/// positives (in-batch negatives), items drawn uniformly, or the catalogue (full softmax, where nothing is corrected).
/// Items that the user has do not count as negatives. Pairs may count by their user, `userWeights`. Wu et al., *On the
/// effectiveness of sampled softmax loss for item recommendation* (TOIS 2024), explains why it ranks better than BPR.
public struct SampledSoftmaxLoss: Sendable {
  private let train: CSRMatrix
  private let temperature: Float
  private let isCosine: Bool
  /// c log q of each item.
  private let correction: [Float]
  private let userWeights: [Float]

  /// Users whose logits are held at a time.
  static let block = 256

  /// - Parameters:
  ///   - train: what the users have, users x items.
  ///   - temperature: above zero.
  ///   - isCosine: whether vectors are brought to length one first.
  ///   - correction: c log q of each item, empty for none.
  ///   - userWeights: what each user's pairs are multiplied by, `CSRMatrix.userWeights`; empty for one.
  public init(
    train: CSRMatrix, temperature: Float, isCosine: Bool, correction: [Float] = [], userWeights: [Float] = []
  ) {
    precondition(temperature > 0 && (correction.isEmpty || correction.count == train.columns))
    precondition(userWeights.isEmpty || userWeights.count == train.rows)
    self.train = train
    self.temperature = temperature
    self.isCosine = isCosine
    self.correction = correction
    self.userWeights = userWeights
  }

  /// The mentions of a batch: the users of the pairs, their items, and further candidates.
  public static func mentions(
    _ pairs: some Collection<Triple>, candidates: some Collection<Int32>, users: Int
  ) -> [Int32] {
    var mentions: [Int32] = []
    mentions.reserveCapacity(2 * pairs.count + candidates.count)
    for pair in pairs { mentions.append(pair.user) }
    for pair in pairs { mentions.append(pair.positive + Int32(users)) }
    for item in candidates { mentions.append(item + Int32(users)) }
    return mentions
  }

  /// The loss of a batch and its gradient.
  ///
  /// - Parameters:
  ///   - batch: the `mentions` of `pairs` pairs.
  ///   - output: |batch| x d.
  ///   - gradient: |batch| x d, overwritten with the gradient of `output`.
  /// - Returns: the weighted losses of the pairs over their number.
  public func forwardBackward(
    _ batch: BatchNodes, pairs: Int, output: Matrix, gradient: Matrix, pool: ThreadPool
  ) -> Double {
    // Users were mentioned first: they have the first slots, and all others are items.
    let users = Int(batch.slots.prefix(pairs).max() ?? -1) + 1
    let directions = isCosine ? UnitRows(output.slice(0..<batch.count), pool: pool) : nil
    let values = directions?.values ?? output.slice(0..<batch.count)
    let items = values.slice(users..<batch.count)
    let itemGradient = gradient.slice(users..<batch.count)
    let rows = WantedColumns(batch, pairs: pairs, users: users)
    let logits = Matrix(rows: min(users, Self.block), columns: items.rows)
    let losses = Matrix(rows: 1, columns: users)
    let share = 1 / Float(pairs)
    for start in stride(from: 0, to: users, by: Self.block) {
      let range = start..<min(users, start + Self.block)
      let block = logits.slice(0..<range.count)
      let own = values.slice(range)
      Matmul.multiply(own, items, transposingB: true, into: block, scale: 1 / temperature, tileRows: 32, pool: pool)
      pool.forEach(range.count) { index, _ in
        losses.base[start + index] = self.replaceByGradient(
          block.row(index), slot: start + index, users: users, batch: batch, wanted: rows, share: share)
      }
      Matmul.multiply(block, items, into: gradient.slice(range), tileRows: 32, pool: pool)
      Matmul.multiply(block, transposingA: true, own, into: itemGradient, accumulate: start > 0, pool: pool)
    }
    directions?.backward(gradient.slice(0..<batch.count), pool: pool)
    var loss: Double = 0
    for slot in 0..<users { loss += Double(losses.base[slot]) }
    return loss * Double(share)
  }

  private func replaceByGradient(
    _ x: UnsafeMutablePointer<Float>, slot: Int, users: Int, batch: BatchNodes, wanted: WantedColumns, share: Float
  ) -> Float {
    let items = batch.count - users
    if !correction.isEmpty {
      for column in 0..<items { x[column] -= correction[Int(batch.nodes[users + column]) - train.rows] }
    }
    let (columns, counts) = wanted[slot]
    let logits = columns.map { x[Int($0)] }
    for item in train[Int(batch.nodes[slot])] {
      if let other = batch.slot(of: train.rows + Int(item)) { x[other - users] = -.infinity }
    }
    let weight = userWeights.isEmpty ? 1 : userWeights[Int(batch.nodes[slot])]
    return weight
      * CandidateSoftmax.forwardBackward(
        items, x, wanted: columns, logits: logits, counts: counts, scale: weight * share / temperature)
  }
}

/// The positives of each user of a batch as columns of the logits, each once with a count.
private struct WantedColumns {
  private var columns: [[Int32]]
  private var counts: [[Float]]

  init(_ batch: BatchNodes, pairs: Int, users: Int) {
    columns = [[Int32]](repeating: [], count: users)
    counts = [[Float]](repeating: [], count: users)
    for pair in 0..<pairs {
      let (user, column) = (Int(batch.slots[pair]), batch.slots[pairs + pair] - Int32(users))
      if let known = columns[user].firstIndex(of: column) {
        counts[user][known] += 1
      } else {
        columns[user].append(column)
        counts[user].append(1)
      }
    }
  }

  subscript(user: Int) -> (columns: [Int32], counts: [Float]) { (columns[user], counts[user]) }
}
