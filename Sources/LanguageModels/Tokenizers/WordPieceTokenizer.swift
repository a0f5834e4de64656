import Foundation
public import Tensors

/// The tokenizer of BERT-class models, read from `tokenizer.json` or `vocab.txt` of a Hugging Face directory.
///
/// Truncation and padding settings of the file are ignored on purpose: they belong to one use of a model (MiniLM's file
/// pads everything to 128), not to the model. Whoever builds a prompt knows its own limit.
public struct WordPieceTokenizer: Sendable {
  public let classToken: Int32
  public let separatorToken: Int32
  public let maskToken: Int32
  public let padToken: Int32
  public let unknownToken: Int32
  /// One more than the largest id.
  public let vocabularyCount: Int

  private let model: WordPieceModel
  private let normalizer: BERTNormalizer
  /// Tokens that are found in raw text before anything else, longest first.
  private let addedTokens: [(scalars: [Unicode.Scalar], id: Int32)]
  /// Their first scalars: text without any of these needs no search.
  private let addedStarts: Set<Unicode.Scalar>
  private let texts: [Int32: String]

  /// Reads a directory.
  ///
  /// - Throws: `GLTAError.unsupported` for a tokenizer of another class, naming what was found; `.invalidFile` where the
  ///   file is damaged or lacks a special token.
  public init(directory: String) throws(GLTAError) {
    let file = try TokenizerFile(directory: directory)
    func special(_ token: String) throws(GLTAError) -> Int32 {
      guard let id = file.id(of: token) else {
        throw GLTAError(.invalidFile, "\(directory): the vocabulary has no \(token)", hint: "it is not a BERT-class tokenizer")
      }
      return id
    }
    classToken = try special("[CLS]")
    separatorToken = try special("[SEP]")
    maskToken = try special("[MASK]")
    padToken = try special("[PAD]")
    unknownToken = try special(file.unknownToken)
    model = WordPieceModel(
      vocabulary: file.vocabulary, unknownToken: unknownToken, continuingPrefix: file.continuingPrefix,
      maximumCharacters: file.maximumCharacters)
    normalizer = file.normalizer
    addedTokens = file.addedTokens.map { (Array($0.key.unicodeScalars), $0.value) }
      .filter { !$0.0.isEmpty }
      .sorted { $0.0.count != $1.0.count ? $0.0.count > $1.0.count : $0.1 < $1.1 }
    addedStarts = Set(addedTokens.compactMap(\.scalars.first))
    var texts = Dictionary(file.vocabulary.map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    for (token, id) in file.addedTokens { texts[id] = token }
    self.texts = texts
    vocabularyCount = Int(texts.keys.max() ?? -1) + 1
  }

  /// The ids of a text, without [CLS] and [SEP] around it. Takes time linear in the text.
  public func encode(_ text: String) -> [Int32] {
    var ids: [Int32] = []
    for part in split(Array(text.unicodeScalars)) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let scalars):
        for word in BERTPreTokenizer.words(normalizer.normalize(scalars)) { model.appendPieces(of: word, to: &ids) }
      }
    }
    return ids
  }

  /// The ids of a text, with [CLS] before and [SEP] after it where wanted.
  public func encode(_ text: String, addingSpecialTokens: Bool) -> [Int32] {
    addingSpecialTokens ? [classToken] + encode(text) + [separatorToken] : encode(text)
  }

  /// The text of a token.
  public func token(_ id: Int32) -> String? { texts[id] }

  /// The id of a token.
  public func id(of token: String) -> Int32? {
    model.vocabulary[token] ?? addedTokens.first { $0.scalars.elementsEqual(token.unicodeScalars) }?.id
  }

  private enum Part {
    case text(ArraySlice<Unicode.Scalar>)
    case token(Int32)
  }

  private func split(_ scalars: [Unicode.Scalar]) -> [Part] {
    var parts: [Part] = []
    var start = 0
    var at = 0
    while at < scalars.count {
      if addedStarts.contains(scalars[at]),
        let found = addedTokens.first(where: { scalars[at...].starts(with: $0.scalars) })
      {
        if start < at { parts.append(.text(scalars[start..<at])) }
        parts.append(.token(found.id))
        at += found.scalars.count
        start = at
      } else {
        at += 1
      }
    }
    if start < scalars.count { parts.append(.text(scalars[start...])) }
    return parts
  }
}
