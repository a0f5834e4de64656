public import Tensors

/// Reading a language model of any class from wherever people keep one.
public enum PretrainedModel {
  /// Reads a GGUF file, or a Hugging Face directory of whatever class its configuration says.
  ///
  /// - Parameters:
  ///   - precision: what the layers' weights are kept and multiplied in.
  ///   - parts: of a decoder; hidden states need no head.
  ///   - pool: makes the weights ready.
  /// - Throws: `GLTAError.unsupported` for a class that is not supported, `.inputOutput` where there is nothing, and what
  ///   `BERTModel` and `DecoderModel` throw.
  public static func load(
    _ path: String, precision: Precision = .stored, parts: DecoderModel.Parts = .states, pool: ThreadPool = .serial
  ) throws(GLTAError) -> any LanguageModel {
    if isGGUF(path) { return try DecoderModel(path: path, precision: precision, parts: parts, pool: pool) }
    return try HuggingFaceDirectory(path: path).languageModel(precision: precision, parts: parts, pool: pool)
  }

  /// The longest sequence of a model, in tokens, without reading its weights.
  ///
  /// - Throws: as `load`, of configurations.
  public static func maximumLength(of path: String) throws(GLTAError) -> Int {
    if isGGUF(path) { return try DecoderConfiguration(gguf: GGUFFile(path: path)).maximumLength }
    let directory = try HuggingFaceDirectory(path: path)
    return try directory.isDecoder()
      ? directory.decoderConfiguration().maximumLength : directory.bertConfiguration().maximumPositions
  }

  /// Whether a path is that of a GGUF file.
  public static func isGGUF(_ path: String) -> Bool { GGUFFile.isGGUF(path: path) }
}
