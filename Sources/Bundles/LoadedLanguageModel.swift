import Foundation
public import LanguageModels
public import Tensors

/// A language model in memory with its tokenizer and its identity.
public struct LoadedLanguageModel: Sendable {
  /// Where it was loaded from, as an absolute path.
  public let path: String
  /// SHA-256 over configuration, weights and tokenizer (`LanguageModelFiles`), 64 hexadecimal digits.
  public let hash: String
  /// The frozen model: training reads it and never changes it.
  public let model: BERTModel
  /// The tokenizer of the same directory; none of its ids is beyond the model's vocabulary.
  public let tokenizer: WordPieceTokenizer

  /// Loads a Hugging Face directory.
  ///
  /// - Throws: what `BERTModel` and `WordPieceTokenizer` throw; `GLTAError.mismatch` where the tokenizer has ids beyond
  ///   the model's vocabulary.
  public init(path: String) throws(GLTAError) {
    self.path = URL(fileURLWithPath: path).standardizedFileURL.path
    model = try BERTModel(directory: path)
    tokenizer = try WordPieceTokenizer(directory: path)
    hash = try LanguageModelFiles.hash(of: path)
    guard tokenizer.vocabularyCount <= model.configuration.vocabularySize else {
      throw GLTAError(
        .mismatch,
        "\(path): the tokenizer has \(tokenizer.vocabularyCount) tokens, the model \(model.configuration.vocabularySize)"
      )
    }
  }

  /// The language model that a bundle was trained with.
  ///
  /// - Throws: `GLTAError.mismatch` where the model at `path` is another one; what `init(path:)` throws.
  public init(for bundle: RecommenderBundle, path: String) throws(GLTAError) {
    try self.init(path: path)
    let expected = bundle.manifest.languageModel.hash
    guard hash == expected else {
      throw GLTAError(
        .mismatch,
        "the bundle was made with the language model \(expected.prefix(12)), \(path) is \(hash.prefix(12))",
        hint: "give the right one with --language-model DIR")
    }
  }
}
