package import LanguageModels
import TokenAlignment

/// What a decoder is asked: a text to go on with after two worked examples, and how its answer is read. Small models follow
/// examples where they only repeat an instruction, and large ones follow both.
package struct TagPrompt {
  let subject: TagSubject
  /// Tags that say what somebody or something is; zero asks for none.
  let tags: Int
  /// Words for what is likely to be wanted; zero asks for none.
  let interests: Int

  /// A question for so many words of each kind.
  package init(subject: TagSubject, tags: Int, interests: Int) {
    self.subject = subject
    self.tags = tags
    self.interests = interests
  }

  /// Worked examples at the most.
  static let mostExamples = 2

  private static let tagsLabel = "Tags:"
  private static let interestsLabel = "Also like:"

  /// The text for somebody or something, up to where the answer goes on the same line.
  ///
  /// - Parameter examples: of `mostExamples`; a model of few positions has no room for them.
  package func text(for description: String, examples: Int) -> String {
    let worked = examplesOfSubject.prefix(examples).map { question(for: $0.description) + answer($0) + "\n\n" }
    let labels = (tags > 0 ? [Self.tagsLabel] : []) + (interests > 0 ? [Self.interestsLabel] : [])
    return title + "\n\n" + worked.joined() + question(for: description) + (labels.first ?? "")
  }

  private func question(for description: String) -> String {
    (subject == .items ? "Item: " : "Liked: ") + description + "\n"
  }

  private func answer(_ example: Example) -> String {
    let lines = [(Self.tagsLabel, example.tags, tags), (Self.interestsLabel, example.interests, interests)]
    return lines.filter { $0.2 > 0 }.map { "\($0.0) \($0.1.prefix($0.2).joined(separator: ", "))" }
      .joined(separator: "\n")
  }

  private var title: String {
    let what = subject == .items ? "items" : "what people like"
    let wanted = subject == .items ? "what people who like them also like" : "what they are likely to like next"
    let parts = (tags > 0 ? ["short tags for \(what)"] : []) + (interests > 0 ? [wanted] : [])
    let text = parts.joined(separator: ", and ")
    return text.prefix(1).uppercased() + text.dropFirst() + ", separated by commas."
  }

  // MARK: Answers

  /// What comes after an answer as far as it goes: the label of its second line, which a small model may never reach, and
  /// nothing after that. What a model goes on with are questions of its own.
  package func step(after answer: String) -> TextGenerator.AnswerStep {
    guard tags > 0, interests > 0 else { return isOver(answer[...], count: tags + interests) ? .end : .goOn }
    if let label = answer.firstRange(of: Self.interestsLabel) {
      return isOver(answer[label.upperBound...], count: interests) ? .end : .goOn
    }
    guard isOver(answer[...], count: tags) else { return .goOn }
    return .say((answer.last?.isNewline == true ? "" : "\n") + Self.interestsLabel)
  }

  /// Whether a line has ended, has enough words, or goes round in circles.
  private func isOver(_ line: Substring, count: Int) -> Bool {
    let line = line.drop(while: \.isWhitespace)
    guard !line.contains(where: \.isNewline) else { return true }
    let whole = line.split(omittingEmptySubsequences: false, whereSeparator: TagAnswer.isSeparator).dropLast()
    let found = TagAnswer.tags(in: whole.joined(separator: ","), count: count).count
    return found == count || whole.count >= found + 3 || line.split(separator: " ").count >= 4 * count
  }

  /// Tags and interests out of an answer: less than was asked for, or nothing, where the model wrote something else.
  ///
  /// - Parameter isCutOff: whether its last words may not be whole.
  package func read(_ answer: String, isCutOff: Bool) -> (tags: [String], interests: [String]) {
    let end =
      isCutOff ? answer.lastIndex { TagAnswer.isSeparator($0) || $0.isNewline } ?? answer.startIndex : answer.endIndex
    var lines = answer[..<end].split(whereSeparator: \.isNewline).filter { !$0.allSatisfy(\.isWhitespace) }
    var found: (tags: [String], interests: [String]) = ([], [])
    let isLabelled = { (line: Substring) in line.lowercased().hasPrefix(Self.interestsLabel.lowercased()) }
    if tags > 0, let line = lines.first, !isLabelled(line) {
      found.tags = TagAnswer.tags(in: String(lines.removeFirst()), count: tags)
    }
    if interests > 0, let line = tags > 0 ? lines.first(where: isLabelled) : lines.first {
      found.interests = TagAnswer.tags(in: String(line), count: interests)
    }
    return found
  }

  // MARK: Worked examples

  private struct Example {
    let description: String
    let tags: [String]
    let interests: [String]
  }

  private var examplesOfSubject: [Example] { subject == .items ? Self.itemExamples : Self.userExamples }

  private static let itemExamples = [
    Example(
      description: "Jurassic Park (1993). Action, Adventure, Sci-Fi",
      tags: ["dinosaurs", "adventure", "science fiction", "survival", "island", "blockbuster", "thriller", "park"],
      interests: [
        "fossils", "space travel", "monster films", "theme parks", "thrillers", "robots", "jungle", "animals",
      ]),
    Example(
      description: "Stainless steel water bottle, 750 ml, leak-proof",
      tags: ["drinking", "hiking", "insulated", "kitchen", "reusable", "sports", "outdoors", "steel"],
      interests: [
        "camping gear", "yoga mats", "backpacks", "lunch boxes", "running shoes", "cups", "bicycles", "tents",
      ]),
  ]

  private static let userExamples = [
    Example(
      description: "Jurassic Park (1993); Alien (1979); Total Recall (1990); Men in Black (1997)",
      tags: ["science fiction", "action", "suspense", "monsters", "aliens", "blockbusters", "chases", "the future"],
      interests: [
        "space travel", "robots", "time travel", "disaster films", "thrillers", "comics", "secret agents", "fossils",
      ]),
    Example(
      description: "Steel water bottle, 750 ml; Tent for two; Trail running shoes; Head torch, rechargeable",
      tags: ["hiking", "camping", "outdoors", "running", "light gear", "fitness", "travel", "night walks"],
      interests: [
        "sleeping bags", "backpacks", "camping stoves", "rain jackets", "maps", "energy bars", "bicycles", "yoga mats",
      ]),
  ]
}
