import Tensors

extension BPEDefinition {
  /// Reads `tokenizer.ggml.*` (ggml-org/ggml, docs/gguf.md, "Tokenizer").
  ///
  /// - Throws: `GLTAError.unsupported` for another class of tokenizer or way to cut words, naming it; `.invalidFile` for
  ///   what is missing or makes no sense.
  init(gguf file: GGUFFile) throws(GLTAError) {
    self.init(path: file.path)
    let reader = try GGUFTokenizerReader(file)
    vocabulary = reader.vocabulary
    addedTokens = reader.addedTokens
    switch reader.model {
    case "gpt2": try reader.fillByteLevel(&self)
    case "llama": try reader.fillPieces(&self)
    default:
      throw GLTAError(
        .unsupported, "\(path): the tokenizer is of class \(reader.model), supported are gpt2 and llama (BPE)")
    }
    try reader.fillSpecialTokens(&self)
    chatTemplate = try file.metadata.string("tokenizer.chat_template")
  }

  /// A merge as one text: two tokens with a space between them. A token may start with one.
  static func pair(_ text: String) -> (left: String, right: String)? {
    let bytes = Array(text.utf8)
    guard let space = bytes.dropFirst().firstIndex(of: UInt8(ascii: " ")), space + 1 < bytes.count else { return nil }
    return (String(decoding: bytes[..<space], as: UTF8.self), String(decoding: bytes[(space + 1)...], as: UTF8.self))
  }
}

/// The lists of a GGUF file's tokenizer.
private struct GGUFTokenizerReader {
  /// What a token is, by its number in `token_type`.
  private enum Kind: Int {
    case normal = 1, unknown, control, userDefined, unused, byte
  }

  let model: String
  private(set) var vocabulary: [VocabularyEntry] = []
  private let metadata: GGUFMetadata
  private let path: String
  private let kinds: [Int]

  init(_ file: GGUFFile) throws(GLTAError) {
    path = file.path
    metadata = file.metadata
    guard let model = try metadata.string("tokenizer.ggml.model"),
      let tokens = try metadata.strings("tokenizer.ggml.tokens"), !tokens.isEmpty
    else {
      throw GLTAError(
        .invalidFile, "\(path) has no tokenizer: tokenizer.ggml.model or tokenizer.ggml.tokens is missing",
        hint: "take a file that llama.cpp's convert_hf_to_gguf.py made")
    }
    self.model = model
    kinds = try metadata.integers("tokenizer.ggml.token_type") ?? []
    guard tokens.count <= TokenizerDefinition.maximumID, kinds.isEmpty || kinds.count == tokens.count else {
      throw GLTAError(.invalidFile, "\(path): \(tokens.count) tokens have \(kinds.count) types")
    }
    vocabulary.reserveCapacity(tokens.count)
    for (id, token) in tokens.enumerated() {
      vocabulary.append(VocabularyEntry(token: token, id: Int32(truncatingIfNeeded: id)))
    }
  }

  private func kind(_ id: Int32) -> Kind { kinds.isEmpty ? .normal : Kind(rawValue: kinds[Int(id)]) ?? .normal }

  /// Control tokens and those that users defined: looked for in the text.
  var addedTokens: [AddedToken] {
    vocabulary.compactMap { entry in
      switch kind(entry.id) {
      case .control, .unknown: AddedToken(content: entry.token, id: entry.id, isSpecial: true)
      case .userDefined: AddedToken(content: entry.token, id: entry.id)
      default: nil
      }
    }
  }

  // MARK: Classes

  func fillByteLevel(_ definition: inout BPEDefinition) throws(GLTAError) {
    let name = try metadata.string("tokenizer.ggml.pre") ?? "default"
    definition.splits = try splits(name)
    definition.isByteLevel = true
    definition.ignoresMerges = name.hasPrefix("llama")
    if name == "qwen2" { definition.normalization = [.composed] }
    if try metadata.bool("tokenizer.ggml.add_space_prefix") ?? false { definition.prefix = .space }
    guard let merges = try metadata.strings("tokenizer.ggml.merges") else {
      throw GLTAError(.invalidFile, "\(path): tokenizer.ggml.merges is missing")
    }
    var pairs: [(left: String, right: String)] = []
    pairs.reserveCapacity(merges.count)
    for merge in merges {
      guard let pair = BPEDefinition.pair(merge) else {
        throw GLTAError(.invalidFile, "\(path): the merge \(merge.debugDescription) is not two tokens")
      }
      pairs.append(pair)
    }
    let names = TokenNames(vocabulary)
    try definition.setMerges(pairs) { names.id(of: $0) }
  }

