/// Greedy longest-match-first pieces of one word (Wu et al., 2016; BERT's `WordpieceTokenizer`).
struct WordPieceModel: Sendable {
  let vocabulary: [String: Int32]
  let unknownToken: Int32
  let continuingPrefix: String
  let maximumCharacters: Int
  /// Scalars of the longest piece: no match is longer, which keeps long words linear.
  private let longestPiece: Int

  init(vocabulary: [String: Int32], unknownToken: Int32, continuingPrefix: String, maximumCharacters: Int) {
    self.vocabulary = vocabulary
    self.unknownToken = unknownToken
    self.continuingPrefix = continuingPrefix
    self.maximumCharacters = maximumCharacters
    longestPiece = vocabulary.keys.reduce(1) { max($0, $1.unicodeScalars.count) }
  }

  /// Appends the pieces of a word; a word that has none, or is too long, is one unknown token.
  func appendPieces(of word: ArraySlice<Unicode.Scalar>, to ids: inout [Int32]) {
    guard word.count <= maximumCharacters else { return ids.append(unknownToken) }
    let before = ids.count
    var start = word.startIndex
    while start < word.endIndex {
      guard let (id, end) = longestMatch(in: word, from: start) else {
        ids.removeSubrange(before...)
        return ids.append(unknownToken)
      }
      ids.append(id)
      start = end
    }
  }

  private func longestMatch(in word: ArraySlice<Unicode.Scalar>, from start: Int) -> (id: Int32, end: Int)? {
    let isContinuing = start > word.startIndex
    var end = min(word.endIndex, start + longestPiece)
    while end > start {
      var piece = isContinuing ? continuingPrefix : ""
      piece.unicodeScalars.append(contentsOf: word[start..<end])
      if let id = vocabulary[piece] { return (id, end) }
      end -= 1
    }
    return nil
  }
}
