import Tensors

/// What the files of a BPE tokenizer say, whichever format they have.
struct BPEDefinition {
  /// What messages call the tokenizer: a path.
  let path: String
  var vocabulary: [VocabularyEntry] = []
  var merges: [BPEMerge] = []
  /// Whether words are bytes, written as `ByteAlphabet` does; otherwise characters.
  var isByteLevel = false
  /// Whether characters that are no tokens are spelled by tokens as `<0x0A>`.
  var hasByteFallback = false
  var unknownToken: Int32?
  var fusesUnknown = false
  var ignoresMerges = false
  var normalization: [TextNormalization] = []
  var prefix: TextPrefix = .none
  var splits: [WordSplit] = []
  var addedTokens: [AddedToken] = []
  var joining: TokenTexts.Joining = .bytes
  var hasByteTokens = false
  var sequenceStart: [Int32] = []
  var sequenceEnd: [Int32] = []
  /// Whether the file says what stands around a text.
  var hasTemplate = false
  var special = SpecialTokens()
  var chatTemplate: String?

  /// Tokens with a meaning of their own, where a tokenizer has them.
  struct SpecialTokens: Sendable {
    var start: Int32?
    var end: Int32?
    var unknown: Int32?
    var padding: Int32?
    var mask: Int32?
  }

  init(path: String) { self.path = path }

  /// Merges in the order of their ranks, from pairs of tokens.
  ///
  /// - Parameter identify: the id of a token.
  /// - Throws: `GLTAError.invalidFile` where a half or the whole of one is no token.
  mutating func setMerges(
    _ pairs: [(left: String, right: String)], identify: (String) -> Int32?
  ) throws(GLTAError) {
    merges.reserveCapacity(pairs.count)
    for (rank, pair) in pairs.enumerated() {
      guard let left = identify(pair.left), let right = identify(pair.right),
        let result = identify(pair.left + pair.right)
      else {
        throw GLTAError(
          .invalidFile,
          "\(path): merge \(rank) joins \(pair.left.debugDescription) and \(pair.right.debugDescription), "
            + "and the vocabulary lacks one of them or what they make",
          hint: "vocabulary and merges are of two tokenizers; download or copy the model again")
      }
      merges.append(
        BPEMerge(left: left, right: right, rank: Int32(truncatingIfNeeded: rank), result: result))
    }
  }
}

/// `tokenizer_config.json` and its kin name some tokens by their text.
struct TokenNames {
  private var ids: TokenTable

  init(_ vocabulary: [VocabularyEntry], added: [AddedToken] = []) {
    ids = TokenTable(capacity: vocabulary.count + added.count)
    for entry in vocabulary { ids.insert(entry.token.utf8, id: entry.id) }
    for token in added { ids.insert(token.content.utf8, id: token.id) }
  }

  func id(of token: String) -> Int32? { ids.id(of: token) }
}