  /// The ways to cut words by the names that llama.cpp has for them.
  private func splits(_ name: String) throws(GLTAError) -> [WordSplit] {
    switch name {
    case "default", "gpt-2": return [.gpt2]
    case "smollm", "starcoder", "refact", "command-r": return [.digits(individual: true), .gpt2]
    case "llama-bpe", "llama3", "llama-v3": return [.llama3(digits: 3)]
    case "qwen2": return [.llama3(digits: 1)]
    default:
      throw GLTAError(
        .unsupported, "\(path): the words are cut as \(name) does (tokenizer.ggml.pre)",
        hint: "supported are default, gpt-2, smollm, starcoder, refact, command-r, llama-bpe and qwen2")
    }
  }

  func fillPieces(_ definition: inout BPEDefinition) throws(GLTAError) {
    let hasPrefix = try metadata.bool("tokenizer.ggml.add_space_prefix") ?? true
    definition.normalization = (hasPrefix ? [.prepend([Metaspace.sign])] : []) + [.replace(" ", by: [Metaspace.sign])]
    definition.joining = .pieces(leadingSpaces: hasPrefix ? 1 : 0)
    definition.hasByteFallback = true
    definition.hasByteTokens = true
    definition.fusesUnknown = true
    definition.unknownToken = try special("unknown", default: 0)
    guard let scores = try metadata.floats("tokenizer.ggml.scores"), scores.count == vocabulary.count else {
      throw GLTAError(.invalidFile, "\(path): tokenizer.ggml.scores is missing, or has another length than the tokens")
    }
    definition.merges = merges(scores: scores)
  }

  /// SentencePiece merges what makes a token of the highest score; so every way to put a token together is a merge.
  private func merges(scores: [Float]) -> [BPEMerge] {
    let whole = vocabulary.filter { kind($0.id) == .normal || kind($0.id) == .userDefined }
    var table = TokenTable(capacity: whole.count)
    for entry in whole { table.insert(entry.token.utf8, id: entry.id) }
    let ranks = MergeRanks(scores)
    var merges: [BPEMerge] = []
    for entry in whole {
      var token = entry.token
      token.withUTF8 { bytes in
        for cut in 1..<max(1, bytes.count) where bytes[cut] & 0xC0 != 0x80 {
          guard let left = table.id(of: UnsafeBufferPointer(rebasing: bytes[..<cut])),
            let right = table.id(of: UnsafeBufferPointer(rebasing: bytes[cut...]))
          else { continue }
          merges.append(BPEMerge(left: left, right: right, rank: ranks.rank(of: entry.id), result: entry.id))
        }
      }
    }
    return merges
  }

  // MARK: Special tokens

  private func special(_ name: String, default fallback: Int? = nil) throws(GLTAError) -> Int32? {
    guard let id = try metadata.integer("tokenizer.ggml.\(name)_token_id") ?? fallback else { return nil }
    guard vocabulary.indices.contains(id) else {
      throw GLTAError(
        .invalidFile, "\(path): tokenizer.ggml.\(name)_token_id is \(id), and there are \(vocabulary.count) tokens")
    }
    return Int32(id)
  }

  func fillSpecialTokens(_ definition: inout BPEDefinition) throws(GLTAError) {
    let isPieces = model == "llama"
    definition.special = BPEDefinition.SpecialTokens(
      start: try special("bos", default: isPieces ? 1 : nil), end: try special("eos", default: isPieces ? 2 : nil),
      unknown: try special("unknown", default: isPieces ? 0 : nil), padding: try special("padding"),
      mask: try special("mask"))
    let addsStart = try metadata.bool("tokenizer.ggml.add_bos_token") ?? (isPieces || definition.ignoresMerges)
    if addsStart, let start = definition.special.start { definition.sequenceStart = [start] }
    if try metadata.bool("tokenizer.ggml.add_eos_token") ?? false, let end = definition.special.end {
      definition.sequenceEnd = [end]
    }
  }
}

/// Ranks by falling score: tokens of one score have one rank, and what is no number comes last.
private struct MergeRanks {
  private let ranks: [Int32]

  init(_ scores: [Float]) {
    let order = scores.indices.sorted {
      (scores[$0].isNaN ? -.infinity : scores[$0]) > (scores[$1].isNaN ? -.infinity : scores[$1])
    }
    var ranks = [Int32](repeating: 0, count: scores.count)
    var rank: Int32 = 0
    for (place, index) in order.enumerated() {
      if place > 0, scores[order[place - 1]] != scores[index] { rank += 1 }
      ranks[index] = rank
    }
    self.ranks = ranks
  }

  func rank(of id: Int32) -> Int32 { ranks[Int(id)] }
}
