/// Tags out of what a language model wrote: it was asked for words with commas between and does as it likes.
public enum TagAnswer {
  /// Words of a tag at the most; what is longer is a sentence.
  private static let mostWords = 4
  /// What is no tag alone: the start of a title that was broken off.
  private static let articles: Set = ["the", "a", "an"]
  /// Characters of a tag at the most.
  private static let mostCharacters = 40

  /// Whether a character stands between tags of a line.
  package static func isSeparator(_ character: Character) -> Bool { ",;|".contains(character) }

  /// The tags of an answer in its order, in lower case, each once, at most `count`.
  ///
  /// Commas, semicolons and line ends part them; numbers and bullets before them, quotes and points around them, brackets
  /// behind them, and what announces them ("Here are six tags:") are left out.
  public static func tags(in answer: String, count: Int) -> [String] {
    var found: [String] = []
    for line in answer.split(whereSeparator: \.isNewline) {
      for part in contents(of: line).split(whereSeparator: isSeparator) {
        let tag = clean(part)
        let words = tag.split(separator: " ").count
        guard words > 0, words <= mostWords, tag.count <= mostCharacters, tag.contains(where: \.isLetter),
          !articles.contains(tag), !found.contains(tag)
        else { continue }
        found.append(tag)
        if found.count == count { return found }
      }
    }
    return found
  }

  /// A line without what announces its tags.
  private static func contents(of line: Substring) -> Substring {
    guard let colon = line.firstIndex(of: ":") else { return line }
    return line[line.index(after: colon)...]
  }

  private static func clean(_ part: Substring) -> String {
    func isAround(_ character: Character) -> Bool {
      character.isWhitespace || "\"'`*#-–•.!?()[]<>_“”‘’".contains(character)
    }
    var rest = part.drop(while: isAround)
    // "1. war", "2) love".
    let unnumbered = rest.drop(while: \.isNumber)
    if let next = unnumbered.first, next == "." || next == ")", unnumbered.startIndex > rest.startIndex {
      rest = unnumbered.drop(while: isAround)
    }
    // "Heat (1995)".
    if let bracket = rest.lastIndex(of: "("), bracket > rest.startIndex { rest = rest[..<bracket] }
    while let last = rest.last, isAround(last) { rest.removeLast() }
    if rest.lowercased().hasPrefix("and ") { rest = rest.dropFirst(4) }
    return rest.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
