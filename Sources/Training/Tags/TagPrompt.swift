/// What a decoder is asked for an item's tags: a text to go on with after two worked examples. Small models follow examples
/// where they only repeat an instruction, and large ones follow both.
enum TagPrompt {
  /// What an item is.
  case tags(count: Int)
  /// What people like who like it.
  case interests(count: Int)

  /// Worked examples at the most.
  static let mostExamples = 2

  /// The text for an item, up to where the answer goes on the same line.
  ///
  /// - Parameter examples: of `mostExamples`; a model of few positions has no room for them.
  func text(for item: String, examples: Int) -> String {
    let (title, label, count) = head
    let examples = zip(TagPrompt.items, answers).prefix(examples).map { item, words in
      "Item: \(item)\n\(label): \(words.prefix(count).joined(separator: ", "))\n\n"
    }
    return "\(title), separated by commas.\n\n\(examples.joined())Item: \(item)\n\(label):"
  }

  /// The answer's own line: what a model writes after it are items of its own.
  static func firstLine(of answer: String) -> String {
    answer.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
  }

  private static let items = [
    "Jurassic Park (1993). Action, Adventure, Sci-Fi", "Stainless steel water bottle, 750 ml, leak-proof",
  ]

  private var head: (title: String, label: String, count: Int) {
    switch self {
    case .tags(let count): ("Short tags for items", "Tags", count)
    case .interests(let count): ("What people who like an item also like", "Also like", count)
    }
  }

  private var answers: [[String]] {
    switch self {
    case .tags:
      [
        ["dinosaurs", "adventure", "science fiction", "survival", "island", "blockbuster", "thriller", "park"],
        ["drinking", "hiking", "insulated", "kitchen", "reusable", "sports", "outdoors", "steel"],
      ]
    case .interests:
      [
        ["fossils", "space travel", "monster films", "theme parks", "thrillers", "robots", "jungle", "animals"],
        ["camping gear", "yoga mats", "backpacks", "lunch boxes", "running shoes", "cups", "bicycles", "tents"],
      ]
    }
  }
}
