public import Tensors

/// Text embeddings of an encoder: the mean of the last hidden states, normalised to length one
/// (Reimers and Gurevych, *Sentence-BERT*, 2019).
public struct TextEmbedder: Sendable {
  private let model: BERTModel
  private let tokenizer: WordPieceTokenizer

  /// The tokenizer must be the model's own: its ids are rows of the model's embeddings.
  public init(model: BERTModel, tokenizer: WordPieceTokenizer) {
    self.model = model
    self.tokenizer = tokenizer
  }

  /// texts.count x hiddenSize. An empty text has a zero row. Texts are shared out over the pool.
  ///
  /// - Parameters:
  ///   - maximumTokens: the tokens of a text that are read.
  ///   - progress: called between blocks of texts with the number done; returning false stops.
  /// - Throws: `GLTAError.interrupted` where `progress` asked for it.
  public func embed(
    _ texts: [String], maximumTokens: Int = 64, pool: ThreadPool, progress: (Int) -> Bool = { _ in true }
  ) throws(GLTAError) -> Matrix {
    let result = Matrix(rows: texts.count, columns: model.hiddenSize)
    let passes = (0..<pool.threads).map { _ in BERTPass(model: model, pool: .serial) }
    let limit = min(maximumTokens, model.maximumLength - 2)
    let failures = FirstFailure()
    let block = 256
    for start in stride(from: 0, to: texts.count, by: block) {
      let end = min(texts.count, start + block)
      pool.forEach(end - start) { index, worker in
        let ids = tokenizer.encode(texts[start + index]).prefix(limit)
        guard !ids.isEmpty else { return }
        do throws(GLTAError) {
          let states = try passes[worker].forward(
            ids: [tokenizer.classToken] + ids + [tokenizer.separatorToken])
          TextEmbedder.pool(states, into: result.row(start + index))
        } catch { failures.record(error, at: start + index) }
      }
      try failures.rethrow()
      guard progress(end) else { throw .stopped("reading texts", after: "\(end) of \(texts.count)") }
    }
    return result
  }

  private static func pool(_ states: Matrix, into row: UnsafeMutablePointer<Float>) {
    for position in 0..<states.rows { Accumulate.add(states.columns, states.row(position), to: row) }
    normalize(states.columns, row)
  }

  /// Scales a row to length one; a zero row stays.
  public static func normalize(_ columns: Int, _ row: UnsafeMutablePointer<Float>) {
    let length = Accumulate.squares(columns, row).squareRoot()
    if length > 0 { Accumulate.scale(columns, row, by: 1 / length) }
  }
}
