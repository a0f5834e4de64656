import Foundation
import Tensors

/// What a WordPiece tokenizer's files say, whichever of the two layouts a directory has.
struct TokenizerDefinition {
  var vocabulary: [VocabularyEntry] = []
  var addedTokens: [AddedToken] = []
  var normalizer = BERTNormalizer()
  var unknownToken = "[UNK]"
  var continuingPrefix = "##"
  var maximumCharacters = 100
  var classToken = "[CLS]"
  var separatorToken = "[SEP]"
  var maskToken = "[MASK]"
  var padToken = "[PAD]"
  var decoder = WordPieceDecoder()

  /// The largest id that is accepted: no real vocabulary comes near.
  static let maximumID = 1 << 24

  /// Reads `tokenizer.json`, else `vocab.txt`; `tokenizer_config.json` names the special tokens of both.
  init(directory: String) throws(GLTAError) {
    let settings = try TokenizerSettings(path: directory + "/tokenizer_config.json")
    if FileManager.default.fileExists(atPath: directory + "/tokenizer.json") {
      settings.nameSpecialTokens(&self)
      try TokenizerJSON(path: directory + "/tokenizer.json").fill(&self)
    } else if FileManager.default.fileExists(atPath: directory + "/vocab.txt") {
      settings.nameSpecialTokens(&self)
      settings.fill(&normalizer)
      vocabulary = try VocabularyText.read(path: directory + "/vocab.txt")
      try addSpecialTokens(directory: directory)
    } else {
      throw GLTAError(
        .inputOutput, "\(directory) has neither tokenizer.json nor vocab.txt",
        hint: "give the directory of a Hugging Face model; `glta model fetch minilm` brings one")
    }
  }

  /// The id of a token of the vocabulary; of a token that stands twice, the last.
  func id(of token: String) -> Int32? {
    vocabulary.last { $0.token.utf8.elementsEqual(token.utf8) }?.id
  }

  /// Where only a vocabulary is there, its special tokens are looked for in the text as well.
  private mutating func addSpecialTokens(directory: String) throws(GLTAError) {
    guard !FileManager.default.fileExists(atPath: directory + "/added_tokens.json") else {
      throw GLTAError(
        .unsupported, "\(directory) has tokens added to vocab.txt in added_tokens.json",
        hint: "save the tokenizer again from transformers: AutoTokenizer.from_pretrained(dir).save_pretrained(dir)")
    }
    let special = Set([padToken, unknownToken, classToken, separatorToken, maskToken])
    addedTokens = vocabulary.filter { special.contains($0.token) }.map {
      AddedToken(content: $0.token, id: $0.id, isSpecial: true)
    }
  }
}

/// `vocab.txt`: one token a line, its id the number of the line.
enum VocabularyText {
  static func read(path: String) throws(GLTAError) -> [VocabularyEntry] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw GLTAError(.inputOutput, "cannot read \(path)")
    }
    var lines = data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    var entries: [VocabularyEntry] = []
    entries.reserveCapacity(lines.count)
    for (index, line) in lines.enumerated() {
      let bytes = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      guard let token = String(validating: bytes, as: UTF8.self) else {
        throw GLTAError(.invalidFile, "\(path), line \(index + 1): the token is not UTF-8")
      }
      entries.append(VocabularyEntry(token: token, id: Int32(truncatingIfNeeded: index)))
    }
    guard entries.count <= TokenizerDefinition.maximumID else {
      throw GLTAError(
        .invalidFile, "\(path) has \(entries.count) tokens, at most \(TokenizerDefinition.maximumID) are allowed")
    }
    return entries
  }
}

/// `tokenizer_config.json`, all of it optional.
struct TokenizerSettings {
  private let document: StrictJSON?

  init(path: String) throws(GLTAError) {
    document = FileManager.default.fileExists(atPath: path) ? try StrictJSON(path: path) : nil
  }

  func nameSpecialTokens(_ definition: inout TokenizerDefinition) {
    func name(_ key: String, _ fallback: String) -> String {
      // Older files hold the token, newer ones an object with its content.
      document?[key]?.text ?? document?[key]?["content"]?.text ?? fallback
    }
    definition.unknownToken = name("unk_token", definition.unknownToken)
    definition.classToken = name("cls_token", definition.classToken)
    definition.separatorToken = name("sep_token", definition.separatorToken)
    definition.maskToken = name("mask_token", definition.maskToken)
    definition.padToken = name("pad_token", definition.padToken)
  }

  func fill(_ normalizer: inout BERTNormalizer) {
    normalizer.lowercases = document?["do_lower_case"]?.boolean ?? true
    normalizer.stripsAccents = document?["strip_accents"]?.boolean
    normalizer.handlesChineseCharacters = document?["tokenize_chinese_chars"]?.boolean ?? true
  }
}
