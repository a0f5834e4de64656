public import Tensors

/// Text embeddings of a language model: the mean of the last hidden states, normalised to length one
/// (Reimers and Gurevych, *Sentence-BERT*, 2019).
///
/// The state of a decoder's first position says nothing of the text and is many times as long as the others (Xiao et al.,
/// *Attention sinks*, 2023), so it is left out; where the model puts nothing before a text, the filler stands there.
public struct TextEmbedder: Sendable {
  private let model: any LanguageModel
  private let tokenizer: any TextTokenizer
  private let start: [Int32]
  /// States before this one are left out.
  private let first: Int

  /// The tokenizer must be the model's own: its ids are rows of the model's embeddings.
  public init(model: any LanguageModel, tokenizer: any TextTokenizer) {
    self.model = model
    self.tokenizer = tokenizer
    first = model.isCausal ? 1 : 0
    start =
      model.isCausal && tokenizer.sequenceStart.isEmpty ? [tokenizer.fillerToken] : tokenizer.sequenceStart
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
    let passes = (0..<pool.threads).map { _ in model.makePass(pool: .serial) }
    let end = tokenizer.sequenceEnd
    let limit = min(maximumTokens, model.maximumLength - start.count - end.count)
    let failures = FirstFailure()
    let block = 256
    for from in stride(from: 0, to: texts.count, by: block) {
      let to = min(texts.count, from + block)
      pool.forEach(to - from) { index, worker in
        let ids = tokenizer.encode(texts[from + index]).prefix(limit)
        guard !ids.isEmpty else { return }
        do throws(GLTAError) {
          let states = try passes[worker].forward(inputEmbeddings: model.inputEmbeddings(start + ids + end))
          TextEmbedder.pool(states.slice(first..<states.rows), into: result.row(from + index))
        } catch { failures.record(error, at: from + index) }
      }
      try failures.rethrow()
      guard progress(to) else { throw .stopped("reading texts", after: "\(to) of \(texts.count)") }
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
