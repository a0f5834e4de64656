public import Interactions
public import Tensors

/// Nodes from texts: what the vector of an item would be that nobody has used yet.
///
/// A ridge regression from text embeddings S to vectors V over the items that have edges, W = (SᵀS + l2 n/t I)⁻¹ SᵀV, gives
/// the vector s W (Gantner et al., *Learning attribute-to-feature mappings for cold-start recommendations*, ICDM 2010).
/// Regression draws towards zero, so vectors are brought to the mean length of those of items with edges. The fold-in basis
/// is mapped the same way: somebody who likes a few new items gets a vector, too.
public struct TextNodes: Sendable {
  private let vectors: Map
  private let basis: Map

  /// One regression and the length of its targets.
  private struct Map: Sendable {
    /// t x d.
    let weights: Matrix
    let length: Float
  }

  /// Fits the maps.
  ///
  /// - Parameters:
  ///   - graph: vectors of a trained encoder.
  ///   - text: |I| x t embeddings, centred and of length one; zeros for items without text.
  ///   - train: users x items; an item in it has edges.
  ///   - l2: relative to the mean square of an embedding's elements, above zero.
  /// - Throws: `GLTAError.invalidArgument` where no item with edges has a text, or `l2` is not positive.
  public init(
    graph: GraphEmbeddings, text: Matrix, train: CSRMatrix, l2: Double = 1, pool: ThreadPool
  ) throws(GLTAError) {
    try Setting.require("l2", l2, in: 1e-9...1e9)
    let warm = TextNodes.itemsWithEdges(train).filter { TextNodes.hasText(text, $0) }
    guard !warm.isEmpty else {
      throw GLTAError(
        .invalidArgument, "no item with an interaction has a text: there is nothing to learn nodes from",
        hint: "give titles or descriptions with the data set")
    }
    let texts = TextNodes.rows(warm, of: text)
    let (size, count) = (text.columns, Double(warm.count))
    let gram = Matrix(rows: size, columns: size)
    Matmul.multiply(texts, transposingA: true, texts, into: gram, pool: pool)
    var inverse = gram.elements.map { Double($0) }
    for index in 0..<size { inverse[index * (size + 1)] += l2 * count / Double(size) }
    let isSolved = inverse.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.map { Cholesky.invert($0, size: size) } ?? true
    }
    guard isSolved else { throw GLTAError(.invalidArgument, "nodes from texts cannot be solved for with l2 \(l2)") }
    let solver = Matrix(inverse.map { Float($0) }, rows: size, columns: size)
    func map(_ target: Matrix) -> Map {
      let wanted = TextNodes.rows(warm, of: target)
      let right = Matrix(rows: size, columns: target.columns)
      let weights = Matrix(rows: size, columns: target.columns)
      Matmul.multiply(texts, transposingA: true, wanted, into: right, pool: pool)
      Matmul.multiply(solver, right, into: weights, pool: pool)
      var length: Float = 0
      for row in 0..<wanted.rows { length += Accumulate.squares(wanted.columns, wanted.row(row)).squareRoot() }
      return Map(weights: weights, length: length / Float(warm.count))
    }
    vectors = map(graph.items)
    basis = map(graph.foldInBasis)
  }

  /// The vector of a text, and what it adds to the vector of somebody who likes it: d floats each. Zeros for zeros.
  ///
  /// - Parameter text: t floats.
  public func node(of text: UnsafePointer<Float>) -> (vector: [Float], basis: [Float]) {
    (TextNodes.apply(vectors, text), TextNodes.apply(basis, text))
  }

  /// The vectors with those of items that have a text and no edge replaced by what the text says; the others are as they
  /// were.
  public func completing(_ graph: GraphEmbeddings, text: Matrix, train: CSRMatrix) -> GraphEmbeddings {
    let known = Set(TextNodes.itemsWithEdges(train))
    let (items, foldIn) = (graph.items.copy(), graph.foldInBasis.copy())
    for item in 0..<text.rows where !known.contains(item) && TextNodes.hasText(text, item) {
      let node = node(of: text.row(item))
      for (column, value) in node.vector.enumerated() { items.row(item)[column] = value }
      for (column, value) in node.basis.enumerated() { foldIn.row(item)[column] = value }
    }
    return GraphEmbeddings(users: graph.users, items: items, foldInBasis: foldIn)
  }

  private static func apply(_ map: Map, _ text: UnsafePointer<Float>) -> [Float] {
    let result = Matrix(rows: 1, columns: map.weights.columns)
    for row in 0..<map.weights.rows {
      Accumulate.add(map.weights.columns, map.weights.row(row), scaledBy: text[row], to: result.base)
    }
    let length = Accumulate.squares(result.columns, result.base).squareRoot()
    if length > 0 { Accumulate.scale(result.columns, result.base, by: map.length / length) }
    return result.elements
  }

  private static func itemsWithEdges(_ train: CSRMatrix) -> [Int] {
    var isUsed = [Bool](repeating: false, count: train.columns)
    for item in train.indices { isUsed[Int(item)] = true }
    return isUsed.indices.filter { isUsed[$0] }
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
