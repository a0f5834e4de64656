public import Tensors

/// One turn of a conversation.
public struct ChatMessage: Sendable, Equatable {
  /// Who speaks.
  public enum Role: String, Sendable, CaseIterable {
    /// Instructions that stand above the conversation.
    case system
    /// A person.
    case user
    /// The model.
    case assistant
  }

  /// Who speaks.
  public var role: Role
  /// What is said.
  public var content: String

  /// A turn of the conversation.
  public init(_ role: Role, _ content: String) {
    self.role = role
    self.content = content
  }
}

/// How a conversation becomes the prompt that a model was trained on.
///
/// Models come with a template in Jinja, a language that can do anything. It is not run: the few formats that templates
/// write are recognised by their markers and written here, judged by transformers' `apply_chat_template`.
public struct ChatTemplate: Sendable, Equatable {
  /// A format of prompts.
  public enum Family: String, Sendable {
    /// `<|im_start|>` and `<|im_end|>`: SmolLM2, Qwen2, Qwen2.5 and many more.
    case chatML
    /// ChatML of a model that thinks aloud before it answers: Qwen3.
    case qwen3
    /// `[INST] <<SYS>>`: Llama 2.
    case llama2
    /// `<|start_header_id|>`: Llama 3.
    case llama3
    /// The same under a system's turn that names dates: Llama 3.1, 3.2 and 3.3.
    case llama31 = "llama3.1"
    /// `[INST]`, in the spelling of each version of Mistral 7B and of Mistral NeMo.
    case mistral
  }

  /// The format.
  public let family: Family
  /// What is said above a conversation that does not say it itself; nil for nothing.
  public let defaultSystem: String?
  /// What ends the model's turn, as a token of the model.
  public let endOfTurn: String
  let startToken: String
  let endToken: String
  /// Whether the model's turn is always announced, asked for or not.
  private let alwaysPrompts: Bool
  /// How turns are spelled where the family is Mistral's.
  let mistral: MistralFormat?

  /// Recognises a template.
  ///
  /// - Parameters:
  ///   - source: the template in Jinja, from `tokenizer_config.json` or `tokenizer.chat_template`.
  ///   - startToken, endToken: the tokens of the start and the end of a text as texts; empty where there are none.
  /// - Throws: `GLTAError.unsupported` where the format is none that is known.
  public init(source: String, startToken: String, endToken: String) throws(GLTAError) {
    func has(_ marker: String) -> Bool { source.contains(marker) }
    self.startToken = startToken
    self.endToken = endToken
    alwaysPrompts = !has("add_generation_prompt")
    mistral = MistralFormat(source: source)
    if has("<|im_start|>"), !has("<think>") {
      (family, endOfTurn) = (.chatML, "<|im_end|>")
      defaultSystem = ChatTemplate.defaultSystem(in: source)
    } else if has("<|im_start|>"), has("last_query_index"), has("enable_thinking is false"), !has("'<think>\\n' }}") {
      (family, endOfTurn, defaultSystem) = (.qwen3, "<|im_end|>", nil)
    } else if has("<|start_header_id|>"), has("<|eot_id|>"), has("Cutting Knowledge Date") == has(ChatTemplate.today) {
      let isDated = has(ChatTemplate.today)
      (family, endOfTurn, defaultSystem) = (isDated ? .llama31 : .llama3, "<|eot_id|>", nil)
    } else if has("[INST]"), has("<<SYS>>"), !has("elif true == true") {
      (family, endOfTurn, defaultSystem) = (.llama2, endToken, nil)
    } else if mistral != nil, !has("SYSTEM_PROMPT") {
      (family, endOfTurn, defaultSystem) = (.mistral, endToken, nil)
    } else {
      throw GLTAError(
        .unsupported,
        "the chat template is of no known format; it starts with \(String(source.prefix(60)).debugDescription)",
        hint:
          "known are ChatML (SmolLM2, Qwen2 and 3), Llama 2 and 3, Mistral 7B and NeMo; prompts without a chat work always"
      )
    }
  }

  /// The text between the markers of a system's turn that the template itself writes, if it writes one.
  private static func defaultSystem(in source: String) -> String? {
    var rest = Substring(source)
    while let start = rest.firstRange(of: "<|im_start|>system") {
      rest = rest[start.upperBound...]
      guard let end = rest.firstRange(of: "<|im_end|>") else { return nil }
      var text = rest[..<end.lowerBound]
      if text.hasPrefix("\\n") { text = text.dropFirst(2) } else if text.hasPrefix("\n") { text = text.dropFirst() }
      // With a quote in it, it is code that puts a message there.
      if !text.contains(where: { $0 == "'" || $0 == "\"" || $0 == "{" }) {
        return String(text).replacing("\\n", with: "\n")
      }
    }
    return nil
  }

  /// The prompt of a conversation.
  ///
  /// - Parameters:
  ///   - addingGenerationPrompt: whether the model's turn is announced at the end.
  ///   - thinking: whether a model that thinks aloud may; the others are not told.
  /// - Throws: `GLTAError.invalidArgument` for an order of turns that the format cannot write.
  public func render(
    _ messages: [ChatMessage], addingGenerationPrompt: Bool = true, thinking: Bool = true
  ) throws(GLTAError) -> String {
    let prompts = addingGenerationPrompt || alwaysPrompts
    switch family {
    case .chatML: return renderChatML(messages, prompts: prompts)
    case .qwen3: return renderQwen3(messages, prompts: prompts, thinking: thinking)
    case .llama3: return renderLlama3(messages, prompts: prompts)
    case .llama31: return renderDatedLlama3(messages, prompts: prompts)
    case .llama2: return try renderLlama2(messages)
    case .mistral: return try renderMistral(messages)
    }
  }
}

extension BPETokenizer {
  /// The format of the model's prompts; nil where its files have no chat template.
  ///
  /// - Throws: what `ChatTemplate.init` throws.
  public func makeChatTemplate() throws(GLTAError) -> ChatTemplate? {
    guard let chatTemplate else { return nil }
    return try ChatTemplate(source: chatTemplate, startToken: startText, endToken: endText)
  }
}
