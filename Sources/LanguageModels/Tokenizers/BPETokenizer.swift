import Tensors

/// The tokenizer of decoders: byte-pair encoding of bytes (GPT-2, Llama 3, Qwen2, SmolLM2) or of characters with bytes
/// for the rest (Llama 2, Mistral 7B), read from `tokenizer.json` or a GGUF file.
///
/// A text goes through the steps of Hugging Face's `tokenizers`, which is the judge of the result: added tokens are found
/// in the raw text, the rest is normalised, searched for added tokens again, cut into words and those merged into tokens.
/// A `String` is whole UTF-8 by construction: whoever reads bytes has put U+FFFD for what was not. Truncation and padding
/// settings of the file are ignored, as `WordPieceTokenizer` does.
public struct BPETokenizer: TextTokenizer {
  /// One more than the largest id.
  public let vocabularyCount: Int
  /// What stands before every sequence, as <s>; empty where the model wants nothing.
  public let sequenceStart: [Int32]
  /// What stands after every sequence; empty for most.
  public let sequenceEnd: [Int32]
  /// The token of a place to fill in; decoders have none as a rule.
  public let maskToken: Int32?
  /// The unknown token, else padding, else the end of a text, else id 0.
  public let fillerToken: Int32
  /// The token that starts a text, where the model has one.
  public let startToken: Int32?
  /// The token that ends a text or a turn of a chat: where generation stops.
  public let endToken: Int32?
  /// `startToken` as a text; empty where there is none.
  public let startText: String
  /// `endToken` as a text; empty where there is none.
  public let endText: String
  /// How messages become a prompt, in Jinja, as the model's makers wrote it; nil where there is none. See `ChatTemplate`.
  public let chatTemplate: String?
  /// The class of the tokenizer in a few words, for reports.
  public let summary: String

  private let model: BPEModel
  private let texts: TokenTexts
  private let names: TokenNames
  private let normalization: [TextNormalization]
  private let prefix: TextPrefix
  private let splits: [WordSplit]
  private let rawTokens: AddedTokens
  /// Added tokens that are looked for after normalisation; nil where the file has none.
  private let normalizedTokens: AddedTokens?

  init(_ definition: BPEDefinition) throws(GLTAError) {
    let added = definition.addedTokens
    let largest = max(definition.vocabulary.map(\.id).max() ?? -1, added.map(\.id).max() ?? -1)
    let normalization = definition.normalization
    let late = added.filter(\.isNormalized)
    vocabularyCount = Int(largest) + 1
    sequenceStart = definition.sequenceStart
    sequenceEnd = definition.sequenceEnd
    maskToken = definition.special.mask
    startToken = definition.special.start
    endToken = definition.special.end
    fillerToken =
      definition.special.unknown ?? definition.special.padding ?? definition.special.end ?? 0
    chatTemplate = definition.chatTemplate
    startText = definition.text(of: definition.special.start)
    endText = definition.text(of: definition.special.end)
    summary = definition.isByteLevel ? "BPE of bytes" : definition.hasByteFallback ? "BPE with bytes" : "BPE"
    self.normalization = normalization
    prefix = definition.prefix
    splits = definition.splits
    rawTokens = AddedTokens(added.filter { !$0.isNormalized }) { Array($0.unicodeScalars) }
    normalizedTokens = late.isEmpty ? nil : AddedTokens(late, form: definition.normalized)
    names = TokenNames(definition.vocabulary, added: added)
    model = definition.makeModel()
    texts = definition.makeTexts(count: Int(largest) + 1)
    let sound = (sequenceStart + sequenceEnd + [fillerToken]).allSatisfy { (0...max(largest, 0)).contains($0) }
    guard sound, largest >= 0 else {
      throw GLTAError(
        .invalidFile, "\(definition.path): a special token has an id beyond the vocabulary's \(largest + 1)")
    }
  }

  /// The id of a token as the vocabulary spells it; nil where there is none.
  public func id(of token: String) -> Int32? { names.id(of: token) }

  /// The text of ids, special tokens left out; bytes that are not UTF-8 become U+FFFD.
  public func decode(_ ids: [Int32]) -> String { texts.text(of: ids) }

  /// Appends what a token adds to a text, in UTF-8 that may end within a character; nothing for a special token.
  ///
  /// - Parameter isFirst: whether no token of the text has been read before.
  public func appendText(of id: Int32, isFirst: Bool, to text: inout [UInt8]) -> Bool {
    texts.append(id, isFirst: isFirst, to: &text)
    return texts.isVisible(id)
  }

