public import Tensors

/// When a continuation ends and how its tokens are chosen.
public struct GenerationOptions: Sendable {
  /// Tokens that are generated at the most.
  public var maximumTokens: Int
  /// Tokens that end a continuation; they are not part of it.
  public var stopTokens: Set<Int32>
  /// How tokens are chosen.
  public var sampling: SamplingOptions

  /// Up to `maximumTokens` tokens, the best each time unless `sampling` says otherwise.
  public init(maximumTokens: Int, stopTokens: Set<Int32> = [], sampling: SamplingOptions = .greedy) {
    self.maximumTokens = maximumTokens
    self.stopTokens = stopTokens
    self.sampling = sampling
  }
}

/// What a decoder has appended to a prompt.
public struct Continuation: Sendable, Equatable {
  /// Why it ended.
  public enum Ending: String, Sendable, Codable {
    /// A stop token came.
    case stopToken = "stop_token"
    /// There are as many tokens as were asked for.
    case length
    /// The model has no positions left.
    case positions
    /// The receiver of the tokens did not want more.
    case stopped
  }

  /// What follows a token.
  public enum Step: Sendable {
    /// The model chooses the next one.
    case choose
    /// These follow, as if the model had chosen them. What is said of them before the last of them is not heeded.
    case say([Int32])
    /// Nothing: the continuation ends.
    case end
  }

  /// The tokens, without the one that ended them.
  public var tokens: [Int32]
  /// Why there are no more.
  public var ending: Ending

  /// Tokens and why there are no more.
  public init(tokens: [Int32], ending: Ending) {
    self.tokens = tokens
    self.ending = ending
  }
}

/// Continues prompts token by token, several at once.
///
/// What prompts have in common is computed once: see `prefill`. A continuation has the same tokens alone and in a batch.
public final class DecoderGenerator {
  /// Positions of a prompt that are computed in one go: memory stays within bounds, bits do not depend on it.
  private static let promptBlock = 512

  private let model: DecoderModel
  private let pool: ThreadPool
  private let step: DecoderStep

  /// A generator; `pool` runs its loops.
  public init(model: DecoderModel, pool: ThreadPool) {
    self.model = model
    self.pool = pool
    step = DecoderStep(model: model, pool: pool)
  }

  /// What a call of `generate` will hold in memory.
  ///
  /// - Parameters:
  ///   - prompts: continued at once.
  ///   - length: tokens of the longest, with what stands before all of them.
  ///   - prefixes: tokens of each prefix that is kept meanwhile.
  ///   - maximumTokens: generated at the most.
  public func memoryPlan(prompts: Int, length: Int, prefixes: [Int] = [], maximumTokens: Int) -> MemoryPlan {
    let configuration = model.configuration
    let floats = MemoryLayout<Float>.stride
    let capacity = min(length + max(0, maximumTokens), model.maximumLength)
    let caches = prompts * KVCache.byteCount(configuration, capacity: capacity)
    let pass = DecoderMemory.byteCount(
      configuration, length: min(length, DecoderGenerator.promptBlock), retention: .nothing, extendsCache: true)
    return MemoryPlan([
      ("weights", model.weightBytes(forBackward: false)),
      ("keys and values of \(prompts) prompt\(prompts == 1 ? "" : "s")", caches),
      (
        "keys and values of shared beginnings",
        prefixes.reduce(0) { $0 + KVCache.byteCount(configuration, capacity: $1) }
      ),
      ("activations", pool.threads * pass + prompts * length * model.hiddenSize * floats),
      (
        "steps and logits",
        DecoderStep.byteCount(configuration, rows: prompts, threads: pool.threads)
          + prompts * model.vocabularySize * floats
      ),
    ])
  }

  /// A cache that knows some tokens: what many prompts begin with.
  ///
  /// - Throws: `GLTAError.invalidArgument` where there are none, or more than the model's positions.
  public func prefill(_ ids: [Int32]) throws(GLTAError) -> KVCache {
    let cache = KVCache(model: model, capacity: ids.count)
    _ = try prefill(model.inputEmbeddings(ids), wantsLast: false, cache, DecoderPass(model: model, pool: pool))
    return cache
  }

  /// Continues prompts of any lengths.
  ///
  /// - Parameters:
  ///   - prompts: token ids of each, at least one.
  ///   - prefix: what stands before all of them.
  ///   - onToken: called with each token of each prompt as it comes; says what follows it.
  /// - Returns: one continuation for each prompt.
  /// - Throws: `GLTAError.invalidArgument` where a prompt is empty or beyond the model's positions, an option cannot work
  ///   or the model has no head.
  public func generate(
    _ prompts: [[Int32]], after prefix: KVCache? = nil, options: GenerationOptions,
    onToken: (_ prompt: Int, _ token: Int32) -> Continuation.Step = { _, _ in .choose }
  ) throws(GLTAError) -> [Continuation] {
    try generate(
      inputEmbeddings: prompts.map { model.inputEmbeddings($0) }, after: prefix, options: options, onToken: onToken)
  }

