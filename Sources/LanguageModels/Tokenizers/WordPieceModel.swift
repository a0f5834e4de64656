/// Greedy longest-match-first pieces of one word (Wu et al., 2016; BERT's `WordpieceTokenizer`).
struct WordPieceModel: Sendable {
  let unknownToken: Int32
  /// Scalars of the longest word that is cut into pieces.
  let maximumCharacters: Int
  private var trie = PieceTrie()
  private let wordStart: PieceTrie.Node
  private let wordMiddle: PieceTrie.Node

  /// - Parameter vocabulary: tokens, those inside a word with the prefix (`##`), and their ids.
  init(vocabulary: [VocabularyEntry], unknownToken: Int32, continuingPrefix: String, maximumCharacters: Int) {
    self.unknownToken = unknownToken
    self.maximumCharacters = maximumCharacters
    wordStart = trie.addRoot()
    wordMiddle = trie.addRoot()
    let prefix = Array(continuingPrefix.unicodeScalars)
    for entry in vocabulary {
      let scalars = entry.token.unicodeScalars
      trie.insert(scalars, id: entry.id, at: wordStart)
      if scalars.starts(with: prefix) { trie.insert(scalars.dropFirst(prefix.count), id: entry.id, at: wordMiddle) }
    }
  }

  /// Appends the pieces of a word; a word that has none, or is too long, is one unknown token.
  func appendPieces(of word: Range<Int>, in scalars: UnsafeBufferPointer<Unicode.Scalar>, to ids: inout [Int32]) {
    guard word.count <= maximumCharacters else { return ids.append(unknownToken) }
    let before = ids.count
    var rest = word
    while !rest.isEmpty {
      let root = rest.lowerBound == word.lowerBound ? wordStart : wordMiddle
      guard let (id, end) = trie.longestMatch(in: scalars, rest, at: root) else {
        ids.removeSubrange(before...)
        return ids.append(unknownToken)
      }
      ids.append(id)
      rest = end..<word.upperBound
    }
  }

  /// The id of a token, prefix included.
  func id(of token: String) -> Int32? { trie.id(of: token.unicodeScalars, at: wordStart) }
}

/// A token and its id.
struct VocabularyEntry: Sendable {
  let token: String
  let id: Int32
}
