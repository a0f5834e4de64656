/// A text as the tokens of one language model.
public protocol TextTokenizer: Sendable {
  /// One more than the largest id.
  var vocabularyCount: Int { get }
  /// What stands before every sequence, as [CLS] or <s>; empty where the model wants nothing.
  var sequenceStart: [Int32] { get }
  /// What stands after every sequence, as [SEP]; empty for decoders, which go on.
  var sequenceEnd: [Int32] { get }
  /// The token of a place to fill in, [MASK]; nil where the model has none.
  var maskToken: Int32? { get }
  /// A token for places whose embedding is replaced.
  var fillerToken: Int32 { get }

  /// The ids of a text with nothing around it. Takes time linear in the text, or nearly so, and never fails.
  func encode(_ text: String) -> [Int32]

  /// The text of ids, as people read it: special tokens and ids that are none are left out.
  func decode(_ ids: [Int32]) -> String

  /// Appends what a token adds to a text, in UTF-8 that may end within a character. See `StreamDecoder`.
  ///
  /// - Parameter isFirst: whether no token that people read stood before it.
  /// - Returns: whether people read the token; false for special tokens, which add nothing.
  func appendText(of id: Int32, isFirst: Bool, to text: inout [UInt8]) -> Bool

  /// The class of the tokenizer in a few words, for reports.
  var summary: String { get }
}
