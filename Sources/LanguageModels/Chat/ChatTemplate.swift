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
    /// `<|im_start|>` and `<|im_end|>`: SmolLM2, Qwen2 and many more.
    case chatML
    /// `[INST] <<SYS>>`: Llama 2.
    case llama2
    /// `<|start_header_id|>`: Llama 3.
    case llama3
    /// `[INST]` without a system's turn: Mistral 7B.
    case mistral
  }

  /// The format.
  public let family: Family
  /// What is said above a conversation that does not say it itself; nil for nothing.
  public let defaultSystem: String?
  /// What ends the model's turn, as a token of the model.
  public let endOfTurn: String
  private let startToken: String
  private let endToken: String
  /// Whether the model's turn is always announced, asked for or not.
  private let alwaysPrompts: Bool
  private let spacesAnswers: Bool

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
    spacesAnswers = has("eos_token + ' '") || has("eos_token+' '")
    if has("<|im_start|>"), !has("<think>") {
      (family, endOfTurn) = (.chatML, "<|im_end|>")
      defaultSystem = ChatTemplate.defaultSystem(in: source)
    } else if has("<|start_header_id|>"), has("<|eot_id|>"), !has("Cutting Knowledge Date") {
      (family, endOfTurn, defaultSystem) = (.llama3, "<|eot_id|>", nil)
    } else if has("[INST]"), has("<<SYS>>") {
      (family, endOfTurn, defaultSystem) = (.llama2, endToken, nil)
    } else if has("'[INST] '"), has("' [/INST]'"), !has("[AVAILABLE_TOOLS]"), !has("SYSTEM_PROMPT") {
      (family, endOfTurn, defaultSystem) = (.mistral, endToken, nil)
    } else {
      throw GLTAError(
        .unsupported,
        "the chat template is of no known format; it starts with \(String(source.prefix(60)).debugDescription)",
        hint: "known are ChatML (SmolLM2, Qwen2), Llama 2, Llama 3 and Mistral 7B; prompts without a chat work always")
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
  /// - Parameter addingGenerationPrompt: whether the model's turn is announced at the end.
  /// - Throws: `GLTAError.invalidArgument` for an order of turns that the format cannot write.
  public func render(
    _ messages: [ChatMessage], addingGenerationPrompt: Bool = true
  ) throws(GLTAError) -> String {
    let prompts = addingGenerationPrompt || alwaysPrompts
    switch family {
    case .chatML: return renderChatML(messages, prompts: prompts)
    case .llama3: return renderLlama3(messages, prompts: prompts)
    case .llama2: return try renderLlama2(messages)
    case .mistral: return try renderMistral(messages)
    }
  }

  // MARK: Formats

  private func renderChatML(_ messages: [ChatMessage], prompts: Bool) -> String {
    var messages = messages
    if let defaultSystem, let first = messages.first, first.role != .system {
      messages.insert(ChatMessage(.system, defaultSystem), at: 0)
    }
    let turns = messages.map { "<|im_start|>\($0.role.rawValue)\n\($0.content)<|im_end|>\n" }
    return turns.joined() + (prompts ? "<|im_start|>assistant\n" : "")
  }

  private func renderLlama3(_ messages: [ChatMessage], prompts: Bool) -> String {
    func header(_ role: ChatMessage.Role) -> String { "<|start_header_id|>\(role.rawValue)<|end_header_id|>\n\n" }
    let turns = messages.map { header($0.role) + ChatTemplate.stripped($0.content) + "<|eot_id|>" }
    return (messages.isEmpty ? "" : startToken) + turns.joined() + (prompts ? header(.assistant) : "")
  }

  private func renderLlama2(_ messages: [ChatMessage]) throws(GLTAError) -> String {
    let system = messages.first?.role == .system ? messages[0].content : nil
    var text = ""
    for (index, message) in messages.dropFirst(system == nil ? 0 : 1).enumerated() {
      try requireAlternation(message, index)
      var content = message.content
      if index == 0, let system { content = "<<SYS>>\n\(system)\n<</SYS>>\n\n" + content }
      content = ChatTemplate.stripped(content)
      switch message.role {
      case .user: text += "\(startToken)[INST] \(content) [/INST]"
      case .assistant: text += " \(content) \(endToken)"
      case .system: break
      }
    }
    return text
  }

  private func renderMistral(_ messages: [ChatMessage]) throws(GLTAError) -> String {
    var text = startToken
    for (index, message) in messages.enumerated() {
      try requireAlternation(message, index)
      switch message.role {
      case .user: text += "[INST] \(message.content) [/INST]"
      case .assistant: text += message.content + endToken + (spacesAnswers ? " " : "")
      case .system:
        throw GLTAError(
          .invalidArgument, "this model's prompts have no system's turn",
          hint: "put the instructions at the start of the user's first turn")
      }
    }
    return text
  }

  private func requireAlternation(_ message: ChatMessage, _ index: Int) throws(GLTAError) {
    guard (message.role == .user) == (index % 2 == 0) else {
      throw GLTAError(
        .invalidArgument, "turn \(index) of the conversation is the \(message.role.rawValue)'s",
        hint: "this model's prompts alternate between user and assistant, and the user is first")
    }
  }

  /// Without white space at the ends, as Python's `str.strip` has it.
  private static func stripped(_ text: String) -> String {
    func isSpace(_ scalar: Unicode.Scalar) -> Bool {
      scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }
    let scalars = text.unicodeScalars
    let start = scalars.drop(while: isSpace)
    let end = start.reversed().drop { isSpace($0) }
    return String(String.UnicodeScalarView(end.reversed()))
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
