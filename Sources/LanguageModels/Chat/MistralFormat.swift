/// How a Mistral model spells its turns: each version has other spaces, and another place for instructions.
struct MistralFormat: Sendable, Equatable {
  /// The question that the system's turn is put before.
  enum SystemPlace: Sendable {
    case first
    /// The last turn, where that is a question.
    case last
    /// Questions that read as the last one does.
    case lastQuestion
  }

  /// What stands before and behind a question.
  private let opening: String
  private let closing: String
  private let answerOpening: String
  private let stripsAnswers: Bool
  private let answerClosing: String
  /// nil: the model knows no system's turn.
  let systemPlace: SystemPlace?

  /// Reads the spelling out of the expressions that write a question and an answer; nil where there are none such.
  init?(source: String) {
    let quoted = #/["'](\ ?\[INST\]\ ?)["'] \+ message\[["']content["']\] \+ ["'](\ ?\[/INST\])["']/#
    let answered = #/(["']\ ["'] \+ )?message\[["']content["']\](\|trim)? ?\+ ?eos_token( ?\+ ?["']\ ["'])?/#
    guard let question = source.firstMatch(of: quoted), let answer = source.firstMatch(of: answered) else { return nil }
    (opening, closing) = (String(question.1), String(question.2))
    (answerOpening, stripsAnswers) = (answer.1 == nil ? "" : " ", answer.2 != nil)
    answerClosing = answer.3 == nil ? "" : " "
    if !source.contains("system_message is defined") {
      systemPlace = nil
    } else if source.contains("loop.first and system_message") {
      systemPlace = .first
    } else {
      systemPlace = source.contains("loop.last and system_message") ? .last : .lastQuestion
    }
  }

  /// Whether the system's turn stands in a question of a conversation.
  func takesSystem(_ index: Int, of turns: [ChatMessage]) -> Bool {
    switch systemPlace {
    case nil: false
    case .first: index == 0
    case .last: index == turns.count - 1
    case .lastQuestion: turns[index] == turns.last { $0.role == .user }
    }
  }

  func question(_ text: String, system: String?) -> String {
    opening + (system.map { $0 + "\n\n" } ?? "") + text + closing
  }

  func answer(_ text: String, endToken: String) -> String {
    answerOpening + (stripsAnswers ? ChatTemplate.stripped(text) : text) + endToken + answerClosing
  }
}
