import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// Texts and what Hugging Face makes of them: written by Tests/Golden/bpe_golden.py.
private struct BPEGolden: Decodable {
  struct Entry: Decodable {
    let ids: [[Int32]]
    let decoded: [String]
    let random: [[Int32]]
    let randomDecoded: [String]
    let around: [Int32]
  }

  struct WordPieceEntry: Decodable {
    let ids: [[Int32]]
    let plain: [String]
    let joined: [String]
    let texts: [String]
    let encoded: [[Int32]]
  }

  let texts: [String]
  let tokenizers: [String: Entry]
  let wordpiece: WordPieceEntry

  static func load() throws -> BPEGolden {
    let data = try Data(contentsOf: URL(fileURLWithPath: Golden.path("bpe/golden.json")))
    return try JSONDecoder().decode(BPEGolden.self, from: data)
  }
}

private func escaped(_ text: String) -> String {
  text.unicodeScalars.map { $0.escaped(asASCII: true) }.joined()
}

/// Whether two texts have the same scalars; `==` would take canonically equivalent ones for equal.
private func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

@Suite struct BPETokenizerTests {
  private static let families = ["gpt2", "llama3", "qwen2", "smollm2", "llama2", "mistral", "metaspace"]

  private func load(_ name: String) throws -> (golden: BPEGolden, entry: BPEGolden.Entry, tokenizer: any TextTokenizer)
  {
    let golden = try BPEGolden.load()
    let entry = try #require(golden.tokenizers[name])
    try #require(golden.texts.count == entry.ids.count && entry.ids.count > 400)
    return (golden, entry, try Tokenizers.load(Golden.path("bpe/" + name)))
  }

