public import LanguageModels
public import LogitsMatching
public import Tensors

/// One ranking under way: candidates come in chunks, the prompt when it is ready, in any order.
///
/// What comes out at the end does not depend on how the candidates came: an item's logit is one sum in a fixed order, and
/// picks are made over all candidates at once.
public struct LogitsRanking {
  private let stage: LogitsRankerStage
  private let mode: PredictionMode
  private let count: Int
  private var prompt: AlignedPrompt?
  /// What item rows are compared with, slots x D, once the prompt has been read.
  private var queries: Matrix?
  /// Final scores of each chunk, slots x its candidates, as far as they are known.
  private var scores: [Matrix] = []
  /// Chunks whose candidates have come; their scores may be missing.
  private var chunks: [Range<Int>] = []
  /// The candidates so far, ascending.
  public private(set) var candidates: [Int32] = []
  private var prior: [Float] = []

  init(stage: LogitsRankerStage, mode: PredictionMode, count: Int) {
    self.stage = stage
    self.mode = mode
    self.count = count
  }

  /// Whether the model has a say: where logits have no weight, the ranking is that of the prior.
  public var needsPrompt: Bool { stage.usesLogits }

  /// Takes a chunk of candidates, and scores it where the prompt has been read.
  ///
  /// - Throws: `GLTAError.invalidArgument` where items are not of the catalogue or do not ascend over all chunks.
  public mutating func add(_ items: [Int32], prior: [Float]) throws(GLTAError) {
    var last = candidates.last ?? -1
    guard items.count == prior.count else {
      throw GLTAError(.invalidArgument, "\(items.count) candidates with \(prior.count) priors")
    }
    for item in items {
      guard item > last, Int(item) < stage.itemCount else {
        throw GLTAError(
          .invalidArgument, "candidate \(item) after \(last): expected ascending items below \(stage.itemCount)")
      }
      last = item
    }
    chunks.append(candidates.count..<candidates.count + items.count)
    candidates += items
    self.prior += prior
    scoreWhatIsMissing()
  }

  /// Makes sure that a prompt fits the model, before it is read.
  ///
  /// - Throws: `GLTAError.invalidArgument` where it does not.
  public func check(_ prompt: AlignedPrompt) throws(GLTAError) { try stage.check(prompt) }

  /// Reads the prompt; for `slots` and `first` the model's one pass happens here.
  ///
  /// - Parameter pass: from `makePass`; not used by another ranking at the same time.
  /// - Throws: `GLTAError.invalidArgument` where the prompt does not fit the model.
  public mutating func read(_ prompt: AlignedPrompt, pass: any LanguageModelPass) throws(GLTAError) {
    try stage.check(prompt)
    self.prompt = prompt
    guard needsPrompt, mode != .autoregressive else { return }
    queries = try stage.queries(prompt, pass: pass)
    scoreWhatIsMissing()
  }

  private mutating func scoreWhatIsMissing() {
    guard let queries else { return }
    for chunk in chunks[scores.count...] {
      scores.append(
        stage.scores(queries, candidates: Array(candidates[chunk]), prior: Array(prior[chunk])))
    }
  }

  /// The best of the candidates so far: by final scores where they are known, otherwise by prior alone.
  public var current: [RankedItem] {
    guard needsPrompt, !chunks.isEmpty, scores.count == chunks.count else { return provisional }
    return Ranking.select(mode: mode, scores: LogitsRanking.joined(scores), candidates: candidates, count: count)
  }

  /// The best of the candidates so far by prior.
  public var provisional: [RankedItem] {
    Ranking.select(
      mode: .first, scores: Matrix(prior, rows: 1, columns: prior.count), candidates: candidates, count: count)
  }

  /// Whether `current` knows the final scores of all candidates so far.
  public var isScored: Bool { !needsPrompt || scores.count == chunks.count && !chunks.isEmpty }

  /// The ranking, once all candidates have come and the prompt has been read.
  ///
  /// - Parameter onPick: for `autoregressive`, the picks so far after each but the last; may throw to stop.
  /// - Throws: what `onPick` throws, `GLTAError.invalidArgument` without a prompt where one is needed.
  public func finish(
    pass: any LanguageModelPass, onPick: ([RankedItem]) throws(GLTAError) -> Void = { (_) throws(GLTAError) in }
  ) throws(GLTAError) -> [RankedItem] {
    guard needsPrompt, mode == .autoregressive else { return current }
    guard let prompt else { throw GLTAError(.invalidArgument, "a ranking without its prompt") }
    return try stage.rankAutoregressively(
      prompt, candidates: candidates, prior: prior, count: count, pass: pass, onPick: onPick)
  }

  private static func joined(_ parts: [Matrix]) -> Matrix {
    guard parts.count != 1 else { return parts[0] }
    let result = Matrix(rows: parts[0].rows, columns: parts.reduce(0) { $0 + $1.columns })
    var column = 0
    for part in parts {
      for row in 0..<part.rows { (result.row(row) + column).update(from: part.row(row), count: part.columns) }
      column += part.columns
    }
    return result
  }
}
