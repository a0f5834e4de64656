import Foundation
public import Tensors

/// A pretrained model as Hugging Face lays it out: `config.json`, `model.safetensors`, a tokenizer.
public struct HuggingFaceDirectory: Sendable {
  /// The directory as it was given, without a slash added.
  public let path: String

  /// - Throws: `GLTAError.inputOutput` where there is no such directory or it has no configuration.
  public init(path: String) throws(GLTAError) {
    self.path = path
    guard FileManager.default.fileExists(atPath: path + "/config.json") else {
      let exists = FileManager.default.fileExists(atPath: path)
      throw GLTAError(
        .inputOutput, exists ? "\(path) is not a model's directory: it has no config.json" : "there is no \(path)",
        hint: "`glta model fetch minilm --out \(path)` brings one")
    }
  }

  /// The configuration of a BERT-class model.
  ///
  /// - Throws: what `BERTConfiguration.init(path:)` throws.
  public func bertConfiguration() throws(GLTAError) -> BERTConfiguration {
    try BERTConfiguration(path: path + "/config.json")
  }

  /// The configuration of a Llama-class decoder.
  ///
  /// - Throws: what `DecoderConfiguration.init(path:)` throws.
  public func decoderConfiguration() throws(GLTAError) -> DecoderConfiguration {
    try DecoderConfiguration(path: path + "/config.json")
  }

  /// The model, of whatever class the configuration says.
  ///
  /// - Parameters:
  ///   - precision: what the layers' weights are kept and multiplied in.
  ///   - parts: of a decoder; hidden states need no head.
  ///   - pool: makes the weights ready.
  /// - Throws: `GLTAError.unsupported` for a class that is neither, and what `BERTModel` and `DecoderModel` throw.
  public func languageModel(
    precision: Precision = .stored, parts: DecoderModel.Parts = .states, pool: ThreadPool = .serial
  ) throws(GLTAError) -> any LanguageModel {
    // Messages about what is neither name what an encoder is.
    guard try isDecoder() else { return try BERTModel(directory: path, precision: precision, pool: pool) }
    return try DecoderModel(path: path, precision: precision, parts: parts, pool: pool)
  }

  /// Whether the configuration is that of a decoder.
  func isDecoder() throws(GLTAError) -> Bool {
    let type = try ConfigurationDocument(path: path + "/config.json").modelType()
    return type.map { DecoderConfiguration.architectures.contains($0) } ?? false
  }

  /// The weights.
  ///
  /// - Throws: `GLTAError.inputOutput` where they are missing, `.unsupported` where they are in another format or in
  ///   several files, `.invalidFile` where they are damaged.
  public func openWeights() throws(GLTAError) -> SafetensorsFile {
    if has("model.safetensors") { return try SafetensorsFile(path: path + "/model.safetensors") }
    if has("model.safetensors.index.json") {
      throw GLTAError(
        .unsupported, "\(path): the weights are in several files (model.safetensors.index.json), supported is one",
        hint: HuggingFaceDirectory.saveAgain(", max_shard_size=\"100GB\""))
    }
    let others = ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack"]
    if let other = others.first(where: has) {
      throw GLTAError(
        .unsupported, "\(path): the weights are in \(other), supported is model.safetensors",
        hint: HuggingFaceDirectory.saveAgain(""))
    }
    throw GLTAError(
      .inputOutput, "\(path) has a config.json, but no model.safetensors",
      hint: "download it again; `glta model fetch minilm` brings a model that works")
  }

  /// The method by which the weights are quantised, from the configuration; nil where they are not.
  func quantization() throws(GLTAError) -> String? {
    try ConfigurationDocument(path: path + "/config.json").quantization
  }

  /// What the directory holds and whether it can be used.
  ///
  /// - Throws: what `ModelDescription.init(_:)` throws.
  public func describe() throws(GLTAError) -> ModelDescription { try ModelDescription(self) }

  /// Whether the weights are in several files, which an index names.
  var hasShardedWeights: Bool { !has("model.safetensors") && has("model.safetensors.index.json") }

  private static func saveAgain(_ options: String) -> String {
    "convert them with Python's transformers: "
      + "AutoModel.from_pretrained(directory).save_pretrained(new_directory\(options))"
  }

  /// Whether there is a file of that name.
  func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path + "/" + name) }
}
