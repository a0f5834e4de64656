public import Tensors

/// A decoder that is asked and answers in text.
public struct TextGenerator {
  /// Tokens that end an answer.
  public let stopTokens: Set<Int32>
  private let model: DecoderModel
  private let tokenizer: any TextTokenizer
  private let chat: ChatTemplate?
  private let generator: DecoderGenerator

  /// A generator on a model that was read with its head.
  ///
  /// - Parameter tokenizer: the model's own.
  /// - Throws: `GLTAError.unsupported` for an encoder, which cannot write.
  public init(model: any LanguageModel, tokenizer: any TextTokenizer, pool: ThreadPool) throws(GLTAError) {
    guard let model = model as? DecoderModel else {
      throw GLTAError(
        .unsupported, "a model of class \(model.architecture) reads and does not write",
        hint: "give a decoder, such as `glta model fetch smollm2` brings")
    }
    self.model = model
    self.tokenizer = tokenizer
    generator = DecoderGenerator(model: model, pool: pool)
    let bytePair = tokenizer as? BPETokenizer
    // A template of no known format matters to those alone who chat.
    chat = try? bytePair?.makeChatTemplate()
    let ends = [bytePair?.endToken, chat.flatMap { bytePair?.id(of: $0.endOfTurn) }]
    stopTokens = Set(ends.compactMap { $0 })
  }

  /// Whether the model has a chat template that is known.
  public var canChat: Bool { chat != nil }

  /// The longest sequence, prompt and answer together.
  public var maximumLength: Int { model.maximumLength }

  /// The ids of a text that the model goes on with.
  public func ids(ofPrompt prompt: String) -> [Int32] { tokenizer.sequenceStart + tokenizer.encode(prompt) }

  /// The ids of a conversation, up to where the model speaks.
  ///
  /// - Parameter thinking: whether a model that thinks aloud may.
  /// - Throws: `GLTAError.unsupported` where the model has no chat template that is known; what `ChatTemplate` throws.
  public func ids(ofChat messages: [ChatMessage], thinking: Bool = true) throws(GLTAError) -> [Int32] {
    guard let chat else {
      throw GLTAError(
        .unsupported, "the model has no chat template of a known format",
        hint: "give a model that was tuned for conversations, or a prompt without --chat")
    }
    return tokenizer.encode(try chat.render(messages, thinking: thinking))
  }

  /// Goes on with a prompt, its text given out as it comes.
  ///
  /// - Parameter onText: called with whole characters; returning false ends the text.
  /// - Throws: `GLTAError.invalidArgument` for a prompt that is empty or beyond the model's positions.
  public func generate(
    _ ids: [Int32], options: GenerationOptions, onText: (String) -> Bool
  ) throws(GLTAError) -> Continuation {
    var decoder = StreamDecoder(tokenizer)
    let continuation = try generator.generate([ids], options: options) { _, token in
      let text = decoder.append(token)
      return text.isEmpty || onText(text) ? .choose : .end
    }[0]
    let rest = decoder.finish()
    if !rest.isEmpty { _ = onText(rest) }
    return continuation
  }

  /// What answers will hold in memory; see `DecoderGenerator.memoryPlan`.
  public func memoryPlan(prompts: Int, length: Int, prefixes: [Int] = [], maximumTokens: Int) -> MemoryPlan {
    generator.memoryPlan(prompts: prompts, length: length, prefixes: prefixes, maximumTokens: maximumTokens)
  }

  /// What several prompts have in common at their start, computed once; nil for nothing.
  ///
  /// - Throws: what `DecoderGenerator.prefill` throws.
  public func sharedPrefix(of prompts: [[Int32]]) throws(GLTAError) -> SharedPrefix? {
    guard var common = prompts.first?.dropLast() else { return nil }
    for prompt in prompts.dropFirst() {
      common = common.prefix(zip(common, prompt.dropLast()).prefix { $0 == $1 }.count)
    }
    guard common.count > 1 else { return nil }
    return SharedPrefix(ids: Array(common), cache: try generator.prefill(Array(common)))
  }

  /// The best answers to several prompts, computed together.
  ///
  /// - Parameters:
  ///   - prefix: what all of them begin with; their answers are the same without.
  ///   - step: what comes after an answer as far as it goes.
  /// - Throws: as `generate`.
  public func answers(
    to prompts: [[Int32]], after prefix: SharedPrefix? = nil, maximumTokens: Int,
    step: (String) -> AnswerStep = { _ in .goOn }
  ) throws(GLTAError) -> [Answer] {
    let options = GenerationOptions(maximumTokens: maximumTokens, stopTokens: stopTokens)
    let rests = prompts.map { Array($0.dropFirst(prefix?.count ?? 0)) }
    var decoders = prompts.map { _ in StreamDecoder(tokenizer) }
    var texts = prompts.map { _ in "" }
    let continuations = try generator.generate(rests, after: prefix?.cache, options: options) { prompt, token in
      texts[prompt] += decoders[prompt].append(token)
      return switch step(texts[prompt]) {
      case .goOn: .choose
      case .say(let text): .say(tokenizer.encodeBehind(text))
      case .end: .end
      }
    }
    return continuations.map { continuation in
      Answer(
        text: tokenizer.decode(continuation.tokens),
        isCutOff: continuation.ending == .length || continuation.ending == .positions)
    }
  }

  /// What a model answered.
  public struct Answer: Sendable, Equatable {
    /// The text.
    public var text: String
    /// Whether there was more to say than tokens.
    public var isCutOff: Bool
  }

  /// What comes after an answer as far as it goes.
  public enum AnswerStep: Sendable, Equatable {
    /// What the model has to say.
    case goOn
    /// This, as if the model had said it.
    case say(String)
    /// Nothing.
    case end
  }
}
