/// Cuts normalised text into words: at white space, and around every punctuation mark.
package enum BERTPreTokenizer {
  /// Calls `body` with the bounds of each word, in order.
  package static func forEachWord(
    in scalars: UnsafeBufferPointer<Unicode.Scalar>, _ body: (Range<Int>) -> Void
  ) {
    var start = 0
    for (index, scalar) in scalars.enumerated() {
      let isSpace = CharacterClass.isWhitespace(scalar)
      guard isSpace || CharacterClass.isPunctuation(scalar) else { continue }
      if start < index { body(start..<index) }
      if !isSpace { body(index..<index + 1) }
      start = index + 1
    }
    if start < scalars.count { body(start..<scalars.count) }
  }
}
