import Foundation
import Tensors

extension TokenizerJSON {
  /// Whether the model is BPE; the oldest files leave its type out.
  var isBPE: Bool {
    let model = document["model"]
    return model?["type"]?.text == "BPE" || (model?["type"] == nil && model?["merges"] != nil)
  }

  /// Reads the steps of a BPE tokenizer; `tokenizer_config.json` beside it names its special tokens.
  ///
  /// - Throws: `GLTAError.unsupported` for a step, an expression or a setting that is not supported, naming it;
  ///   `.invalidFile` for values that make no sense.
  func bpeDefinition(directory: String) throws(GLTAError) -> BPEDefinition {
    var definition = BPEDefinition(path: path)
    definition.vocabulary = try readVocabulary()
    definition.addedTokens = try readAddedTokens()
    let names = TokenNames(definition.vocabulary)
    try fillModel(&definition, names)
    try addNormalization(document["normalizer"], to: &definition)
    try addSplits(document["pre_tokenizer"], to: &definition)
    try fillDecoder(&definition)
    try addTemplate(document["post_processor"], to: &definition)
    try SpecialTokenFiles(directory: directory).fill(
      &definition, TokenNames(definition.vocabulary, added: definition.addedTokens))
    return definition
  }

  private func unsupported(_ what: String) -> GLTAError {
    GLTAError(
      .unsupported, "\(path): \(what)",
      hint: "supported are the tokenizers of GPT-2, Llama 2 and 3, Mistral 7B, Qwen2 and SmolLM2, and BERT's")
  }

  // MARK: Model

  private func readVocabulary() throws(GLTAError) -> [VocabularyEntry] {
    guard let members = document["model"]?["vocab"]?.members, !members.isEmpty else {
      throw invalid("the model has no vocab")
    }
    var entries: [VocabularyEntry] = []
    entries.reserveCapacity(members.count)
    for member in members {
      entries.append(VocabularyEntry(token: member.key, id: try id(member.value, of: member.key)))
    }
    return entries
  }