  @Test(arguments: families) func encodesAsHuggingFace(name: String) throws {
    let (golden, entry, tokenizer) = try load(name)
    for (text, ids) in zip(golden.texts, entry.ids) { #expect(tokenizer.encode(text) == ids, "\(escaped(text))") }
    #expect(tokenizer.sequenceStart + tokenizer.sequenceEnd == entry.around)
  }

  @Test(arguments: families) func decodesAsHuggingFace(name: String) throws {
    let (_, entry, tokenizer) = try load(name)
    for (ids, text) in zip(entry.ids + entry.random, entry.decoded + entry.randomDecoded) {
      let decoded = tokenizer.decode(ids)
      #expect(isSame(decoded, text), "\(ids): \(escaped(decoded)), expected \(escaped(text))")
    }
  }

  @Test(arguments: families) func streamsWhatItDecodes(name: String) throws {
    let (_, entry, tokenizer) = try load(name)
    for (ids, text) in zip(entry.ids, entry.decoded) where !text.unicodeScalars.contains("\u{FFFD}") {
      var decoder = StreamDecoder(tokenizer)
      var streamed = ids.map { decoder.append($0) }
      streamed.append(decoder.finish())
      #expect(isSame(streamed.joined(), text), "\(escaped(text))")
      #expect(!streamed.contains { $0.unicodeScalars.contains("\u{FFFD}") })
    }
  }

  @Test(arguments: ["llama3", "qwen2", "smollm2", "llama2"]) func readsTheSameFromGGUF(name: String) throws {
    let golden = try BPEGolden.load()
    let json = try Tokenizers.load(Golden.path("bpe/" + name))
    let gguf = try Tokenizers.load(Golden.path("bpe/\(name).gguf"))
    let odd = ["<strip>", "<word>", "<norm>"]
    for text in golden.texts where !odd.contains(where: text.lowercased().contains) {
      let ids = json.encode(text)
      #expect(gguf.encode(text) == ids, "\(escaped(text))")
      #expect(isSame(gguf.decode(ids), json.decode(ids)))
    }
    #expect(gguf.sequenceStart == json.sequenceStart && gguf.sequenceEnd == json.sequenceEnd)
  }

  @Test(
    arguments: families, ["a", "ab", " ", "\u{E9}", "1", "!", "\n", "the", "e\u{301}\u{323}", "\u{6F22}", "'", "<"])
  func takesNearlyLinearTimeForLongWords(name: String, pattern: String) throws {
    let tokenizer = try Tokenizers.load(Golden.path("bpe/" + name))
    let text = String(repeating: pattern, count: 100_000 / pattern.unicodeScalars.count)
    let duration = ContinuousClock().measure { _ = tokenizer.encode(text) }
    // A tenth of a second; quadratic time is minutes.
    #expect(duration < .seconds(10))
  }

  @Test func holdsBackCharactersThatAreNotWhole() throws {
    let tokenizer = try Tokenizers.load(Golden.path("bpe/gpt2"))
    let ids = tokenizer.encode("\u{1F600}")
    try #require(ids.count > 1)
    var decoder = StreamDecoder(tokenizer)
    let pieces = ids.map { decoder.append($0) }
    #expect(pieces.last == "\u{1F600}")
    #expect(pieces.dropLast().joined() == " " || pieces.dropLast().joined().isEmpty)
    for id in ids.dropLast() { _ = decoder.append(id) }
    #expect(decoder.finish() == "\u{FFFD}")
    #expect(decoder.finish().isEmpty)
  }

  @Test func leavesOutIDsThatAreNone() throws {
    let tokenizer = try Tokenizers.load(Golden.path("bpe/llama2"))
    let ids = tokenizer.encode("the cat")
    #expect(tokenizer.decode([-1, Int32.max] + ids + [Int32(tokenizer.vocabularyCount)]) == "the cat")
  }

  @Test(.enabled(if: Golden.hasStories, "stories260K is not on this machine"))
  func encodesTheProbeOfStories260K() throws {
    let tokenizer = try Tokenizers.load(Golden.stories)
    #expect(tokenizer.sequenceStart + tokenizer.encode("Once upon a time") == [1, 403, 407, 261, 378])
    #expect(tokenizer.decode([1, 403, 407, 261, 378]) == "Once upon a time")
  }

  @Test func readsWordPieceAsHuggingFace() throws {
    let entry = try BPEGolden.load().wordpiece
    let plain = try WordPieceTokenizer(directory: Golden.path("wordpiece/uncased"))
    for (ids, text) in zip(entry.ids, entry.plain) { #expect(isSame(plain.decode(ids), text)) }
    let folder = try TemporaryFolder()
    let source = try String(contentsOfFile: Golden.path("wordpiece/uncased/tokenizer.json"), encoding: .utf8)
    try folder.write(
      "tokenizer.json",
      source.replacingOccurrences(of: "\"decoder\": null", with: "\"decoder\": {\"type\": \"WordPiece\"}"))
    let joined = try Tokenizers.load(folder.path)
    for (ids, text) in zip(entry.ids + entry.encoded, entry.joined + entry.texts) {
      #expect(isSame(joined.decode(ids), text), "\(escaped(text))")
    }
  }
}

@Suite struct BPEFilesTests {
  private func expectError(
    _ code: GLTAError.Code, naming words: [String], family: String = "llama3", _ old: String, _ new: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let folder = try TemporaryFolder()
    let source = try String(contentsOfFile: Golden.path("bpe/\(family)/tokenizer.json"), encoding: .utf8)
    try #require(source.contains(old), sourceLocation: sourceLocation)
    let range = try #require(source.range(of: old))
    try folder.write("tokenizer.json", source.replacingCharacters(in: range, with: new))
    let error = try #require(throws: GLTAError.self, sourceLocation: sourceLocation) {
      try Tokenizers.load(folder.path)
    }
    #expect(error.code == code, sourceLocation: sourceLocation)
    for word in words { #expect(error.description.contains(word), "\(error)", sourceLocation: sourceLocation) }
  }

  @Test func namesWhatIsNotSupported() throws {
    try expectError(.unsupported, naming: ["(?i:'x|'s"], "(?i:'s", "(?i:'x|'s")
    try expectError(.unsupported, naming: ["Removed"], "Isolated", "Removed")
    try expectError(.unsupported, naming: ["Unigram"], "\"type\":\"BPE\"", "\"type\":\"Unigram\"")
    try expectError(.unsupported, naming: ["NFKC"], family: "qwen2", "\"type\":\"NFC\"", "\"type\":\"NFKC\"")
    try expectError(
      .unsupported, naming: ["Punctuation"], family: "smollm2", "\"type\":\"Digits\"", "\"type\":\"Punctuation\"")
    try expectError(.unsupported, naming: ["CTC"], family: "llama2", "\"type\":\"Fuse\"", "\"type\":\"CTC\"")
    try expectError(
      .unsupported, naming: ["end_of_word_suffix"], "\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"")
    try expectError(.unsupported, naming: ["dropout"], "\"dropout\":null", "\"dropout\":0.1")
  }

  @Test func refusesVocabulariesThatMakeNoSense() throws {
    try expectError(.invalidFile, naming: ["merge 0"], "\"merges\":[[\"", "\"merges\":[[\"nosuch")
    try expectError(.invalidFile, naming: ["merge 0", "two tokens"], "\"merges\":[[", "\"merges\":[[\"x\"],[")
    try expectError(.invalidFile, naming: ["no id"], "\"id\":0", "\"id\":-1")
    try expectError(.invalidFile, naming: ["line 1"], "\"merges\":", "\"merges\"")
  }

  @Test func saysWhatToDoWithSentencePieceFiles() throws {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.model", "x")
    let error = #expect(throws: GLTAError.self) { try Tokenizers.load(folder.path) }
    #expect(error?.code == .unsupported && error?.hint?.contains("save_pretrained") == true)
    #expect(throws: GLTAError.self) { try Tokenizers.load(folder.path + "/nothing") }
    #expect(throws: GLTAError.self) { try Tokenizers.load(folder.path + "/tokenizer.model") }
  }
}
