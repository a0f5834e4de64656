import Foundation
public import LanguageModels
public import Tensors

/// A language model in memory with its tokenizer and its identity.
public struct LoadedLanguageModel: Sendable {
  /// Where it was loaded from, as an absolute path.
  public let path: String
  /// SHA-256 over configuration, weights and tokenizer (`LanguageModelFiles`), 64 hexadecimal digits.
  public let hash: String
  /// What the layers' weights are kept in.
  public let precision: Precision
  /// The frozen model: training reads it and never changes it.
  public let model: any LanguageModel
  /// The model's own tokenizer; none of its ids is beyond the model's vocabulary.
  public let tokenizer: any TextTokenizer

  /// Loads a Hugging Face directory or a GGUF file, of whatever class it is.
  ///
  /// - Parameters:
  ///   - precision: what the layers' weights are kept and multiplied in.
  ///   - parts: of a decoder; only generation needs the head.
  ///   - pool: makes the weights ready.
  /// - Throws: what `PretrainedModel` and `Tokenizers` throw; `GLTAError.mismatch` where the tokenizer has ids beyond the
  ///   model's vocabulary.
  public init(
    path: String, precision: Precision = .stored, parts: DecoderModel.Parts = .states, pool: ThreadPool = .serial
  ) throws(GLTAError) {
    self.path = URL(fileURLWithPath: path).standardizedFileURL.path
    self.precision = precision
    model = try PretrainedModel.load(path, precision: precision, parts: parts, pool: pool)
    tokenizer = try Tokenizers.load(path)
    hash = try LanguageModelFiles.hash(of: path)
    guard tokenizer.vocabularyCount <= model.vocabularySize else {
      throw GLTAError(
        .mismatch,
        "\(path): the tokenizer has \(tokenizer.vocabularyCount) tokens, the model \(model.vocabularySize)")
    }
  }

  /// The language model that a bundle was trained with.
  ///
  /// - Parameter precision: nil = that of training.
  /// - Throws: `GLTAError.mismatch` where the model at `path` is another one; what `init(path:)` throws.
  public init(
    for bundle: RecommenderBundle, path: String, precision: Precision? = nil, pool: ThreadPool = .serial
  ) throws(GLTAError) {
    try self.init(
      path: path, precision: precision ?? bundle.manifest.languageModel.precision ?? .stored, pool: pool)
    try bundle.requireLanguageModel(hash, at: path)
  }

  /// What tells one computation from another: the files, and the precision where it is not that of the files.
  public var identity: String { precision == .stored ? hash : "\(hash) \(precision.rawValue)" }

  /// The model as a manifest names it.
  public var record: BundleManifest.LanguageModel {
    BundleManifest.LanguageModel(
      architecture: model.architecture, hiddenSize: model.hiddenSize, hash: hash,
      precision: precision == .stored ? nil : precision)
  }
}
