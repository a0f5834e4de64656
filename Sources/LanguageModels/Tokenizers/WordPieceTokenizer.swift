public import Tensors

/// The tokenizer of BERT-class models, read from `tokenizer.json` or `vocab.txt` of a Hugging Face directory.
///
/// A text goes through the steps of Hugging Face's `tokenizers`, which is the judge of the result: added tokens are
/// found in the raw text, the rest is normalised (`BERTNormalizer`), cut into words (`BERTPreTokenizer`) and the words
/// into pieces (`WordPieceModel`). Truncation and padding settings of the file are ignored on purpose: they belong to
/// one use of a model (MiniLM's file pads everything to 128), not to the model. Whoever builds a prompt knows its own
/// limit.
public struct WordPieceTokenizer: TextTokenizer {
  /// The token before a text, [CLS].
  public let classToken: Int32
  /// The token after a text, [SEP].
  public let separatorToken: Int32
  /// The token of a place to fill in, [MASK]; never nil.
  public let maskToken: Int32?
  /// The token that fills up a batch, [PAD].
  public let padToken: Int32
  /// The token of words that the vocabulary cannot spell, [UNK].
  public let unknownToken: Int32
  /// One more than the largest id.
  public let vocabularyCount: Int

  private let model: WordPieceModel
  private let normalizer: BERTNormalizer
  private let rawTokens: AddedTokens
  /// Added tokens that are looked for after normalisation; nil where the file has none, as most have.
  private let normalizedTokens: AddedTokens?
  private let addedIDs: [String: Int32]
  private let texts: [Int32: String]
  private let decoder: WordPieceDecoder
  private let specialIDs: Set<Int32>

  /// [CLS].
  public var sequenceStart: [Int32] { [classToken] }
  /// [SEP].
  public var sequenceEnd: [Int32] { [separatorToken] }
  /// [PAD].
  public var fillerToken: Int32 { padToken }
  /// The class of the tokenizer.
  public var summary: String { "WordPiece" }

  /// Reads a directory.
  ///
  /// - Throws: `GLTAError.unsupported` for a tokenizer of another class, naming what was found; `.invalidFile` where
  ///   the file is damaged or lacks a special token; `.inputOutput` where there is none.
  public init(directory: String) throws(GLTAError) {
    let definition = try TokenizerDefinition(directory: directory)
    let added = definition.addedTokens
    let addedIDs = Dictionary(added.map { ($0.content, $0.id) }, uniquingKeysWith: { first, _ in first })
    func special(_ token: String) throws(GLTAError) -> Int32 {
      guard let id = addedIDs[token] ?? definition.id(of: token) else {
        throw GLTAError(
          .invalidFile, "\(directory): the vocabulary has no \(token)",
          hint: "a BERT-class tokenizer has tokens for class, separator, mask, padding and unknown words")
      }
      return id
    }
    classToken = try special(definition.classToken)
    separatorToken = try special(definition.separatorToken)
    maskToken = try special(definition.maskToken)
    padToken = try special(definition.padToken)
    unknownToken = try special(definition.unknownToken)

    let normalizer = definition.normalizer
    let late = added.filter(\.isNormalized)
    self.normalizer = normalizer
    self.addedIDs = addedIDs
    rawTokens = AddedTokens(added.filter { !$0.isNormalized }) { Array($0.unicodeScalars) }
    normalizedTokens = late.isEmpty ? nil : AddedTokens(late) { normalizer.normalize($0.unicodeScalars) }
    model = WordPieceModel(
      vocabulary: definition.vocabulary, unknownToken: unknownToken, continuingPrefix: definition.continuingPrefix,
      maximumCharacters: definition.maximumCharacters)
    texts = Dictionary(
      added.map { ($0.id, $0.content) } + definition.vocabulary.map { ($0.id, $0.token) },
      uniquingKeysWith: { first, _ in first })
    vocabularyCount = Int(texts.keys.max() ?? -1) + 1
    decoder = definition.decoder
    specialIDs = Set(added.filter(\.isSpecial).map(\.id))
  }

  /// The ids of a text, without [CLS] and [SEP] around it. Takes time linear in the text.
  public func encode(_ text: String) -> [Int32] {
    let scalars = Array(text.unicodeScalars)
    var ids: [Int32] = []
    for part in rawTokens.split(scalars) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range): appendText(normalizer.normalize(scalars[range]), to: &ids)
      }
    }
    return ids
  }

  /// The ids of a text, with [CLS] before and [SEP] after it where wanted.
  public func encode(_ text: String, addingSpecialTokens: Bool) -> [Int32] {
    addingSpecialTokens ? [classToken] + encode(text) + [separatorToken] : encode(text)
  }

  /// The text of ids, special tokens left out: lower case and without accents, where the model reads it so.
  public func decode(_ ids: [Int32]) -> String {
    var text: [UInt8] = []
    var isFirst = true
    for id in ids where appendText(of: id, isFirst: isFirst, to: &text) { isFirst = false }
    return String(decoding: text, as: UTF8.self)
  }

  /// Appends what a token adds to a text: a space before words, none before pieces inside a word.
  public func appendText(of id: Int32, isFirst: Bool, to text: inout [UInt8]) -> Bool {
    guard let token = texts[id], !specialIDs.contains(id) else { return false }
    decoder.append(token, isFirst: isFirst, to: &text)
    return true
  }

  /// The text of a token, `##` included; nil for an id that the vocabulary does not have.
  public func token(_ id: Int32) -> String? { texts[id] }

  /// The id of a token; nil where the vocabulary does not have it.
  public func id(of token: String) -> Int32? { addedIDs[token] ?? model.id(of: token) }

  private func appendText(_ normalized: [Unicode.Scalar], to ids: inout [Int32]) {
    guard let normalizedTokens else { return appendWords(normalized, to: &ids) }
    for part in normalizedTokens.split(normalized) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range): appendWords(Array(normalized[range]), to: &ids)
      }
    }
  }

  private func appendWords(_ normalized: [Unicode.Scalar], to ids: inout [Int32]) {
    normalized.withUnsafeBufferPointer { scalars in
      BERTPreTokenizer.forEachWord(in: scalars) { model.appendPieces(of: $0, in: scalars, to: &ids) }
    }
  }
}
