import Foundation
public import Tensors

/// The shape of a BERT, from a Hugging Face `config.json`.
public struct BERTConfiguration: Sendable, Equatable {
  public let vocabularySize: Int
  public let hiddenSize: Int
  public let layerCount: Int
  public let headCount: Int
  public let intermediateSize: Int
  public let activation: GELU.Form
  public let maximumPositions: Int
  public let typeVocabularySize: Int
  public let normEpsilon: Float

  /// The largest extent that is accepted: no real model comes near, and sizes stay clear of overflow.
  private static let bound = 1 << 24

  private struct Document: Decodable {
    let model_type: String?
    let architectures: [String]?
    let vocab_size: Int?
    let hidden_size: Int?
    let num_hidden_layers: Int?
    let num_attention_heads: Int?
    let intermediate_size: Int?
    let hidden_act: String?
    let max_position_embeddings: Int?
    let type_vocab_size: Int?
    let layer_norm_eps: Float?
    let position_embedding_type: String?
    let is_decoder: Bool?
  }

  /// Reads and checks a configuration.
  ///
  /// - Throws: `GLTAError.unsupported` for another class of model or a setting that is not implemented, naming it;
  ///   `.invalidFile` for values that make no sense.
  public init(path: String) throws(GLTAError) {
    let document: Document
    do {
      document = try JSONDecoder().decode(Document.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch { throw GLTAError(.invalidFile, "\(path) cannot be read as a configuration: \(error)") }
    let type = document.model_type ?? document.architectures?.first ?? "none"
    guard document.model_type == "bert", document.is_decoder != true else {
      throw GLTAError(
        .unsupported, "\(path): the model is of class \(type); supported is bert, as an encoder",
        hint: "`glta model fetch minilm` brings one that works")
    }
    let positions = document.position_embedding_type ?? "absolute"
    guard positions == "absolute" else {
      throw GLTAError(.unsupported, "\(path): position_embedding_type is \(positions), supported is absolute")
    }
    func extent(_ value: Int?, _ name: String) throws(GLTAError) -> Int {
      guard let value, value > 0, value <= BERTConfiguration.bound else {
        throw GLTAError(
          .invalidFile, "\(path): \(name) is \(value.map(String.init) ?? "missing"), expected 1 to \(BERTConfiguration.bound)")
      }
      return value
    }
    vocabularySize = try extent(document.vocab_size, "vocab_size")
    hiddenSize = try extent(document.hidden_size, "hidden_size")
    layerCount = try extent(document.num_hidden_layers, "num_hidden_layers")
    headCount = try extent(document.num_attention_heads, "num_attention_heads")
    intermediateSize = try extent(document.intermediate_size, "intermediate_size")
    maximumPositions = try extent(document.max_position_embeddings, "max_position_embeddings")
    typeVocabularySize = try extent(document.type_vocab_size ?? 2, "type_vocab_size")
    guard hiddenSize % headCount == 0 else {
      throw GLTAError(.invalidFile, "\(path): hidden_size \(hiddenSize) is no multiple of num_attention_heads \(headCount)")
    }
    normEpsilon = document.layer_norm_eps ?? 1e-12
    guard normEpsilon >= 0, normEpsilon < 1 else {
      throw GLTAError(.invalidFile, "\(path): layer_norm_eps is \(normEpsilon)")
    }
    activation = try BERTConfiguration.activation(document.hidden_act ?? "gelu", path)
  }

  private static func activation(_ name: String, _ path: String) throws(GLTAError) -> GELU.Form {
    switch name {
    case "gelu": return .erf
    case "gelu_new", "gelu_pytorch_tanh": return .tanh
    default:
      throw GLTAError(
        .unsupported, "\(path): hidden_act is \(name); supported are gelu, gelu_new and gelu_pytorch_tanh")
    }
  }
}