  private func fillModel(_ definition: inout BPEDefinition, _ names: TokenNames) throws(GLTAError) {
    guard let model = document["model"] else { throw invalid("it has no model") }
    for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
      guard model[name]?.text?.isEmpty ?? true else { throw unsupported("the model has a \(name)") }
    }
    guard model["dropout"]?.double ?? 0 == 0 else { throw unsupported("the model drops merges at random (dropout)") }
    definition.hasByteFallback = model["byte_fallback"]?.boolean ?? false
    definition.fusesUnknown = model["fuse_unk"]?.boolean ?? false
    definition.ignoresMerges = model["ignore_merges"]?.boolean ?? false
    if let unknown = model["unk_token"]?.text {
      definition.unknownToken = names.id(of: unknown) ?? definition.addedTokens.first { $0.content == unknown }?.id
    }
    try definition.setMerges(try readMerges(model["merges"]?.elements ?? [])) { names.id(of: $0) }
  }

  private func readMerges(_ elements: [StrictJSON]) throws(GLTAError) -> [(left: String, right: String)] {
    var pairs: [(left: String, right: String)] = []
    pairs.reserveCapacity(elements.count)
    for (index, element) in elements.enumerated() {
      // Older files hold "a b", newer ones ["a", "b"].
      if let pair = element.elements, pair.count == 2, let left = pair[0].text, let right = pair[1].text {
        pairs.append((left, right))
      } else if let text = element.text, let pair = BPEDefinition.pair(text) {
        pairs.append(pair)
      } else {
        throw invalid("merge \(index) is \(element.summary), expected two tokens")
      }
    }
    return pairs
  }

  // MARK: Steps

  private func addNormalization(_ step: StrictJSON?, to definition: inout BPEDefinition) throws(GLTAError) {
    switch type(of: step) {
    case "none": break
    case "NFC": definition.normalization.append(.composed)
    case "Prepend":
      definition.normalization.append(.prepend(Array((step?["prepend"]?.text ?? "").unicodeScalars)))
    case "Replace":
      guard let pattern = step?["pattern"]?["String"]?.text, pattern.unicodeScalars.count == 1,
        let old = pattern.unicodeScalars.first, let new = step?["content"]?.text
      else { throw unsupported("the normalizer replaces something other than one character") }
      definition.normalization.append(.replace(old, by: Array(new.unicodeScalars)))
    case let name:
      guard let parts = step?["normalizers"]?.elements else { throw unsupported("the normalizer is \(name)") }
      for part in parts { try addNormalization(part, to: &definition) }
    }
  }

  private func addSplits(_ step: StrictJSON?, to definition: inout BPEDefinition) throws(GLTAError) {
    let name = type(of: step)
    guard name == "none" || !definition.isByteLevel else {
      throw unsupported("the pre_tokenizer has \(name) after ByteLevel")
    }
    switch name {
    case "none": break
    case "ByteLevel":
      definition.isByteLevel = true
      if step?["add_prefix_space"]?.boolean ?? true { try setPrefix(.space, of: &definition) }
      if step?["use_regex"]?.boolean ?? true { definition.splits.append(.gpt2) }
    case "Digits":
      definition.splits.append(.digits(individual: step?["individual_digits"]?.boolean ?? false))
    case "Split": definition.splits.append(try readSplit(step))
    case "Metaspace": try addMetaspace(step, to: &definition)
    default:
      guard let parts = step?["pretokenizers"]?.elements else { throw unsupported("the pre_tokenizer is \(name)") }
      for part in parts { try addSplits(part, to: &definition) }
    }
  }

  private func setPrefix(_ prefix: TextPrefix, of definition: inout BPEDefinition) throws(GLTAError) {
    guard definition.splits.isEmpty, definition.prefix == .none else {
      throw unsupported("the pre_tokenizer puts a space before words that it has cut")
    }
    definition.prefix = prefix
  }

  private func readSplit(_ step: StrictJSON?) throws(GLTAError) -> WordSplit {
    guard let source = step?["pattern"]?["Regex"]?.text else {
      throw unsupported("the pre_tokenizer splits at \(step?["pattern"]?["String"]?.summary ?? "nothing")")
    }
    guard let split = WordSplit(regularExpression: source) else {
      throw unsupported("the pre_tokenizer splits by an unknown regular expression, \(source)")
    }
    let behavior = step?["behavior"]?.text ?? "none"
    // The known expressions match everything, so to keep what matches is to keep it all.
    let isInverted = step?["invert"]?.boolean ?? false
    guard behavior == (isInverted ? "Removed" : "Isolated") else {
      throw unsupported("the pre_tokenizer's Split has the behavior \(behavior), expected Isolated")
    }
    return split
  }

  private func addMetaspace(_ step: StrictJSON?, to definition: inout BPEDefinition) throws(GLTAError) {
    let scheme: TextPrefix.Prepending
    switch step?["prepend_scheme"]?.text {
    case "always": scheme = .always
    case "first": scheme = .first
    case "never": scheme = .never
    case nil: scheme = step?["add_prefix_space"]?.boolean ?? true ? .always : .never
    case let other?: throw unsupported("the Metaspace step prepends \(other)")
    }
    try requireMetaspaceSign(step)
    try setPrefix(.metaspace(prepends: scheme), of: &definition)
    if step?["split"]?.boolean ?? true { definition.splits.append(.metaspace) }
  }

  private func requireMetaspaceSign(_ step: StrictJSON?) throws(GLTAError) {
    let sign = step?["replacement"]?.text ?? ""
    guard sign.unicodeScalars.elementsEqual(CollectionOfOne(Metaspace.sign)) else {
      throw unsupported("the Metaspace step replaces spaces by \(sign.debugDescription), expected U+2581")
    }
  }

  // MARK: Decoder

  private func fillDecoder(_ definition: inout BPEDefinition) throws(GLTAError) {
    let decoder = document["decoder"]
    switch type(of: decoder) {
    case "none": definition.joining = .spaced
    case "ByteLevel", "Sequence of ByteLevel":
      guard definition.isByteLevel else { throw unsupported("the decoder is ByteLevel, the pre_tokenizer is not") }
      definition.joining = .bytes
    case "Metaspace":
      try requireMetaspaceSign(decoder)
      let keepsFirst = decoder?["prepend_scheme"]?.text == "never" || decoder?["add_prefix_space"]?.boolean == false
      definition.joining = .metaspace(dropsFirst: !keepsFirst)
    default: try fillDecoder(of: decoder?["decoders"]?.elements ?? [], &definition)
    }
  }

  /// Replace, ByteFallback, Fuse and Strip, as SentencePiece's vocabularies have them.
  private func fillDecoder(of steps: [StrictJSON], _ definition: inout BPEDefinition) throws(GLTAError) {
    var (replaces, leadingSpaces) = (false, 0)
    for step in steps {
      switch type(of: step) {
      case "Replace":
        let pattern = step["pattern"]?["String"]?.text ?? ""
        replaces =
          pattern.unicodeScalars.elementsEqual(CollectionOfOne(Metaspace.sign)) && step["content"]?.text == " "
      case "ByteFallback": definition.hasByteTokens = true
      case "Fuse": break
      case "Strip" where step["content"]?.text == " " && step["stop"]?.unsigned ?? 0 == 0:
        leadingSpaces = step["start"]?.unsigned ?? 0
      case let name: throw unsupported("the decoder has \(name)")
      }
    }
    guard replaces else { throw unsupported("the decoder is \(type(of: document["decoder"]))") }
    definition.joining = .pieces(leadingSpaces: leadingSpaces)
  }

  // MARK: Template

  private func addTemplate(_ step: StrictJSON?, to definition: inout BPEDefinition) throws(GLTAError) {
    switch type(of: step) {
    case "none", "ByteLevel": break
    case "TemplateProcessing": try fillTemplate(step, &definition)
    case let name:
      guard let parts = step?["processors"]?.elements else { throw unsupported("the post_processor is \(name)") }
      for part in parts { try addTemplate(part, to: &definition) }
    }
  }

  private func fillTemplate(_ step: StrictJSON?, _ definition: inout BPEDefinition) throws(GLTAError) {
    var hasText = false
    for item in step?["single"]?.elements ?? [] {
      if item["Sequence"] != nil {
        guard !hasText else { throw unsupported("the post_processor's template has the text twice") }
        hasText = true
        continue
      }
      guard let name = item["SpecialToken"]?["id"]?.text,
        let values = step?["special_tokens"]?[name]?["ids"]?.elements
      else { throw invalid("the post_processor's template has a token without ids") }
      for value in values {
        let id = try id(value, of: name)
        if hasText { definition.sequenceEnd.append(id) } else { definition.sequenceStart.append(id) }
      }
    }
    definition.hasTemplate = true
  }
}

