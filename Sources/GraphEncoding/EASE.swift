public import Interactions
public import Tensors

/// EASE (Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, WWW 2019): item-to-item weights in closed form.
///
/// With G = XᵀX + l2 I and P = G⁻¹, B = -P / diag(P) by columns with a zero diagonal; the score of item j for a user is
/// the sum of B[i, j] over the user's items i. Memory is 12 |I|² bytes while it is made and 4 |I|² after.
public struct EASE: PreferenceModel {
  /// B, |I| x |I|: row i is what having item i says of every item.
  public let weights: Matrix
  private let train: CSRMatrix

  /// The most items that the closed form is computed for: 20,000 take 4.8 GB.
  public static let maximumItems = 20_000

  /// Solves for the weights of training interactions, users x items.
  ///
  /// - Parameter l2: above zero; 100 to 1,000 for a million interactions.
  /// - Throws: `GLTAError.invalidArgument` for more than `maximumItems` items, or where G is not positive definite.
  public init(train: CSRMatrix, l2: Double, pool: ThreadPool) throws(GLTAError) {
    let items = train.columns
    guard items <= EASE.maximumItems else {
      throw GLTAError(
        .invalidArgument, "EASE holds items x items numbers: \(items) items, expected at most \(EASE.maximumItems)",
        hint: "take another --method, or fewer items with --item-core")
    }
    try Setting.require("graph.easeL2", l2, in: 1e-9...1e12)
    self.train = train
    let gram = EASE.gram(train, l2: l2, pool: pool)
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

  /// XᵀX + l2 I: how many users two items share. Counts are whole numbers, so their order does not matter.
  private static func gram(_ train: CSRMatrix, l2: Double, pool: ThreadPool) -> DoubleMatrix {
    let back = train.transposed()
    let gram = DoubleMatrix(size: train.columns)
    pool.forEach(train.columns) { item, _ in
      let row = gram.base + item * train.columns
      for user in back[item] { for other in train[Int(user)] { row[Int(other)] += 1 } }
      row[item] += l2
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
