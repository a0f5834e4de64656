public import Interactions
public import Tensors

/// Ranks the whole catalogue for many users: scores come in blocks of users, the best are selected from each row.
public enum FullRanking {
  /// Users that are scored by one product.
  static let block = 64

  /// The best items of each user, best first: one list of dense indices for each of `users`. A list is shorter than
  /// `depth` where fewer items are left.
  ///
  /// - Parameters:
  ///   - users: dense indices.
  ///   - items: the catalogue's size, |I|.
  ///   - excluded: users x items matrices whose items are left out.
  ///   - depth: the length of a list, at least one.
  ///   - score: fills blockUsers x items scores, zero before; minus infinity leaves an item out.
  ///     Called from several threads at once.
  public static func rank(
    users: [Int], items: Int, excluding excluded: [CSRMatrix], depth: Int = MetricReport.depth, pool: ThreadPool,
    score: (_ users: ArraySlice<Int>, _ scores: Matrix) -> Void
  ) -> [[Int32]] {
    var rankings = [[Int32]](repeating: [], count: users.count)
    rankings.withUnsafeMutableBufferPointer { rankings in
      pool.forEach((users.count + block - 1) / block) { index, _ in
        let range = index * block..<min(users.count, (index + 1) * block)
        let scores = Matrix(rows: range.count, columns: items)
        score(users[range], scores)
        var best = TopK(capacity: depth)
        for (row, position) in range.enumerated() {
          for matrix in excluded { for item in matrix[users[position]] { scores[row, Int(item)] = -.infinity } }
          rankings[position] = best.select(scores.row(row), count: items)
        }
      }
    }
    return rankings
  }

  /// The ranking by number of training users, the same for everybody but for what they have. A baseline that uses
  /// nothing of the user.
  public static func popularity(
    users: [Int], train: CSRMatrix, excluding excluded: [CSRMatrix], pool: ThreadPool
  ) -> [[Int32]] {
    let counts = Matrix(rows: 1, columns: train.columns)
    for item in train.indices { counts.base[Int(item)] += 1 }
    return rank(users: users, items: train.columns, excluding: excluded, pool: pool) { _, scores in
      for row in 0..<scores.rows { scores.slice(row..<row + 1).assign(counts) }
    }
  }
}
