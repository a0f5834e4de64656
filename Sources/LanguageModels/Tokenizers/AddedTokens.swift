/// A token that is looked for in the text itself, before or after normalisation, and never cut.
struct AddedToken: Sendable {
  var content: String
  var id: Int32
  /// Only where no word character touches it.
  var isSingleWord = false
  /// Takes the white space before it, or after it, along.
  var stripsLeft = false
  var stripsRight = false
  /// Looked for in normalised text, itself normalised; otherwise in raw text.
  var isNormalized = false
  /// Says something about the text rather than stand for some of it: left out where text is read.
  var isSpecial = false
}

/// Finds added tokens in a text: leftmost first, the longest of those that start at one place.
struct AddedTokens: Sendable {
  private struct Pattern {
    let scalars: [Unicode.Scalar]
    let token: AddedToken
  }

  enum Part {
    case text(Range<Int>)
    case token(Int32)
  }

  /// By first scalar, longest first.
  private let patterns: [Unicode.Scalar: [Pattern]]

  /// - Parameter form: the scalars that stand for a content in the text.
  init(_ tokens: [AddedToken], form: (String) -> [Unicode.Scalar]) {
    let all = tokens.map { Pattern(scalars: form($0.content), token: $0) }.filter { !$0.scalars.isEmpty }
    patterns = Dictionary(grouping: all) { $0.scalars[0] }
      .mapValues { $0.sorted { $0.scalars.count > $1.scalars.count } }
  }

  /// The tokens found and the text between them, in order.
  func split(_ scalars: [Unicode.Scalar]) -> [Part] {
    var parts: [Part] = []
    var done = 0
    var at = 0
    while at < scalars.count {
      guard let pattern = match(in: scalars, at: at) else {
        at += 1
        continue
      }
      let matched = at..<at + pattern.scalars.count
      at = matched.upperBound
      guard !pattern.token.isSingleWord || standsAlone(matched, in: scalars) else { continue }
      let range = widen(matched, by: pattern.token, in: scalars, from: done)
      if done < range.lowerBound { parts.append(.text(done..<range.lowerBound)) }
      parts.append(.token(pattern.token.id))
      done = range.upperBound
      at = max(at, done)
    }
    if done < scalars.count { parts.append(.text(done..<scalars.count)) }
    return parts
  }

  private func match(in scalars: [Unicode.Scalar], at start: Int) -> Pattern? {
    patterns[scalars[start]]?.first { scalars[start...].starts(with: $0.scalars) }
  }

  private func standsAlone(_ range: Range<Int>, in scalars: [Unicode.Scalar]) -> Bool {
    let isFreeBefore = range.lowerBound == 0 || !CharacterClass.isWord(scalars[range.lowerBound - 1])
    let isFreeAfter = range.upperBound == scalars.count || !CharacterClass.isWord(scalars[range.upperBound])
    return isFreeBefore && isFreeAfter
  }

  private func widen(
    _ range: Range<Int>, by token: AddedToken, in scalars: [Unicode.Scalar], from first: Int
  ) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while token.stripsLeft, start > first, CharacterClass.isWhitespace(scalars[start - 1]) { start -= 1 }
    while token.stripsRight, end < scalars.count, CharacterClass.isWhitespace(scalars[end]) { end += 1 }
    return start..<end
  }
}
