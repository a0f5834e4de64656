public import LanguageModels
public import Tensors

/// What writing prompts needs of a language model, its weights left on disk.
public struct LoadedTokenizer: Sendable {
  /// The model's own tokenizer.
  public let tokenizer: any TextTokenizer
  /// The model's longest sequence, in tokens.
  public let maximumLength: Int

  /// The tokenizer of the language model that a bundle was trained with.
  ///
  /// - Throws: `GLTAError.mismatch` where the model at `path` is another one; what `Tokenizers` and `PretrainedModel` throw.
  public init(for bundle: RecommenderBundle, path: String) throws(GLTAError) {
    try bundle.requireLanguageModel(LanguageModelFiles.hash(of: path), at: path)
    tokenizer = try Tokenizers.load(path)
    maximumLength = try PretrainedModel.maximumLength(of: path)
  }
}

extension RecommenderBundle {
  /// Makes sure that a language model is the one of training.
  func requireLanguageModel(_ hash: String, at path: String) throws(GLTAError) {
    let expected = manifest.languageModel.hash
    guard hash == expected else {
      throw GLTAError(
        .mismatch,
        "the bundle was made with the language model \(expected.prefix(12)), \(path) is \(hash.prefix(12))",
        hint: "give the right one with --language-model PATH")
    }
  }
}
