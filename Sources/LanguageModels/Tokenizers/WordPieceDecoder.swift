/// Joins pieces to a text as Hugging Face's `tokenizers` does (`decoders/wordpiece`).
struct WordPieceDecoder: Sendable, Equatable {
  /// Whether pieces inside a word are joined to it; otherwise a space stands between all tokens.
  var joinsPieces = true
  /// What pieces inside a word start with.
  var prefix = "##"
  /// Whether the space before punctuation and English contractions goes.
  var cleans = true

  private static let attached = [".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"]

  func append(_ token: String, isFirst: Bool, to text: inout [UInt8]) {
    guard !isFirst else { return text.append(contentsOf: token.utf8) }
    if joinsPieces, token.utf8.starts(with: prefix.utf8) {
      return text.append(contentsOf: token.utf8.dropFirst(prefix.utf8.count))
    }
    let isAttached = joinsPieces && cleans && WordPieceDecoder.attached.contains { token.utf8.starts(with: $0.utf8) }
    if !isAttached { text.append(UInt8(ascii: " ")) }
    text.append(contentsOf: token.utf8)
  }
}
