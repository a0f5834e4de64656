import Foundation
import LanguageModels
import Tensors
import Testing

/// Texts and the ids that Hugging Face's `tokenizers` gives them; made by Tests/Golden/wordpiece_golden.py.
private struct WordPieceGolden: Decodable {
  let texts: [String]
  let ids: [String: [[Int32]]]

  static func load() throws -> WordPieceGolden {
    let data = try Data(contentsOf: URL(fileURLWithPath: Golden.path("wordpiece/golden.json")))
    return try JSONDecoder().decode(WordPieceGolden.self, from: data)
  }
}

private func escaped(_ text: String) -> String {
  text.unicodeScalars.map { $0.escaped(asASCII: true) }.joined()
}

@Suite struct WordPieceTokenizerTests {
  private func compare(_ name: String, directory: String) throws {
    let golden = try WordPieceGolden.load()
    let expected = try #require(golden.ids[name])
    try #require(expected.count == golden.texts.count && golden.texts.count > 400)
    let tokenizer = try WordPieceTokenizer(directory: directory)
    for (text, ids) in zip(golden.texts, expected) {
      #expect(tokenizer.encode(text) == ids, "\(escaped(text))")
    }
  }

  @Test(arguments: ["uncased", "cased", "accented", "vocabulary"])
  func agreesWithHuggingFaceOnAwkwardTexts(name: String) throws {
    try compare(name, directory: Golden.path("wordpiece/" + name))
  }

  @Test(.enabled(if: Golden.hasMiniLM, "all-MiniLM-L6-v2 is not on this machine"))
  func agreesWithHuggingFaceWithTheVocabularyOfMiniLM() throws {
    try compare("minilm", directory: Golden.miniLM)
  }

  @Test func putsSpecialTokensAroundATextOnlyWhenAsked() throws {
    let tokenizer = try WordPieceTokenizer(directory: Golden.path("wordpiece/uncased"))
    let ids = tokenizer.encode("the film")
    #expect(ids.compactMap(tokenizer.token) == ["the", "film"])
    #expect(tokenizer.encode("the film", addingSpecialTokens: false) == ids)
    #expect(
      tokenizer.encode("the film", addingSpecialTokens: true).compactMap(tokenizer.token)
        == ["[CLS]", "the", "film", "[SEP]"])
    #expect(tokenizer.encode("", addingSpecialTokens: true) == [tokenizer.classToken, tokenizer.separatorToken])
  }

  @Test func namesTokensAndIDsBothWays() throws {
    let tokenizer = try WordPieceTokenizer(directory: Golden.path("wordpiece/cased"))
    #expect(tokenizer.padToken == 0 && tokenizer.unknownToken == 1)
    #expect(tokenizer.classToken == 2 && tokenizer.separatorToken == 3 && tokenizer.maskToken == 4)
    // The last added token has the last id.
    #expect(tokenizer.id(of: "<long>er") == Int32(tokenizer.vocabularyCount - 1))
    for id in 0..<Int32(tokenizer.vocabularyCount) {
      let token = try #require(tokenizer.token(id))
      #expect(tokenizer.id(of: token) == id)
    }
    #expect(tokenizer.token(-1) == nil && tokenizer.token(Int32(tokenizer.vocabularyCount)) == nil)
    #expect(tokenizer.id(of: "no such token") == nil)
  }

  @Test func tellsCanonicallyEquivalentTokensApart() throws {
    let tokenizer = try WordPieceTokenizer(directory: Golden.path("wordpiece/cased"))
    let composed = try #require(tokenizer.id(of: "\u{E9}"))
    let decomposed = try #require(tokenizer.id(of: "e\u{301}"))
    #expect(composed != decomposed)
    #expect(tokenizer.encode("\u{E9} e\u{301}") == [composed, decomposed])
  }

  @Test func ignoresTruncationAndPaddingOfTheFile() throws {
    let tokenizer = try WordPieceTokenizer(directory: Golden.path("wordpiece/uncased"))
    #expect(tokenizer.encode("film").count == 1)
    #expect(tokenizer.encode(String(repeating: "film ", count: 50)).count == 50)
  }

  @Test(arguments: ["a", "a ", "[", "[MASK", "\u{301}\u{323}", "\u{1D165}\u{1D16D}", "\u{E9}", "\u{D55C}", "\u{6F22}"])
  func takesLinearTimeForLongTexts(pattern: String) throws {
    let tokenizer = try WordPieceTokenizer(directory: Golden.path("wordpiece/uncased"))
    let text = String(repeating: pattern, count: 400_000 / pattern.unicodeScalars.count)
    let duration = ContinuousClock().measure { _ = tokenizer.encode(text) }
    // Linear time is a tenth of a second; quadratic time, as Foundation's for runs of marks, is minutes.
    #expect(duration < .seconds(20))
  }
}