  /// The same for prompts whose places need not be tokens: each rows x hiddenSize.
  public func generate(
    inputEmbeddings prompts: [Matrix], after prefix: KVCache? = nil, options: GenerationOptions,
    onToken: (_ prompt: Int, _ token: Int32) -> Continuation.Step = { _, _ in .choose }
  ) throws(GLTAError) -> [Continuation] {
    try options.sampling.validate()
    guard model.hasHead else {
      throw GLTAError(
        .invalidArgument, "the model was read without the layer that gives logits",
        hint: "read it with `parts: .all`")
    }
    var (sequences, states) = try begin(prompts, after: prefix, options)
    var logits = Matrix(rows: sequences.count, columns: model.vocabularySize)
    var active = Array(sequences.indices)
    while !active.isEmpty {
      if logits.rows != active.count { logits = logits.slice(0..<active.count) }
      try model.computeLogits(states, into: logits, pool: pool)
      for (row, index) in active.enumerated() {
        try sequences[index].take(logits.row(row), count: logits.columns, options, model: model) {
          onToken(index, $0)
        }
      }
      active.removeAll { sequences[$0].ending != nil }
      guard !active.isEmpty else { break }
      states = try step.forward(
        inputEmbeddings: model.inputEmbeddings(active.map { sequences[$0].last }),
        caches: active.map { sequences[$0].cache })
    }
    return sequences.map { Continuation(tokens: $0.tokens, ending: $0.ending ?? .length) }
  }

  // MARK: Prompts

  /// Computes the prompts; gives back the sequences and the last hidden state of each.
  private func begin(
    _ prompts: [Matrix], after prefix: KVCache?, _ options: GenerationOptions
  ) throws(GLTAError) -> ([GeneratedSequence], Matrix) {
    let known = prefix?.count ?? 0
    var sequences: [GeneratedSequence] = []
    for (index, prompt) in prompts.enumerated() {
      try model.requireRoom(prompt.rows, after: known, isCached: true)
      let capacity = min(known + prompt.rows + max(0, options.maximumTokens), model.maximumLength)
      let cache = prefix?.fork(capacity: capacity) ?? KVCache(model: model, capacity: capacity)
      sequences.append(GeneratedSequence(cache: cache, sampler: TokenSampler(options.sampling, sequence: index)))
    }
    let states = Matrix(rows: prompts.count, columns: model.hiddenSize)
    // Many prompts are shared out whole; a single one is shared out inside.
    let isShared = prompts.count >= pool.threads
    let passes = (0..<(isShared ? pool.threads : 1)).map { _ in
      DecoderPass(model: model, pool: isShared ? .serial : pool)
    }
    let failures = FirstFailure()
    let caches = sequences.map(\.cache)
    func compute(_ index: Int, _ pass: DecoderPass) {
      do throws(GLTAError) {
        let state = try prefill(prompts[index], wantsLast: true, caches[index], pass)
        states.row(index).update(from: state.base, count: model.hiddenSize)
      } catch { failures.record(error, at: index) }
    }
    if isShared {
      pool.forEach(prompts.count) { index, worker in compute(index, passes[worker]) }
    } else {
      for index in prompts.indices { compute(index, passes[0]) }
    }
    try failures.rethrow()
    return (sequences, states)
  }

  /// Adds a prompt to a cache, block by block.
  ///
  /// - Returns: the last hidden state of the last position, where it is wanted.
  private func prefill(
    _ prompt: Matrix, wantsLast: Bool, _ cache: KVCache, _ pass: DecoderPass
  ) throws(GLTAError) -> Matrix {
    try model.requireRoom(prompt.rows, after: cache.count, isCached: true)
    var state = Matrix(rows: 0, columns: model.hiddenSize)
    for start in stride(from: 0, to: prompt.rows, by: DecoderGenerator.promptBlock) {
      let end = min(prompt.rows, start + DecoderGenerator.promptBlock)
      let isLast = end == prompt.rows
      state = try pass.forward(
        inputEmbeddings: prompt.slice(start..<end), wanted: isLast && wantsLast ? [end - start - 1] : [],
        extending: cache)
    }
    return state
  }
}

/// A prompt under way.
private struct GeneratedSequence {
  let cache: KVCache
  var sampler: TokenSampler
  /// Tokens that are not chosen.
  private var said: [Int32] = []
  private(set) var tokens: [Int32] = []
  private(set) var ending: Continuation.Ending?

  init(cache: KVCache, sampler: TokenSampler) {
    self.cache = cache
    self.sampler = sampler
  }

  /// The token that the next step reads.
  var last: Int32 { tokens[tokens.count - 1] }

  /// Chooses the next token, or ends.
  mutating func take(
    _ logits: UnsafeMutablePointer<Float>, count: Int, _ options: GenerationOptions, model: DecoderModel,
    _ onToken: (Int32) -> Continuation.Step
  ) throws(GLTAError) {
    guard tokens.count < options.maximumTokens else { return ending = .length }
    let token = said.isEmpty ? try sampler.next(logits, count: count) : said.removeFirst()
    if options.stopTokens.contains(token) { return ending = .stopToken }
    tokens.append(token)
    switch onToken(token) {
    case .choose: break
    case .say(let ids): if said.isEmpty { said = ids }
    case .end: return ending = .stopped
    }
    if tokens.count == options.maximumTokens {
      ending = .length
    } else if cache.count >= model.cacheLimit {
      ending = .positions
    }
  }
}
