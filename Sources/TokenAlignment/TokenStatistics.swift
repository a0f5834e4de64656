public import LanguageModels
public import Tensors

/// Where a language model's own tokens lie in its space: what soft tokens start from.
public struct TokenStatistics: Sendable {
  /// The mean token, 1 x D.
  public let mean: Matrix
  /// The mean square of what tokens differ from it by, per column.
  public let variance: Float
  /// The mean length of a token.
  public let length: Float

  /// Rows of embeddings that are in memory at a time: a large vocabulary in f32 takes more than the model.
  private static let block = 2_048

  /// The statistics of all tokens of a model.
  public init(_ model: any LanguageModel) {
    self.init(rows: model.vocabularySize, columns: model.hiddenSize) { rows in
      model.inputEmbeddings(rows.map { Int32($0) })
    }
  }

  /// The statistics of the rows of a matrix, tokens x D.
  public init(_ tokens: Matrix) { self.init(rows: tokens.rows, columns: tokens.columns) { tokens.slice($0) } }

  private init(rows: Int, columns: Int, _ tokens: (Range<Int>) -> Matrix) {
    var sums = [Double](repeating: 0, count: columns)
    var (squares, lengths): (Double, Double) = (0, 0)
    for start in stride(from: 0, to: rows, by: TokenStatistics.block) {
      let part = tokens(start..<min(rows, start + TokenStatistics.block))
      for row in 0..<part.rows {
        let token = part.row(row)
        for column in 0..<columns { sums[column] += Double(token[column]) }
        let square = Double(Accumulate.squares(columns, token))
        squares += square
        lengths += square.squareRoot()
      }
    }
    let count = Double(max(1, rows))
    mean = Matrix(sums.map { Float($0 / count) }, rows: 1, columns: columns)
    let meanSquare = sums.reduce(0) { $0 + ($1 / count) * ($1 / count) }
    variance = Float((squares / count - meanSquare) / Double(max(1, columns)))
    length = Float(lengths / count)
  }

  /// The mean token, as long as tokens are: a token like no other and yet one that the model can read.
  package func typicalToken() -> Matrix {
    let token = mean.copy()
    let own = Accumulate.squares(token.count, token.base).squareRoot()
    if own > 0 { Accumulate.scale(token.count, token.base, by: length / own) }
    return token
  }
}
