import Foundation
public import Tensors

/// A pretrained model as Hugging Face lays it out: `config.json`, `model.safetensors`, a tokenizer.
public struct HuggingFaceDirectory: Sendable {
  public let path: String

  /// - Throws: `GLTAError.inputOutput` where there is no such directory or it has no configuration.
  public init(path: String) throws(GLTAError) {
    self.path = path
    guard FileManager.default.fileExists(atPath: path + "/config.json") else {
      throw GLTAError(
        .inputOutput, "\(path) is not a model's directory: it has no config.json",
        hint: "`glta model fetch minilm --out \(path)` brings one")
    }
  }

  /// The configuration of a BERT-class model.
  public func bertConfiguration() throws(GLTAError) -> BERTConfiguration {
    try BERTConfiguration(path: path + "/config.json")
  }

  /// The weights.
  ///
  /// - Throws: `GLTAError.inputOutput` where they are missing or in another format, `.invalidFile` where they are damaged.
  public func openWeights() throws(GLTAError) -> SafetensorsFile {
    let file = path + "/model.safetensors"
    if FileManager.default.fileExists(atPath: file) { return try SafetensorsFile(path: file) }
    let other = ["pytorch_model.bin", "tf_model.h5", "model.safetensors.index.json"].first {
      FileManager.default.fileExists(atPath: path + "/" + $0)
    }
    throw GLTAError(
      .inputOutput, "\(path) has no model.safetensors" + (other.map { ", but \($0)" } ?? ""),
      hint: "save it again from transformers: model.save_pretrained(dir, safe_serialization=True)")
  }

  /// What the directory holds and whether it can be used.
  public func describe() throws(GLTAError) -> ModelDescription {
    let weights = try openWeights()
    var parameters = 0
    var dtypes: [String: Int] = [:]
    for name in weights.names {
      guard let (dtype, shape) = weights.shape(of: name) else { continue }
      let count = shape.reduce(1, *)
      dtypes[dtype, default: 0] += count
      if dtype.contains("F") { parameters += count }
    }
    var description = ModelDescription(path: path, parameters: parameters, dtypes: dtypes)
    do throws(GLTAError) {
      let configuration = try bertConfiguration()
      description.fill(configuration)
      let tokenizer = try WordPieceTokenizer(directory: path)
      description.tokenizer = "WordPiece, \(tokenizer.vocabularyCount) tokens"
    } catch { description.unsupported.append(error.message) }
    return description
  }
}

/// What a model is, for people and scripts.
public struct ModelDescription: Sendable, Codable {
  public var path: String
  public var architecture: String?
  public var layers: Int?
  public var hiddenSize: Int?
  public var heads: Int?
  public var intermediateSize: Int?
  public var maximumPositions: Int?
  public var vocabularySize: Int?
  /// Floating-point weights in all.
  public var parameters: Int
  /// Elements by dtype.
  public var dtypes: [String: Int]
  public var tokenizer: String?
  /// Why the model cannot be used; empty where it can.
  public var unsupported: [String] = []

  init(path: String, parameters: Int, dtypes: [String: Int]) {
    self.path = path
    self.parameters = parameters
    self.dtypes = dtypes
  }

  mutating func fill(_ configuration: BERTConfiguration) {
    architecture = "bert"
    layers = configuration.layerCount
    hiddenSize = configuration.hiddenSize
    heads = configuration.headCount
    intermediateSize = configuration.intermediateSize
    maximumPositions = configuration.maximumPositions
    vocabularySize = configuration.vocabularySize
  }

  /// A few lines for people.
  public var text: String {
    func number(_ value: Int?) -> String { value.map(String.init) ?? "unknown" }
    let types = dtypes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    return """
      \(path)
      architecture   \(architecture ?? "unknown")
      layers         \(number(layers)), hidden \(number(hiddenSize)), heads \(number(heads)), \
      inner \(number(intermediateSize))
      positions      \(number(maximumPositions))
      vocabulary     \(number(vocabularySize)); tokenizer \(tokenizer ?? "unknown")
      parameters     \(parameters) (\(types))
      usable         \(unsupported.isEmpty ? "yes" : "no: " + unsupported.joined(separator: "; "))
      """
  }
}
