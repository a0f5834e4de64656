import Foundation
import LanguageModels
import Tensors
import Testing

/// Conversations and what transformers makes of them: written by Tests/Golden/chat_golden.py.
private struct ChatGolden: Decodable {
  struct Chat: Decodable {
    let family: String
    let messages: [[String]]
    let prompt: Bool
    let thinking: Bool
    /// nil: the template refuses the conversation.
    let text: String?
  }

  let templates: [String: String]
  let chats: [Chat]

  init(path: String) throws {
    self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
  }

  /// Templates as their makers published them, where somebody has put them onto this machine.
  static let published = ProcessInfo.processInfo.environment["GLTA_CHAT_TEMPLATES"]

  func expectTheSame() throws {
    for chat in chats {
      let source = try #require(templates[chat.family])
      let template = try ChatTemplate(source: source, startToken: "<s>", endToken: "</s>")
      let messages = try chat.messages.map { ChatMessage(try #require(ChatMessage.Role(rawValue: $0[0])), $0[1]) }
      let text = try? template.render(messages, addingGenerationPrompt: chat.prompt, thinking: chat.thinking)
      #expect(text.map { Array($0.utf8) } == chat.text.map { Array($0.utf8) }, "\(chat.family) \(chat.messages)")
    }
  }
}

@Suite struct ChatTemplateTests {
  @Test func rendersAsTransformers() throws {
    try ChatGolden(path: Golden.path("chat/golden.json")).expectTheSame()
  }

  @Test(.enabled(if: ChatGolden.published != nil, "$GLTA_CHAT_TEMPLATES names no goldens of published templates"))
  func rendersPublishedTemplatesAsTransformers() throws {
    try ChatGolden(path: #require(ChatGolden.published)).expectTheSame()
  }

  @Test(
    arguments: zip(
      ["smollm2", "qwen2", "qwen2.5", "qwen3", "llama2", "llama3", "llama3.1", "mistral", "mistral1", "mistralNemo"],
      ["chatML", "chatML", "chatML", "qwen3", "llama2", "llama3", "llama3.1", "mistral", "mistral", "mistral"]))
  func recognisesTheFamily(name: String, family: String) throws {
    let source = try #require(try ChatGolden(path: Golden.path("chat/golden.json")).templates[name])
    let template = try ChatTemplate(source: source, startToken: "<s>", endToken: "</s>")
    #expect(template.family.rawValue == family)
  }

  @Test(arguments: [
    "", "{{ messages }}", "<|im_start|><think>", "<|system|>{{ x }}", "[INST]{{ x }}[/INST]",
    // Another day than the one that we write, a thought that is begun for the model, a system's turn of its own, and
    // somebody's instructions in Llama 2's place for them.
    "<|start_header_id|><|eot_id|>Cutting Knowledge Date: March 2030",
    "<|im_start|>last_query_index enable_thinking is false {{- '<think>\\n' }}",
    "[INST] <<SYS>> {% elif true == true %}{% set system_message = 'x' %}",
    "[SYSTEM_PROMPT]{{ '[INST]' + message['content'] + '[/INST]' }}{{ message['content'] + eos_token }}",
  ])
  func refusesWhatItDoesNotKnow(source: String) {
    let error = #expect(throws: GLTAError.self) { try ChatTemplate(source: source, startToken: "", endToken: "") }
    #expect(error?.code == .unsupported)
  }
}