@Suite struct WordPieceFilesTests {
  /// A directory that holds the given files, removed after `body`.
  private func withDirectory(_ files: [String: String], _ body: (String) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("glta-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    for (name, text) in files { try Data(text.utf8).write(to: directory.appendingPathComponent(name)) }
    try body(directory.path)
  }

  private func uncased(_ replacements: [(String, String)] = []) throws -> String {
    var text = try String(contentsOfFile: Golden.path("wordpiece/uncased/tokenizer.json"), encoding: .utf8)
    for (old, new) in replacements {
      try #require(text.contains(old), "\(old)")
      text = text.replacingOccurrences(of: old, with: new)
    }
    return text
  }

  private func expectError(
    _ code: GLTAError.Code, naming words: [String], _ files: [String: String],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try withDirectory(files) { directory in
      do {
        _ = try WordPieceTokenizer(directory: directory)
        Issue.record("expected an error", sourceLocation: sourceLocation)
      } catch let error as GLTAError {
        #expect(error.code == code, sourceLocation: sourceLocation)
        for word in words { #expect(error.description.contains(word), sourceLocation: sourceLocation) }
      }
    }
  }

  @Test(arguments: [
    ("\"type\": \"WordPiece\"", "\"type\": \"BPE\"", "BPE"),
    ("\"type\": \"BertNormalizer\"", "\"type\": \"NFC\"", "NFC"),
    ("\"type\": \"BertPreTokenizer\"", "\"type\": \"ByteLevel\"", "ByteLevel"),
    ("\"type\": \"TemplateProcessing\"", "\"type\": \"RobertaProcessing\"", "RobertaProcessing"),
  ])
  func namesAStepThatIsNotSupported(old: String, new: String, name: String) throws {
    try expectError(.unsupported, naming: [name, "tokenizer.json"], ["tokenizer.json": try uncased([(old, new)])])
  }

  @Test func namesThePartsOfASequenceThatIsNotSupported() throws {
    let sequence = """
      "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}, "unused": {
      """
    let text = try uncased([("\"normalizer\": {", sequence)])
    try expectError(.unsupported, naming: ["Sequence of NFC, Lowercase", "BertNormalizer"], ["tokenizer.json": text])
  }

  @Test func refusesATemplateThatIsNotATokenTheTextAndAToken() throws {
    let text = try uncased([("\"single\": [", "\"single\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}},")])
    try expectError(.unsupported, naming: ["template"], ["tokenizer.json": text])
  }

  @Test func refusesAVocabularyWithoutASpecialToken() throws {
    try expectError(.invalidFile, naming: ["[MASK]"], ["tokenizer.json": try uncased([("[MASK]", "[GAP]")])])
  }

  @Test(arguments: ["-1", "0.5", "99999999999", "null", "\"0\""])
  func refusesIDsThatAreNone(id: String) throws {
    try expectError(
      .invalidFile, naming: ["[PAD]"], ["tokenizer.json": try uncased([("\"[PAD]\": 0", "\"[PAD]\": \(id)")])])
  }

  @Test func saysWhereAFileIsDamaged() throws {
    let text = try uncased()
    try expectError(.invalidFile, naming: ["line ", "byte "], ["tokenizer.json": String(text.prefix(text.count / 2))])
    try expectError(.invalidFile, naming: ["line 1"], ["tokenizer.json": ""])
  }

  @Test func saysWhatToDoWhereThereIsNoTokenizer() throws {
    try expectError(.inputOutput, naming: ["tokenizer.json", "vocab.txt", "hint"], [:])
  }

  @Test func refusesTokensBesideVocabTxtRatherThanMissThem() throws {
    let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfilm\n"
    try expectError(
      .unsupported, naming: ["added_tokens.json"], ["vocab.txt": vocabulary, "added_tokens.json": "{\"<x>\": 6}"])
  }

  @Test func readsVocabTxtWithLineEndsOfWindows() throws {
    try withDirectory(["vocab.txt": "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\nfilm\r\n##s\r\n"]) { directory in
      let tokenizer = try WordPieceTokenizer(directory: directory)
      #expect(tokenizer.vocabularyCount == 7)
      #expect(tokenizer.encode("Films film [MASK]") == [5, 6, 5, 4])
    }
  }

  @Test func takesTheNamesOfSpecialTokensFromTheSettings() throws {
    let files = [
      "vocab.txt": "<pad>\n<unk>\n<s>\n</s>\n<mask>\nfilm\n",
      "tokenizer_config.json": """
      {"pad_token": "<pad>", "unk_token": {"content": "<unk>", "lstrip": false}, "cls_token": "<s>",
       "sep_token": "</s>", "mask_token": "<mask>"}
      """,
    ]
    try withDirectory(files) { directory in
      let tokenizer = try WordPieceTokenizer(directory: directory)
      #expect(tokenizer.encode("film<mask>book", addingSpecialTokens: true) == [2, 5, 4, 1, 3])
    }
  }
}
