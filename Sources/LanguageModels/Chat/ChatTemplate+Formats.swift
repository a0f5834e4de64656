import Tensors

/// The formats as they are written.
extension ChatTemplate {
  func renderChatML(_ messages: [ChatMessage], prompts: Bool) -> String {
    var messages = messages
    if let defaultSystem, let first = messages.first, first.role != .system {
      messages.insert(ChatMessage(.system, defaultSystem), at: 0)
    }
    let turns = messages.map { "<|im_start|>\($0.role.rawValue)\n\($0.content)<|im_end|>\n" }
    return turns.joined() + (prompts ? "<|im_start|>assistant\n" : "")
  }

  func renderLlama3(_ messages: [ChatMessage], prompts: Bool) -> String {
    (messages.isEmpty ? "" : startToken) + llama3Turns(messages, prompts: prompts)
  }

  private func llama3Turns(_ messages: [ChatMessage], prompts: Bool) -> String {
    func header(_ role: ChatMessage.Role) -> String { "<|start_header_id|>\(role.rawValue)<|end_header_id|>\n\n" }
    let turns = messages.map { header($0.role) + ChatTemplate.stripped($0.content) + "<|eot_id|>" }
    return turns.joined() + (prompts ? header(.assistant) : "")
  }

  /// The day that Llama 3.1's template takes for today's. Later templates ask the clock where they can; a prompt that is
  /// another one tomorrow would give other tags and other rankings, so theirs is this day, too.
  static let today = "26 Jul 2024"

  func renderDatedLlama3(_ messages: [ChatMessage], prompts: Bool) -> String {
    let hasSystem = messages.first?.role == .system
    let system = hasSystem ? ChatTemplate.stripped(messages[0].content) : ""
    let dates = "Cutting Knowledge Date: December 2023\nToday Date: \(ChatTemplate.today)\n\n"
    let head = "<|start_header_id|>system<|end_header_id|>\n\n" + dates + system + "<|eot_id|>"
    return startToken + head + llama3Turns(Array(messages.dropFirst(hasSystem ? 1 : 0)), prompts: prompts)
  }

  /// A turn from before the last question shows what was answered; one after it what was thought, too.
  func renderQwen3(_ messages: [ChatMessage], prompts: Bool, thinking: Bool) -> String {
    let question = messages.lastIndex { $0.role == .user } ?? messages.count
    var text = ""
    for (index, message) in messages.enumerated() {
      var content = message.content
      if message.role == .assistant {
        let (thought, answer) = ChatTemplate.parted(content)
        let isLast = index == messages.count - 1
        let isShown = index > question && (isLast || !thought.isEmpty)
        content =
          isShown ? "<think>\n\(thought)\n</think>\n\n" + String(answer.unicodeScalars.drop { $0 == "\n" }) : answer
      }
      text += "<|im_start|>\(message.role.rawValue)\n\(content)<|im_end|>\n"
    }
    return text + (prompts ? "<|im_start|>assistant\n" + (thinking ? "" : "<think>\n\n</think>\n\n") : "")
  }

  /// What a model thought and what it then said, without the marks around the thought.
  private static func parted(_ content: String) -> (thought: String, answer: String) {
    let parts = content.split(separator: "</think>", omittingEmptySubsequences: false)
    guard parts.count > 1 else { return ("", content) }
    let thought = parts[0].split(separator: "<think>", omittingEmptySubsequences: false).last ?? ""
    let answer = parts[parts.count - 1].unicodeScalars.drop { $0 == "\n" }
    return (stripped(thought) { $0 == "\n" }, String(answer))
  }

  func renderLlama2(_ messages: [ChatMessage]) throws(GLTAError) -> String {
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

  func renderMistral(_ messages: [ChatMessage]) throws(GLTAError) -> String {
    guard let mistral else { return "" }
    let system = mistral.systemPlace != nil && messages.first?.role == .system ? messages[0].content : nil
    let turns = Array(messages.dropFirst(system == nil ? 0 : 1))
    var text = startToken
    for (index, message) in turns.enumerated() {
      try requireAlternation(message, index)
      switch message.role {
      case .user:
        text += mistral.question(message.content, system: mistral.takesSystem(index, of: turns) ? system : nil)
      case .assistant: text += mistral.answer(message.content, endToken: endToken)
      case .system:
        throw GLTAError(
          .invalidArgument, "this model's prompts have no system's turn" + (system == nil ? "" : " but the first"),
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
  static func stripped(_ text: String) -> String {
    stripped(text) { $0.properties.isWhitespace || (0x1C...0x1F).contains($0.value) }
  }

  private static func stripped(_ text: some StringProtocol, _ isSpace: (Unicode.Scalar) -> Bool) -> String {
    let start = text.unicodeScalars.drop(while: isSpace)
    return String(String.UnicodeScalarView(start.reversed().drop(while: isSpace).reversed()))
  }
}
