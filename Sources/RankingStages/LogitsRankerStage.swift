public import Bundles
public import LanguageModels
public import LogitsMatching
public import Tensors
import TokenAlignment

/// Stage three of serving: the frozen language model reads the prompt, GLLM scores the candidates. A pure function of the
/// bundle, the language model and its input.
public struct LogitsRankerStage: Sendable {
  private let bundle: RecommenderBundle
  private let model: any LanguageModel
  private let head: FrozenHead
  /// What the aligner's prompts begin with.
  private let prefix: SharedPrefix?

  /// Packs the head, and reads what all prompts begin with, once for all rankings.
  ///
  /// - Parameter tokenizer: the model's own.
  /// - Throws: `GLTAError.invalidArgument` where the bundle's template is not one; what reading throws.
  public init(bundle: RecommenderBundle, model: any LanguageModel, tokenizer: any TextTokenizer) throws(GLTAError) {
    self.bundle = bundle
    self.model = model
    head = FrozenHead(bundle.alignment.head, tokens: bundle.itemTokens)
    let writer = InstructionWriter(
      template: try InstructionTemplate(bundle.manifest.userTemplate), tokenizer: tokenizer,
      maximumLength: model.maximumLength)
    prefix = try model.readPrefix(writer.opening, pool: .serial)
  }

  /// Memory for one ranking at a time, reused between them; `.serial` where rankings are themselves shared out over a pool.
  public func makePass(pool: ThreadPool) -> any LanguageModelPass { model.makePass(pool: pool) }

  /// A ranking whose candidates and prompt are yet to come.
  public func begin(mode: PredictionMode, count: Int) -> LogitsRanking {
    LogitsRanking(stage: self, mode: mode, count: count)
  }

  var usesLogits: Bool { bundle.manifest.weights.gllm != 0 }
  var itemCount: Int { head.itemCount }

  /// What the item rows are compared with, slots x D: the model's one pass over the prompt.
  func queries(_ prompt: AlignedPrompt, pass: any LanguageModelPass) throws(GLTAError) -> Matrix {
    let (prefix, prompt) = parted(prompt)
    let hidden = try pass.forward(
      inputEmbeddings: inputEmbeddings(prompt), after: prefix, wanted: prompt.slotPositions.map(Int.init))
    // A copy: the next pass overwrites the hidden states.
    return head.queries(hidden).copy()
  }

  /// prior + weight x logit, queries x candidates.
  func scores(_ queries: Matrix, candidates: [Int32], prior: [Float]) -> Matrix {
    let scores = head.logits(queries: queries, candidates: candidates)
    Ranking.addPrior(prior, weight: bundle.manifest.weights.gllm, to: scores)
    return scores
  }

  /// The logits of all slots: slots x candidates (all items where nil), without the prior.
  public func logits(
    _ prompt: AlignedPrompt, candidates: [Int32]? = nil, pass: any LanguageModelPass
  ) throws(GLTAError) -> Matrix {
    try check(prompt)
    return head.logits(queries: try queries(prompt, pass: pass), candidates: candidates)
  }

  /// One pick at a time. Slot t is read with the picks before it standing as item tokens in the slots before it; once all
  /// slots are used, the picks move up and the last slot is read again.
  func rankAutoregressively(
    _ prompt: AlignedPrompt, candidates: [Int32], prior: [Float], count: Int, pass: any LanguageModelPass,
    onPick: ([RankedItem]) throws(GLTAError) -> Void
  ) throws(GLTAError) -> [RankedItem] {
    let (prefix, prompt) = parted(prompt)
    let input = inputEmbeddings(prompt)
    let slots = prompt.slotPositions.map(Int.init)
    var taken = [Bool](repeating: false, count: candidates.count)
    var picks: [RankedItem] = []
    while picks.count < min(count, candidates.count) {
      let slot = min(picks.count, slots.count - 1)
      for (position, pick) in zip(slots.prefix(slot), picks.suffix(slot)) {
        writeRounded(bundle.itemTokens.row(Int(pick.item)), to: input.row(position))
      }
      let hidden = try pass.forward(inputEmbeddings: input, after: prefix, wanted: [slots[slot]])
      let scores = scores(head.queries(hidden), candidates: candidates, prior: prior)
      guard let column = Ranking.argmax(scores.row(0), candidates, taken) else { break }
      taken[column] = true
      picks.append(RankedItem(item: candidates[column], score: scores[0, column]))
      if picks.count < count { try onPick(picks) }
    }
    return picks
  }

  /// A token that is fed back has the precision of those that the aligner sends.
  private func writeRounded(_ token: UnsafePointer<Float>, to row: UnsafeMutablePointer<Float>) {
    for column in 0..<model.hiddenSize { row[column] = BFloat16(token[column]).float }
  }

  /// Makes sure that a prompt fits the model: it may come from a peer.
  func check(_ prompt: AlignedPrompt) throws(GLTAError) {
    let length = prompt.tokenIDs.count
    let vocabulary = Int32(model.vocabularySize)
    let positions = 0..<Int32(length)
    guard prompt.tokenIDs.allSatisfy({ $0 >= 0 && $0 < vocabulary }),
      prompt.softTokens.dtype == .bf16, prompt.softTokens.shape == [prompt.softPositions.count, model.hiddenSize],
      prompt.softPositions.allSatisfy(positions.contains), !prompt.slotPositions.isEmpty,
      prompt.slotPositions.allSatisfy(positions.contains),
      zip(prompt.slotPositions, prompt.slotPositions.dropFirst()).allSatisfy({ $0 < $1 })
    else {
      throw GLTAError(.invalidArgument, "a prompt whose ids, soft tokens or slots do not fit its \(length) positions")
    }
  }

  /// What is known of a prompt, and the rest of it. A prompt may come from a peer that begins otherwise.
  private func parted(_ prompt: AlignedPrompt) -> (prefix: SharedPrefix?, rest: AlignedPrompt) {
    guard let prefix, prompt.begins(with: prefix.ids) else { return (nil, prompt) }
    return (prefix, prompt.dropFirst(prefix.count))
  }

  /// The prompt, which has been checked, as the model's input.
  private func inputEmbeddings(_ prompt: AlignedPrompt) -> Matrix {
    let input = model.inputEmbeddings(prompt.tokenIDs)
    let soft = prompt.softTokens.floats()
    for (row, position) in prompt.softPositions.enumerated() {
      for column in 0..<model.hiddenSize { input[Int(position), column] = soft[row * model.hiddenSize + column] }
    }
    return input
  }
}
