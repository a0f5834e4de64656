public import Interactions
import RankingEvaluation
public import Tensors

/// Nodes from texts: what the vector of an item would be that nobody has used yet.
///
/// Two answers are added, each brought to length one, for they err in different ways:
///
/// - A ridge regression from text embeddings S to vectors V over the items that have edges,
///   W = (SᵀDS + l2 tr(D)/t I)⁻¹ SᵀDV, gives s W (Gantner et al., *Learning attribute-to-feature mappings for cold-start
///   recommendations*, ICDM 2010). D holds the square roots of the items' degrees: vectors of many edges are known better.
/// - The k nearest of those items by text, weighted by their likeness: the sum of cos(s, s_i) (v_i - mean of V).
///
/// The sum is brought to the mean length of vectors of items with edges. The fold-in basis is mapped the same way: somebody
/// who likes a few new items gets a vector, too. On MovieLens-100K and Amazon Office with a tenth of the items withheld,
/// either part ranks about as text-kNN does among them, the sum better.
public struct TextNodes: Sendable {
  /// The texts of items with edges, one row each.
  private let texts: Matrix
  private let neighbours: Int
  private let vectors: Map
  private let basis: Map

  /// One target: its regression, its rows less their mean, and their length.
  private struct Map: Sendable {
    /// t x d.
    let weights: Matrix
    /// A row for each of `texts`.
    let centered: Matrix
    let length: Float
  }

  /// Fits the maps.
  ///
  /// - Parameters:
  ///   - graph: vectors of a trained encoder.
  ///   - text: |I| x t embeddings, centred and of length one; zeros for items without text.
  ///   - train: users x items; an item in it has edges.
  ///   - l2: relative to the mean square of an embedding's elements, above zero.
  ///   - neighbours: k; 0 = the regression alone.
  /// - Throws: `GLTAError.invalidArgument` where no item with edges has a text, or `l2` is not positive.
  public init(
    graph: GraphEmbeddings, text: Matrix, train: CSRMatrix, l2: Double = 1, neighbours: Int = 10, pool: ThreadPool
  ) throws(GLTAError) {
    try Setting.require("l2", l2, in: 1e-9...1e9)
    try Setting.require("neighbours", neighbours, in: 0...(1 << 24))
    let degrees = TextNodes.degrees(train)
    let warm = degrees.indices.filter { degrees[$0] > 0 && TextNodes.hasText(text, $0) }
    guard !warm.isEmpty else {
      throw GLTAError(
        .invalidArgument, "no item with an interaction has a text: there is nothing to learn nodes from",
        hint: "give titles or descriptions with the data set")
    }
    self.neighbours = neighbours
    texts = TextNodes.rows(warm, of: text)
    let trust = warm.map { Float(degrees[$0]).squareRoot() }
    let regression = try Regression(texts, trust: trust, l2: l2, pool: pool)
    vectors = TextNodes.map(TextNodes.rows(warm, of: graph.items), regression, pool)
    basis = TextNodes.map(TextNodes.rows(warm, of: graph.foldInBasis), regression, pool)
  }

  private static func map(_ wanted: Matrix, _ regression: Regression, _ pool: ThreadPool) -> Map {
    let weights = regression.solve(wanted, pool: pool)
    let mean = Matrix(rows: 1, columns: wanted.columns)
    var length: Float = 0
    for row in 0..<wanted.rows {
      length += Accumulate.squares(wanted.columns, wanted.row(row)).squareRoot()
      Accumulate.add(wanted.columns, wanted.row(row), to: mean.base)
    }
    let centered = wanted.copy()
    for row in 0..<wanted.rows {
      Accumulate.add(wanted.columns, mean.base, scaledBy: -1 / Float(wanted.rows), to: centered.row(row))
    }
    return Map(weights: weights, centered: centered, length: length / Float(wanted.rows))
  }

  /// The vector of a text, and what it adds to the vector of somebody who likes it: d floats each. Zeros for zeros.
  ///
  /// - Parameter text: t floats.
  public func node(of text: UnsafePointer<Float>) -> (vector: [Float], basis: [Float]) {
    let nearest = nearest(text)
    return (apply(vectors, text, nearest), apply(basis, text, nearest))
  }

