public import Tensors

/// The shape of a BERT, from a Hugging Face `config.json`.
public struct BERTConfiguration: Sendable, Equatable {
  /// Rows of the token embeddings.
  public let vocabularySize: Int
  /// Columns of the token embeddings and of the hidden states.
  public let hiddenSize: Int
  /// Transformer blocks.
  public let layerCount: Int
  /// Attention heads of a layer; `hiddenSize` is a multiple of it.
  public let headCount: Int
  /// Columns between the two products of a feed-forward block.
  public let intermediateSize: Int
  /// The form of GELU between the two products of a feed-forward block, from `hidden_act`.
  public let activation: GELU.Form
  /// The longest sequence, in tokens.
  public let maximumPositions: Int
  /// Segments that have an embedding.
  public let typeVocabularySize: Int
  /// Added to the variance in layer norms, from `layer_norm_eps`; 1e-12 where that is missing.
  public let normEpsilon: Float

  /// A text needs room for its two special tokens and something between them.
  static let fewestPositions = 8

  /// Reads and checks a configuration.
  ///
  /// - Throws: `GLTAError.unsupported` for another class of model or a setting that is not supported, naming it;
  ///   `.invalidFile` for values that make no sense; `.inputOutput` where the file cannot be read.
  public init(path: String) throws(GLTAError) {
    let document = try ConfigurationDocument(path: path)
    try document.requireSupportedClass()
    vocabularySize = try document.extent("vocab_size", upTo: 1 << 24)
    hiddenSize = try document.extent("hidden_size")
    layerCount = try document.extent("num_hidden_layers", upTo: 1 << 12)
    headCount = try document.extent("num_attention_heads")
    intermediateSize = try document.extent("intermediate_size")
    maximumPositions = try document.extent("max_position_embeddings", from: BERTConfiguration.fewestPositions)
    typeVocabularySize = try document.extent("type_vocab_size", default: 2)
    normEpsilon = try document.normEpsilon()
    activation = try document.activation()
    guard hiddenSize % headCount == 0 else {
      throw document.invalid("hidden_size \(hiddenSize) is no multiple of num_attention_heads \(headCount)")
    }
  }
}

extension ConfigurationDocument {
  fileprivate func requireSupportedClass() throws(GLTAError) {
    let type = try modelType()
    guard type == "bert" else { throw unsupported("the model is of type \(named(type)), supported is bert") }
    for name in ["is_decoder", "add_cross_attention"] where json[name]?.boolean == true {
      throw unsupported("\(name) is set; supported are encoders")
    }
    if let positions = json["position_embedding_type"]?.text, positions != "absolute" {
      throw unsupported("position_embedding_type is \(positions), supported is absolute")
    }
    if let method = quantization { throw unsupported("the weights are quantised (\(method)), supported are floats") }
    if let pruned = json["pruned_heads"]?.members, !pruned.isEmpty {
      throw unsupported("heads of \(pruned.count) layers are pruned; supported are layers of one size")
    }
  }

  fileprivate func normEpsilon() throws(GLTAError) -> Float {
    Float(try number("layer_norm_eps", in: 0..<1, default: 1e-12))
  }

  fileprivate func activation() throws(GLTAError) -> GELU.Form {
    switch json["hidden_act"]?.text ?? "gelu" {
    case "gelu": return .erf
    case "gelu_new", "gelu_pytorch_tanh": return .tanh
    case let name:
      throw unsupported("hidden_act is \(name), supported are gelu, gelu_new and gelu_pytorch_tanh")
    }
  }
}
