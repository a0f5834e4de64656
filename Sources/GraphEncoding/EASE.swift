public import Interactions
public import Tensors

/// EASE (Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, WWW 2019): item-to-item weights in closed form.
///
/// With G = XᵀWX, W the users' weights, and P = (G + l2 I + p / (1 - p) diag G)⁻¹, B = -P / diag(P) by columns with a zero
/// diagonal; the score of item j for a user is the sum of B[i, j] over the user's items i. The last term of P is what
/// dropping each item of the input with probability p comes to (Steck, *Autoencoders that don't overfit towards the
/// Identity*, NeurIPS 2020); without it and with W = I this is plain EASE. Memory is 12 |I|² bytes while it is made and
/// 4 |I|² after.
public struct EASE: PreferenceModel {
  /// B, |I| x |I|: row i is what having item i says of every item.
  public let weights: Matrix
  private let train: CSRMatrix

  /// The most items that the closed form is computed for: 20,000 take 4.8 GB.
  public static let maximumItems = 20_000

  /// Solves for the weights of training interactions, users x items.
  ///
  /// - Parameters:
  ///   - l2: above zero; 100 to 1,000 for a million interactions.
  ///   - dropout: p, from 0 to 0.99.
  ///   - userWeights: what each user's interactions count, `CSRMatrix.userWeights`; empty for one.
  /// - Throws: `GLTAError.invalidArgument` for more than `maximumItems` items, or where P does not exist.
  public init(
    train: CSRMatrix, l2: Double, dropout: Double = 0, userWeights: [Float] = [], pool: ThreadPool
  ) throws(GLTAError) {
    precondition(userWeights.isEmpty || userWeights.count == train.rows)
    let items = train.columns
    guard items <= EASE.maximumItems else {
      throw GLTAError(
        .invalidArgument, "EASE holds items x items numbers: \(items) items, expected at most \(EASE.maximumItems)",
        hint: "take another --method, or fewer items with --item-core")
    }
    try Setting.require("graph.easeL2", l2, in: 1e-9...1e12)
    try Setting.require("graph.easeDropout", dropout, in: 0...0.99)
    self.train = train
    let gram = EASE.gram(train, userWeights: userWeights, pool: pool)
    for item in 0..<items { gram.base[item * (items + 1)] = l2 + gram.base[item * (items + 1)] / (1 - dropout) }
    guard Cholesky.invert(gram.base, size: items) else {
      throw GLTAError(.invalidArgument, "EASE cannot be solved with graph.easeL2 \(l2)", hint: "raise it")
    }
    weights = Matrix(rows: items, columns: items)
    let target = weights
    pool.forEach(items) { row, _ in
      let (source, out) = (gram.base + row * items, target.row(row))
      for column in 0..<items { out[column] = Float(-source[column] / gram.base[column * (items + 1)]) }
      out[row] = 0
    }
  }

  /// |I|.
  public var itemCount: Int { weights.columns }

  /// Sums of the rows of B of each user's items.
  public func score(users: ArraySlice<Int>, into scores: Matrix) {
    for (row, user) in users.enumerated() { score(items: train[user], into: scores.row(row)) }
  }

  /// The scores of somebody with these items: |I| floats, zeros before.
  public func score(items: some Collection<Int32>, into scores: UnsafeMutablePointer<Float>) {
    for item in items { Accumulate.add(weights.columns, weights.row(Int(item)), to: scores) }
  }

  /// XᵀWX: how many users two items share, by weight. Each entry's sum goes over the users in their order.
  private static func gram(_ train: CSRMatrix, userWeights: [Float], pool: ThreadPool) -> DoubleMatrix {
    let back = train.transposed()
    let gram = DoubleMatrix(size: train.columns)
    pool.forEach(train.columns) { item, _ in
      let row = gram.base + item * train.columns
      for user in back[item] {
        let weight = userWeights.isEmpty ? 1 : Double(userWeights[Int(user)])
        for other in train[Int(user)] { row[Int(other)] += weight }
      }
    }
    return gram
  }
}

/// A square matrix in double precision. Rows are written by those who own them in a parallel loop.
private final class DoubleMatrix: @unchecked Sendable {
  let base: UnsafeMutablePointer<Double>

  init(size: Int) {
    base = .allocate(capacity: max(1, size * size))
    base.initialize(repeating: 0, count: size * size)
  }

  deinit { base.deallocate() }
}