  /// The ids of a text with nothing around it, in time that is linear in the text, or nearly so for words of any length.
  public func encode(_ text: String) -> [Int32] {
    let scalars = Array(text.unicodeScalars)
    var ids: [Int32] = []
    ids.reserveCapacity(scalars.count / 3 + 1)
    var work = EncodingWorkspace()
    for part in rawTokens.split(scalars) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range): appendText(Array(scalars[range]), isFirst: range.lowerBound == 0, using: &work, to: &ids)
      }
    }
    return ids
  }

  private func appendText(
    _ text: [Unicode.Scalar], isFirst: Bool, using work: inout EncodingWorkspace, to ids: inout [Int32]
  ) {
    var text = text
    for step in normalization { step.apply(to: &text) }
    guard let normalizedTokens else { return appendWords(of: &text, isFirst: isFirst, using: &work, to: &ids) }
    for part in normalizedTokens.split(text) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range):
        var between = Array(text[range])
        appendWords(of: &between, isFirst: isFirst && range.lowerBound == 0, using: &work, to: &ids)
      }
    }
  }

  private func appendWords(
    of text: inout [Unicode.Scalar], isFirst: Bool, using work: inout EncodingWorkspace, to ids: inout [Int32]
  ) {
    prefix.apply(to: &text, isFirst: isFirst)
    guard !text.isEmpty else { return }
    work.split(text, by: splits)
    var start = 0
    text.withUnsafeBufferPointer { scalars in
      for end in work.ends {
        work.setBytes(scalars[start..<end])
        start = end
        work.bytes.withUnsafeBufferPointer { model.appendTokens(of: $0, using: &work.symbols, to: &ids) }
      }
    }
  }
}

/// Memory that a text is encoded in.
private struct EncodingWorkspace {
  var symbols = BPEWorkspace()
  /// The UTF-8 of a word.
  var bytes: [UInt8] = []
  /// Where each word ends.
  private(set) var ends: [Int] = []
  private var earlierEnds: [Int] = []
  private var classes: [SplitClass] = []

  /// Cuts a text into words, one step after the other.
  mutating func split(_ text: [Unicode.Scalar], by splits: [WordSplit]) {
    ends.removeAll(keepingCapacity: true)
    ends.append(text.count)
    guard !splits.isEmpty else { return }
    classes.removeAll(keepingCapacity: true)
    for scalar in text { classes.append(SplitClass(scalar)) }
    text.withUnsafeBufferPointer { scalars in
      for step in splits { apply(step, to: scalars) }
    }
  }

  private mutating func apply(_ step: WordSplit, to scalars: UnsafeBufferPointer<Unicode.Scalar>) {
    swap(&ends, &earlierEnds)
    ends.removeAll(keepingCapacity: true)
    classes.withUnsafeBufferPointer { classes in
      let text = ClassifiedText(scalars: scalars, classes: classes)
      var start = 0
      for end in earlierEnds {
        step.appendEnds(of: start..<end, in: text, to: &ends)
        start = end
      }
    }
  }

  mutating func setBytes(_ word: Slice<UnsafeBufferPointer<Unicode.Scalar>>) {
    bytes.removeAll(keepingCapacity: true)
    for scalar in word {
      bytes.append(utf8: scalar)
    }
  }
}

extension BPEDefinition {
  func text(of id: Int32?) -> String {
    guard let id else { return "" }
    return addedTokens.first { $0.id == id }?.content ?? vocabulary.first { $0.id == id }?.token ?? ""
  }

  func makeModel() -> BPEModel {
    var table = TokenTable(capacity: vocabulary.count)
    for entry in vocabulary {
      if !isByteLevel {
        table.insert(entry.token.utf8, id: entry.id)
      } else if let bytes = ByteAlphabet.bytes(of: entry.token) {
        table.insert(bytes, id: entry.id)
      }
    }
    return BPEModel(
      tokens: table, merges: merges, alphabet: alphabet(table), unknownToken: unknownToken, fusesUnknown: fusesUnknown,
      ignoresMerges: ignoresMerges)
  }

  private func alphabet(_ table: TokenTable) -> BPEModel.Alphabet {
    func id(_ byte: UInt8) -> Int32 {
      if !isByteLevel { return table.id(of: ByteToken.text(of: byte)) ?? -1 }
      return [byte].withUnsafeBufferPointer { table.id(of: $0) } ?? -1
    }
    let ids = (isByteLevel || hasByteFallback) ? (0...255).map { id(UInt8($0)) } : []
    return isByteLevel ? .bytes(ids) : .characters(bytes: ids)
  }

  /// The reference reads a token that is looked for after normalisation as it stands there.
  private func readText(of token: AddedToken) -> String {
    guard token.isNormalized else { return token.content }
    return String(String.UnicodeScalarView(normalized(token.content)))
  }

  func normalized(_ text: String) -> [Unicode.Scalar] {
    var scalars = Array(text.unicodeScalars)
    for step in normalization { step.apply(to: &scalars) }
    return scalars
  }

  func makeTexts(count: Int) -> TokenTexts {
    var tokens = [String?](repeating: nil, count: count)
    for entry in vocabulary { tokens[Int(entry.id)] = entry.token }
    for token in addedTokens { tokens[Int(token.id)] = readText(of: token) }
    return TokenTexts(
      tokens, joining: joining, hasByteTokens: hasByteTokens, isByteLevel: isByteLevel && joining == .bytes,
      isSpecial: Set(addedTokens.filter(\.isSpecial).map(\.id)))
  }
}
