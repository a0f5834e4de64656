/// Cuts normalised text into words: at white space, and around every punctuation mark.
enum BERTPreTokenizer {
  static func words(_ scalars: [Unicode.Scalar]) -> [ArraySlice<Unicode.Scalar>] {
    var words: [ArraySlice<Unicode.Scalar>] = []
    var start = 0
    for (index, scalar) in scalars.enumerated() {
      let isSpace = CharacterClass.isWhitespace(scalar)
      guard isSpace || CharacterClass.isPunctuation(scalar) else { continue }
      if start < index { words.append(scalars[start..<index]) }
      if !isSpace { words.append(scalars[index...index]) }
      start = index + 1
    }
    if start < scalars.count { words.append(scalars[start...]) }
    return words
  }
}
