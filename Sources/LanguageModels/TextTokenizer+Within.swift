/// Pieces of a prompt, tokenised as they would be in the middle of a text: most decoders have other tokens for a word that
/// follows a space than for one that begins a text.
extension TextTokenizer {
  /// The ids of a text that follows something and a space.
  package func encodeWithin(_ text: String) -> [Int32] { encode(text, behind: ",", space: " ") }

  /// The ids of a text that follows a word at once, as a comma does.
  package func encodeBehind(_ text: String) -> [Int32] { encode(text, behind: "a", space: "") }

  private func encode(_ text: String, behind word: String, space: String) -> [Int32] {
    guard !text.isEmpty else { return [] }
    let (before, whole) = (encode(word), encode(word + space + text))
    // Where the two became one token, there is no telling them apart.
    return whole.starts(with: before) ? Array(whole.dropFirst(before.count)) : encode(text)
  }
}