  /// The vectors with those of items that have a text and no edge replaced by what the text says; the others are as they
  /// were.
  public func completing(_ graph: GraphEmbeddings, text: Matrix, train: CSRMatrix) -> GraphEmbeddings {
    let degrees = TextNodes.degrees(train)
    let (items, foldIn) = (graph.items.copy(), graph.foldInBasis.copy())
    for item in 0..<text.rows where degrees[item] == 0 && TextNodes.hasText(text, item) {
      let node = node(of: text.row(item))
      for (column, value) in node.vector.enumerated() { items.row(item)[column] = value }
      for (column, value) in node.basis.enumerated() { foldIn.row(item)[column] = value }
    }
    return GraphEmbeddings(users: graph.users, items: items, foldInBasis: foldIn)
  }

  /// Rows of `texts` and their likeness, of those that are like the text at all.
  private func nearest(_ text: UnsafePointer<Float>) -> [(row: Int, likeness: Float)] {
    guard neighbours > 0 else { return [] }
    let likeness = Matrix(rows: 1, columns: texts.rows)
    for row in 0..<texts.rows { likeness.base[row] = Accumulate.dot(texts.columns, text, texts.row(row)) }
    var best = TopK(capacity: min(neighbours, texts.rows))
    return best.select(likeness.base, count: texts.rows).map { (Int($0), likeness.base[Int($0)]) }
      .filter { $0.1 > 0 }
  }

  private func apply(
    _ map: Map, _ text: UnsafePointer<Float>, _ nearest: [(row: Int, likeness: Float)]
  ) -> [Float] {
    let columns = map.weights.columns
    let (regressed, around) = (Matrix(rows: 1, columns: columns), Matrix(rows: 1, columns: columns))
    for row in 0..<map.weights.rows {
      Accumulate.add(columns, map.weights.row(row), scaledBy: text[row], to: regressed.base)
    }
    for (row, likeness) in nearest {
      Accumulate.add(columns, map.centered.row(row), scaledBy: likeness, to: around.base)
    }
    TextNodes.bring(regressed, to: 1)
    TextNodes.bring(around, to: 1)
    Accumulate.add(columns, around.base, to: regressed.base)
    TextNodes.bring(regressed, to: map.length)
    return regressed.elements
  }

  /// Scales a row to a length; a zero row stays.
  private static func bring(_ row: Matrix, to wanted: Float) {
    let length = Accumulate.squares(row.columns, row.base).squareRoot()
    if length > 0 { Accumulate.scale(row.columns, row.base, by: wanted / length) }
  }

  private static func degrees(_ train: CSRMatrix) -> [Int] {
    var degrees = [Int](repeating: 0, count: train.columns)
    for item in train.indices { degrees[Int(item)] += 1 }
    return degrees
  }

  private static func hasText(_ text: Matrix, _ item: Int) -> Bool {
    Accumulate.squares(text.columns, text.row(item)) > 0
  }

  private static func rows(_ wanted: [Int], of matrix: Matrix) -> Matrix {
    let result = Matrix(rows: wanted.count, columns: matrix.columns)
    for (row, index) in wanted.enumerated() {
      result.row(row).update(from: matrix.row(index), count: matrix.columns)
    }
    return result
  }
}

/// Ridge regression on rows that are trusted more and less, for several targets.
private struct Regression {
  /// D S, a row each.
  private let trusted: Matrix
  /// (SᵀDS + l2 tr(D)/t I)⁻¹, t x t.
  private let solver: Matrix

  init(_ rows: Matrix, trust: [Float], l2: Double, pool: ThreadPool) throws(GLTAError) {
    let size = rows.columns
    let trusted = rows.copy()
    for (row, weight) in trust.enumerated() { Accumulate.scale(size, trusted.row(row), by: weight) }
    let gram = Matrix(rows: size, columns: size)
    Matmul.multiply(rows, transposingA: true, trusted, into: gram, pool: pool)
    var inverse = gram.elements.map { Double($0) }
    let total = trust.reduce(0) { $0 + Double($1) }
    for index in 0..<size { inverse[index * (size + 1)] += l2 * total / Double(size) }
    let isSolved = inverse.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.map { Cholesky.invert($0, size: size) } ?? true
    }
    guard isSolved else { throw GLTAError(.invalidArgument, "nodes from texts cannot be solved for with l2 \(l2)") }
    self.trusted = trusted
    solver = Matrix(inverse.map { Float($0) }, rows: size, columns: size)
  }

  /// t x d: what maps a row to its target.
  func solve(_ targets: Matrix, pool: ThreadPool) -> Matrix {
    let right = Matrix(rows: trusted.columns, columns: targets.columns)
    let weights = Matrix(rows: trusted.columns, columns: targets.columns)
    Matmul.multiply(trusted, transposingA: true, targets, into: right, pool: pool)
    Matmul.multiply(solver, right, into: weights, pool: pool)
    return weights
  }
}