/// `tokenizer_config.json`, `special_tokens_map.json` and `chat_template.jinja`, all of them optional.
private struct SpecialTokenFiles {
  private let directory: String
  private var documents: [StrictJSON] = []

  init(directory: String) throws(GLTAError) {
    self.directory = directory
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
      let path = directory + "/" + name
      if FileManager.default.fileExists(atPath: path) { documents.append(try StrictJSON(path: path)) }
    }
  }

  func fill(_ definition: inout BPEDefinition, _ names: TokenNames) {
    func special(_ key: String) -> Int32? {
      // Older files hold the token, newer ones an object with its content.
      let text = documents.lazy.compactMap { $0[key]?.text ?? $0[key]?["content"]?.text }.first
      return text.flatMap { names.id(of: $0) }
    }
    func flag(_ key: String) -> Bool { documents.first?[key]?.boolean ?? false }
    definition.special = BPEDefinition.SpecialTokens(
      start: special("bos_token"), end: special("eos_token"), unknown: special("unk_token") ?? definition.unknownToken,
      padding: special("pad_token"), mask: special("mask_token"))
    if !definition.hasTemplate, flag("add_bos_token"), let start = definition.special.start {
      definition.sequenceStart = [start]
    }
    if !definition.hasTemplate, flag("add_eos_token"), let end = definition.special.end {
      definition.sequenceEnd = [end]
    }
    definition.chatTemplate = chatTemplate
  }

  private var chatTemplate: String? {
    if let data = FileManager.default.contents(atPath: directory + "/chat_template.jinja") {
      return String(decoding: data, as: UTF8.self)
    }
    guard let template = documents.first?["chat_template"] else { return nil }
    return template.text
      ?? template.elements?.first { $0["name"]?.text == "default" }.flatMap { $0["template"]?.text }
  }
}
