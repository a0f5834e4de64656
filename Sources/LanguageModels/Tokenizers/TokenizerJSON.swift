import Foundation
import Tensors

/// `tokenizer.json` as Hugging Face's `tokenizers` writes it: one member per step of the pipeline.
///
/// Truncation and padding are not read: they belong to one use of a model, not to the model.
struct TokenizerJSON {
  let path: String
  let document: StrictJSON

  init(path: String) throws(GLTAError) {
    self.path = path
    document = try StrictJSON(path: path)
  }

  /// - Throws: `GLTAError.unsupported` for a step of another type, naming it; `.invalidFile` for values that make no
  ///   sense.
  func fill(_ definition: inout TokenizerDefinition) throws(GLTAError) {
    try fillModel(&definition)
    try fillNormalizer(&definition.normalizer)
    try require("pre_tokenizer", "BertPreTokenizer")
    definition.addedTokens = try readAddedTokens()
    try fillPostProcessor(&definition)
    definition.decoder = readDecoder()
  }

  func invalid(_ what: String) -> GLTAError { GLTAError(.invalidFile, "\(path): \(what)") }

  /// The type of a step; of a sequence, the types of its parts.
  func type(of step: StrictJSON?) -> String {
    guard let step, let type = step["type"]?.text else { return "none" }
    let parts = (step["normalizers"] ?? step["pretokenizers"] ?? step["processors"])?.elements ?? []
    return parts.isEmpty ? type : "\(type) of \(parts.map { self.type(of: $0) }.joined(separator: ", "))"
  }

  private func require(_ step: String, _ expected: String) throws(GLTAError) {
    let found = type(of: document[step])
    guard found == expected else {
      throw GLTAError(
        .unsupported, "\(path): the \(step) is \(found), supported is \(expected)",
        hint: "only the tokenizers of BERT-class models work; `glta model fetch minilm` brings one")
    }
  }

  // MARK: Steps

  private func fillModel(_ definition: inout TokenizerDefinition) throws(GLTAError) {
    guard let model = document["model"] else { throw invalid("it has no model") }
    // Old files leave the type of a WordPiece out.
    if model["type"] != nil || model["continuing_subword_prefix"]?.text == nil { try require("model", "WordPiece") }
    guard let members = model["vocab"]?.members, !members.isEmpty else { throw invalid("the model has no vocab") }
    definition.vocabulary.reserveCapacity(members.count)
    for member in members {
      let id = try id(member.value, of: member.key)
      definition.vocabulary.append(VocabularyEntry(token: member.key, id: id))
    }
    definition.unknownToken = model["unk_token"]?.text ?? definition.unknownToken
    definition.continuingPrefix = model["continuing_subword_prefix"]?.text ?? definition.continuingPrefix
    definition.maximumCharacters = model["max_input_chars_per_word"]?.unsigned ?? definition.maximumCharacters
  }

  private func fillNormalizer(_ normalizer: inout BERTNormalizer) throws(GLTAError) {
    try require("normalizer", "BertNormalizer")
    let settings = document["normalizer"]
    normalizer.cleansText = settings?["clean_text"]?.boolean ?? true
    normalizer.handlesChineseCharacters = settings?["handle_chinese_chars"]?.boolean ?? true
    normalizer.stripsAccents = settings?["strip_accents"]?.boolean
    normalizer.lowercases = settings?["lowercase"]?.boolean ?? true
  }

  func readAddedTokens() throws(GLTAError) -> [AddedToken] {
    var tokens: [AddedToken] = []
    for entry in document["added_tokens"]?.elements ?? [] {
      guard let content = entry["content"]?.text else { throw invalid("an added token has no content") }
      let id = try id(entry["id"] ?? .null, of: content)
      tokens.append(
        AddedToken(
          content: content, id: id, isSingleWord: entry["single_word"]?.boolean ?? false,
          stripsLeft: entry["lstrip"]?.boolean ?? false, stripsRight: entry["rstrip"]?.boolean ?? false,
          isNormalized: entry["normalized"]?.boolean ?? !(entry["special"]?.boolean ?? false),
          isSpecial: entry["special"]?.boolean ?? false))
    }
    return tokens
  }

  /// Only matters where text is read, so what is not known is taken for the reference's default.
  private func readDecoder() -> WordPieceDecoder {
    let decoder = document["decoder"]
    let isPlain = decoder?.isNull ?? true
    return WordPieceDecoder(
      joinsPieces: !isPlain, prefix: decoder?["prefix"]?.text ?? "##", cleans: decoder?["cleanup"]?.boolean ?? true)
  }

  /// Takes the tokens around a text from the post-processor, where there is one.
  private func fillPostProcessor(_ definition: inout TokenizerDefinition) throws(GLTAError) {
    let processor = document["post_processor"]
    switch type(of: processor) {
    case "none": break
    case "BertProcessing":
      guard let start = processor?["cls"]?.elements?.first?.text, let end = processor?["sep"]?.elements?.first?.text
      else { throw invalid("the post_processor has no cls and sep") }
      (definition.classToken, definition.separatorToken) = (start, end)
    case "TemplateProcessing":
      let template = processor?["single"]?.elements ?? []
      guard template.count == 3, let start = template[0]["SpecialToken"]?["id"]?.text, template[1]["Sequence"] != nil,
        let end = template[2]["SpecialToken"]?["id"]?.text
      else {
        throw GLTAError(
          .unsupported, "\(path): the post_processor's template for one text is not a token, the text and a token")
      }
      (definition.classToken, definition.separatorToken) = (start, end)
    case let other:
      throw GLTAError(
        .unsupported,
        "\(path): the post_processor is \(other), supported are BertProcessing and TemplateProcessing")
    }
  }

  func id(_ value: StrictJSON, of token: String) throws(GLTAError) -> Int32 {
    guard let id = value.unsigned, id <= TokenizerDefinition.maximumID else {
      throw invalid("the token \(token.debugDescription) has no id from 0 to \(TokenizerDefinition.maximumID)")
    }
    return Int32(id)
  }
}
