public import Tensors

extension DecoderConfiguration {
  /// Reads the shape of a model from a GGUF file's metadata and tensors.
  ///
  /// - Throws: `GLTAError.unsupported` for another class of model or a setting that is not supported, naming it;
  ///   `.invalidFile` for values that are missing or make no sense.
  public init(gguf file: GGUFFile) throws(GLTAError) {
    let reader = try GGUFConfigurationReader(file)
    let (hidden, heads) = (try reader.required("embedding_length"), try reader.headCount())
    let columns = try reader.headColumns(hidden: hidden, heads: heads)
    self.init(
      architecture: reader.architecture, vocabularySize: try reader.vocabularySize(), hiddenSize: hidden,
      layerCount: try reader.required("block_count"), headCount: heads,
      keyHeadCount: try reader.integer("attention.head_count_kv") ?? heads,
      intermediateSize: try reader.required("feed_forward_length"), headColumns: columns,
      maximumPositions: try reader.required("context_length"),
      normEpsilon: Float(try reader.float("attention.layer_norm_rms_epsilon") ?? 1e-5),
      rotaryBase: try reader.float("rope.freq_base") ?? 10_000,
      rotaryScaling: try reader.rotaryScaling(headColumns: columns), tiesEmbeddings: !file.contains("output.weight"),
      hasQueryKeyValueBias: file.contains("blk.0.attn_q.bias"),
      hasAttentionOutputBias: file.contains("blk.0.attn_output.bias"),
      hasFeedForwardBias: file.contains("blk.0.ffn_gate.bias"),
      hasQueryKeyNorms: file.contains("blk.0.attn_q_norm.weight"),
      slidingWindow: try reader.integer("attention.sliding_window"))
    try validate(path: file.path)
  }
}

/// Reads `llama.*`, `qwen2.*` and `qwen3.*` keys (ggml-org/ggml, docs/gguf.md, "Standardized key-value pairs").
private struct GGUFConfigurationReader {
  private static let architectures = ["llama", "qwen2", "qwen3"]

  let file: GGUFFile
  let architecture: String

  init(_ file: GGUFFile) throws(GLTAError) {
    self.file = file
    guard let architecture = try file.metadata.string("general.architecture") else {
      throw GLTAError(.invalidFile, "\(file.path): general.architecture is missing")
    }
    guard GGUFConfigurationReader.architectures.contains(architecture) else {
      throw GLTAError(
        .unsupported,
        "\(file.path): the model is of architecture \(architecture), supported are "
          + GGUFConfigurationReader.architectures.joined(separator: ", "))
    }
    self.architecture = architecture
    for name in ["expert_count", "expert_used_count"] where try integer(name) ?? 0 > 0 {
      throw unsupported("\(architecture).\(name) is set; supported are dense decoders")
    }
  }

  func unsupported(_ what: String) -> GLTAError { GLTAError(.unsupported, "\(file.path): \(what)") }

  func integer(_ name: String) throws(GLTAError) -> Int? { try file.metadata.integer("\(architecture).\(name)") }
  func float(_ name: String) throws(GLTAError) -> Double? { try file.metadata.float("\(architecture).\(name)") }

  func required(_ name: String) throws(GLTAError) -> Int {
    guard let value = try integer(name) else {
      throw GLTAError(.invalidFile, "\(file.path): \(architecture).\(name) is missing")
    }
    return value
  }

  func headCount() throws(GLTAError) -> Int {
    let heads = try required("attention.head_count")
    guard heads > 0 else {
      throw GLTAError(.invalidFile, "\(file.path): \(architecture).attention.head_count is \(heads)")
    }
    return heads
  }

  /// The rows of the embeddings: metadata need not say it, and tokenizers may know fewer.
  func vocabularySize() throws(GLTAError) -> Int {
    guard let shape = file.shape(of: "token_embd.weight")?.shape, shape.count == 2 else {
      throw GLTAError(.invalidFile, "\(file.path) has no matrix token_embd.weight")
    }
    return shape[0]
  }

  func headColumns(hidden: Int, heads: Int) throws(GLTAError) -> Int {
    let columns = try integer("attention.key_length") ?? hidden / heads
    if let values = try integer("attention.value_length"), values != columns {
      throw unsupported("keys have \(columns) columns and values \(values); supported are equal ones")
    }
    if let turned = try integer("rope.dimension_count"), turned != columns {
      throw unsupported("\(turned) of \(columns) columns of a head turn; supported are all")
    }
    return columns
  }

  func rotaryScaling(headColumns: Int) throws(GLTAError) -> RotaryScaling {
    // Llama 3.1's stretching is a tensor of divisors.
    if file.contains("rope_freqs.weight") {
      let factors = try file.matrix("rope_freqs.weight", rows: 1, columns: headColumns / 2)
      return .divisors(factors.elements)
    }
    var factor = try float("rope.scaling.factor")
    if factor == nil { factor = try float("rope.scale_linear") }
    return try rotaryScaling(factor: factor ?? 1)
  }

  private func rotaryScaling(factor: Double) throws(GLTAError) -> RotaryScaling {
    let type = try file.metadata.string("\(architecture).rope.scaling.type")
    switch type ?? (factor == 1 ? "none" : "linear") {
    case "none": return .none
    case "linear": return factor == 1 ? .none : .linear(factor: factor)
    case "yarn":
      let original = try integer("rope.scaling.original_context_length")
      let positions = try required("context_length")
      return .yarn(RotaryScaling.YaRN(factor: factor, originalPositions: original ?? positions))
    case let name:
      throw unsupported("\(architecture).rope.scaling.type is \(name), supported are none, linear and yarn")
    }
  }
}
