import Interactions
public import Tensors

/// What a graph encoder learned: one vector per user and item, whose dot product is the graph's score.
public struct GraphEmbeddings: PreferenceModel {
  /// |U| x d.
  public let users: Matrix
  /// |I| x d.
  public let items: Matrix
  /// |I| x d: what an item adds to the vector of somebody who has it; see `foldIn`.
  public let foldInBasis: Matrix

  /// Embeddings that are known already, such as those of a bundle; all have d columns.
  public init(users: Matrix, items: Matrix, foldInBasis: Matrix) {
    self.users = users
    self.items = items
    self.foldInBasis = foldInBasis
  }

  /// The vector of somebody who was not in the graph, from items alone: d floats.
  ///
  /// LightGCN's user is the mean of its layers 0..K, where layer l + 1 is the sum over the user's items of their layer l
  /// divided by sqrt(|S| d_i). Somebody new has no layer 0 and does not change the items' layers, which leaves
  /// 1/sqrt|S| times the sum over S of b_i, b_i = (sum of item layers 0..K-1) / ((K + 1) sqrt(d_i)). No items give zeros.
  ///
  /// - Parameters:
  ///   - items: S, in any order; the bits do not depend on it.
  ///   - vector: d floats, overwritten.
  public func foldIn(items: some Collection<Int32>, into vector: UnsafeMutablePointer<Float>) {
    let columns = foldInBasis.columns
    vector.update(repeating: 0, count: columns)
    guard !items.isEmpty else { return }
    // A set has no order; its sum is taken in one.
    for item in items.sorted() { Accumulate.add(columns, foldInBasis.row(Int(item)), to: vector) }
    Accumulate.scale(columns, vector, by: 1 / Float(items.count).squareRoot())
  }

  /// |I|.
  public var itemCount: Int { items.rows }

  /// Dot products of users with all items.
  public func score(users wanted: ArraySlice<Int>, into scores: Matrix) {
    let rows = Matrix(rows: wanted.count, columns: users.columns)
    Embedding.forward(table: users, ids: wanted.map { Int32($0) }, into: rows.base)
    // Packing costs a sixty-fourth of what it is packed for, and nothing is kept beside the vectors.
    Product.multiply(
      rows: rows.rows, a: rows.base, rowStride: rows.columns, b: PackedMatrix(transposing: items), into: scores.base,
      stride: scores.columns)
  }
}
