import Foundation
import Tensors

/// What a WordPiece tokenizer's files say, whichever of the two layouts a directory has.
struct TokenizerFile {
  private(set) var vocabulary: [String: Int32] = [:]
  private(set) var addedTokens: [String: Int32] = [:]
  private(set) var normalizer = BERTNormalizer()
  private(set) var unknownToken = "[UNK]"
  private(set) var continuingPrefix = "##"
  private(set) var maximumCharacters = 100

  init(directory: String) throws(GLTAError) {
    if FileManager.default.fileExists(atPath: directory + "/tokenizer.json") {
      try read(tokenizerJSON: directory + "/tokenizer.json")
    } else if FileManager.default.fileExists(atPath: directory + "/vocab.txt") {
      try read(vocabulary: directory + "/vocab.txt")
      try read(settings: directory + "/tokenizer_config.json")
    } else {
      throw GLTAError(
        .inputOutput, "\(directory) has neither tokenizer.json nor vocab.txt",
        hint: "give the directory of a Hugging Face model; `glta model fetch minilm` brings one")
    }
  }

  func id(of token: String) -> Int32? { addedTokens[token] ?? vocabulary[token] }

  // MARK: tokenizer.json

  private struct Document: Decodable {
    struct AddedToken: Decodable {
      let id: Int32
      let content: String
    }
    struct Normalizer: Decodable {
      let type: String
      let clean_text: Bool?
      let handle_chinese_chars: Bool?
      let strip_accents: Bool?
      let lowercase: Bool?
    }
    struct Kind: Decodable { let type: String }
    struct Model: Decodable {
      // Old files leave the type out.
      let type: String?
      let vocab: Vocabulary?
      let unk_token: String?
      let continuing_subword_prefix: String?
      let max_input_chars_per_word: Int?
    }
    /// Unigram models have an array here; only the type matters then.
    struct Vocabulary: Decodable {
      let ids: [String: Int32]?
      init(from decoder: any Decoder) throws { ids = try? [String: Int32](from: decoder) }
    }
    let added_tokens: [AddedToken]?
    let normalizer: Normalizer?
    let pre_tokenizer: Kind?
    let model: Model
  }

  private mutating func read(tokenizerJSON path: String) throws(GLTAError) {
    let document: Document
    do {
      document = try JSONDecoder().decode(Document.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch { throw GLTAError(.invalidFile, "\(path) cannot be read as a tokenizer: \(error)") }
    try require(document.model.type ?? "WordPiece", "WordPiece", "model", path)
    try require(document.normalizer?.type ?? "none", "BertNormalizer", "normalizer", path)
    try require(document.pre_tokenizer?.type ?? "none", "BertPreTokenizer", "pre_tokenizer", path)
    guard let ids = document.model.vocab?.ids, !ids.isEmpty, ids.values.allSatisfy({ $0 >= 0 }) else {
      throw GLTAError(.invalidFile, "\(path): the vocabulary is no table of tokens and ids")
    }
    vocabulary = ids
    for token in document.added_tokens ?? [] where token.id >= 0 { addedTokens[token.content] = token.id }
    normalizer.cleansText = document.normalizer?.clean_text ?? true
    normalizer.handlesChineseCharacters = document.normalizer?.handle_chinese_chars ?? true
    normalizer.stripsAccents = document.normalizer?.strip_accents
    normalizer.lowercases = document.normalizer?.lowercase ?? true
    unknownToken = document.model.unk_token ?? unknownToken
    continuingPrefix = document.model.continuing_subword_prefix ?? continuingPrefix
    maximumCharacters = document.model.max_input_chars_per_word ?? maximumCharacters
  }

  private func require(_ found: String, _ expected: String, _ what: String, _ path: String) throws(GLTAError) {
    guard found == expected else {
      throw GLTAError(.unsupported, "\(path): the \(what) is \(found), supported is \(expected)")
    }
  }

  // MARK: vocab.txt

  private mutating func read(vocabulary path: String) throws(GLTAError) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw GLTAError(.inputOutput, "cannot read \(path) as UTF-8")
    }
    for (id, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where !line.isEmpty {
      vocabulary[line.hasSuffix("\r") ? String(line.dropLast()) : String(line)] = Int32(id)
    }
    for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] { addedTokens[token] = vocabulary[token] }
  }

  private mutating func read(settings path: String) throws(GLTAError) {
    struct Settings: Decodable {
      let do_lower_case: Bool?
      let strip_accents: Bool?
      let tokenize_chinese_chars: Bool?
    }
    guard let data = FileManager.default.contents(atPath: path) else { return }
    do {
      let settings = try JSONDecoder().decode(Settings.self, from: data)
      normalizer.lowercases = settings.do_lower_case ?? true
      normalizer.stripsAccents = settings.strip_accents
      normalizer.handlesChineseCharacters = settings.tokenize_chinese_chars ?? true
    } catch { throw GLTAError(.invalidFile, "\(path) cannot be read: \(error)") }
  }
}
