public import Tensors

extension DecoderConfiguration {
  /// The values of `model_type` that are decoders of this class.
  public static let architectures = ["llama", "mistral", "qwen2", "qwen3"]

  /// Reads and checks a Hugging Face `config.json`, as versions 4 and 5 of transformers write it.
  ///
  /// - Throws: `GLTAError.unsupported` for another class of model or a setting that is not supported, naming it;
  ///   `.invalidFile` for values that make no sense; `.inputOutput` where the file cannot be read.
  public init(path: String) throws(GLTAError) {
    let document = try ConfigurationDocument(path: path)
    let architecture = try document.architecture()
    try document.requireSupportedSettings()
    let (hidden, heads) = (try document.extent("hidden_size"), try document.extent("num_attention_heads"))
    let layers = try document.extent("num_hidden_layers", upTo: 1 << 12)
    let positions = try document.extent("max_position_embeddings", upTo: 1 << 24)
    let (base, scaling) = try document.rotary(positions: positions)
    let hasBias = try document.flag("attention_bias")
    let window = try document.window(architecture, layers: layers)
    self.init(
      architecture: architecture,
      vocabularySize: try document.extent("vocab_size", upTo: 1 << 24),
      hiddenSize: hidden, layerCount: layers, headCount: heads,
      // Each class has a default of its own; Llama's is the number of heads.
      keyHeadCount: try document.extent("num_key_value_heads", default: architecture == "llama" ? heads : nil),
      intermediateSize: try document.extent("intermediate_size"),
      headColumns: try document.headColumns(architecture, hidden: hidden, heads: heads),
      maximumPositions: positions,
      normEpsilon: Float(try document.number("rms_norm_eps", in: 0..<1, default: 1e-6)),
      rotaryBase: base, rotaryScaling: scaling,
      tiesEmbeddings: try document.flag("tie_word_embeddings"),
      hasQueryKeyValueBias: architecture == "qwen2" || hasBias,
      hasAttentionOutputBias: architecture != "qwen2" && hasBias,
      hasFeedForwardBias: try document.flag("mlp_bias"), hasQueryKeyNorms: architecture == "qwen3",
      slidingWindow: window.size, firstWindowedLayer: window.firstLayer)
    try validate(path: path)
  }
}

extension ConfigurationDocument {
  fileprivate func architecture() throws(GLTAError) -> String {
    let type = try modelType()
    guard let type, DecoderConfiguration.architectures.contains(type) else {
      let supported = DecoderConfiguration.architectures.joined(separator: ", ")
      throw unsupported("the model is of type \(named(type)), supported are the decoders \(supported)")
    }
    return type
  }

  fileprivate func requireSupportedSettings() throws(GLTAError) {
    if let activation = value("hidden_act"), activation.text != "silu" {
      throw unsupported("hidden_act is \(activation.summary), supported is silu")
    }
    if let factor = value("partial_rotary_factor"), factor.double != 1 {
      throw unsupported("partial_rotary_factor is \(factor.summary), supported is 1: all columns of a head turn")
    }
    for name in ["attn_logit_softcapping", "final_logit_softcapping", "num_local_experts", "num_experts"]
    where value(name) != nil {
      throw unsupported("\(name) is set; supported are dense decoders without it")
    }
  }

  fileprivate func headColumns(_ architecture: String, hidden: Int, heads: Int) throws(GLTAError) -> Int {
    if value("head_dim") != nil { return try extent("head_dim", upTo: 1 << 12) }
    if architecture == "qwen3" { return 128 }
    guard hidden % heads == 0 else {
      throw invalid("hidden_size \(hidden) is no multiple of num_attention_heads \(heads), and there is no head_dim")
    }
    return hidden / heads
  }

  // MARK: Sliding window

  /// Mistral's window holds for all layers; Qwen's must be switched on and starts at a layer.
  fileprivate func window(_ architecture: String, layers: Int) throws(GLTAError) -> (size: Int?, firstLayer: Int) {
    switch architecture {
    case "mistral":
      if json["sliding_window"] == nil { return (4096, 0) }
      return (value("sliding_window") == nil ? nil : try extent("sliding_window", upTo: 1 << 24), 0)
    case "qwen2", "qwen3":
      guard try flag("use_sliding_window"), value("sliding_window") != nil else { return (nil, 0) }
      let size = try extent("sliding_window", upTo: 1 << 24)
      if let types = value("layer_types") { return (size, try firstWindowedLayer(types, layers: layers)) }
      return (size, try extent("max_window_layers", from: 0, default: 28))
    default:
      if let size = value("sliding_window") {
        throw unsupported("sliding_window is \(size.summary) in a model of type \(architecture)")
      }
      return (nil, 0)
    }
  }

  private func firstWindowedLayer(_ types: StrictJSON, layers: Int) throws(GLTAError) -> Int {
    let names = (types.elements ?? []).map(\.text)
    guard names.count == layers else { throw invalid("layer_types has \(names.count) entries for \(layers) layers") }
    let first = names.firstIndex(of: "sliding_attention") ?? layers
    for (layer, name) in names.enumerated() {
      let expected = layer < first ? "full_attention" : "sliding_attention"
      guard name == expected else {
        throw unsupported(
          "layer_types has \(name ?? "no text") at layer \(layer); supported is one change from full to sliding")
      }
    }
    return first
  }

  // MARK: Rotary positions

  /// Version 5 of transformers writes `rope_parameters`, version 4 `rope_theta` and `rope_scaling`.
  fileprivate func rotary(positions: Int) throws(GLTAError) -> (base: Double, scaling: RotaryScaling) {
    let everything = value("rope_parameters")
    let parameters = everything ?? value("rope_scaling")
    let outer = try number("rope_theta", in: 0..<1e12, default: 10_000)
    guard let parameters else { return (outer, .none) }
    guard parameters.members != nil else {
      throw invalid("rope settings are \(parameters.summary), expected an object")
    }
    let fields = RotaryFields(document: self, json: parameters)
    let base = try fields.number("rope_theta") ?? outer
    if let share = try fields.number("partial_rotary_factor"), share != 1 {
      throw unsupported("partial_rotary_factor is \(share), supported is 1: all columns of a head turn")
    }
    return (base, try fields.scaling(positions: positions))
  }
}

/// The settings of `rope_parameters` or `rope_scaling`.
private struct RotaryFields {
  let document: ConfigurationDocument
  let json: StrictJSON

  /// A number that may be missing or null.
  func number(_ name: String) throws(GLTAError) -> Double? {
    guard let value = json[name], !value.isNull else { return nil }
    guard let number = value.double, number.isFinite else {
      throw document.invalid("rope settings: \(name) is \(value.summary), expected a number")
    }
    return number
  }

  private func required(_ name: String) throws(GLTAError) -> Double {
    guard let number = try number(name) else { throw document.invalid("rope settings: \(name) is missing") }
    return number
  }

  private func originalPositions(_ positions: Int) throws(GLTAError) -> Int {
    let name = "original_max_position_embeddings"
    guard let value = json[name] ?? document.json[name], !value.isNull else { return positions }
    guard let count = value.unsigned else {
      throw document.invalid("rope settings: \(name) is \(value.summary), expected a whole number")
    }
    return count
  }

  func scaling(positions: Int) throws(GLTAError) -> RotaryScaling {
    switch json["rope_type"]?.text ?? json["type"]?.text ?? "default" {
    case "default": return .none
    case "linear": return .linear(factor: try required("factor"))
    case "dynamic": return .dynamic(factor: try required("factor"))
    case "llama3":
      return .llama3(
        factor: try required("factor"), lowFrequency: try required("low_freq_factor"),
        highFrequency: try required("high_freq_factor"), originalPositions: try originalPositions(positions))
    case "yarn": return .yarn(try yarn(positions: positions))
    case let name:
      throw document.unsupported(
        "rope_type is \(name), supported are default, linear, dynamic, llama3 and yarn")
    }
  }

  private func yarn(positions: Int) throws(GLTAError) -> RotaryScaling.YaRN {
    let original = try originalPositions(positions)
    let factor = try number("factor") ?? Double(positions) / Double(original)
    var attention = try number("attention_factor")
    let (scale, allScale) = (try number("mscale") ?? 0, try number("mscale_all_dim") ?? 0)
    if attention == nil, scale != 0, allScale != 0 {
      attention =
        RotaryScaling.YaRN.attentionFactor(factor, scale: scale)
        / RotaryScaling.YaRN.attentionFactor(factor, scale: allScale)
    }
    return RotaryScaling.YaRN(
      factor: factor, originalPositions: original, fastTurns: try number("beta_fast") ?? 32,
      slowTurns: try number("beta_slow") ?? 1, attentionFactor: attention, truncates: json["truncate"]?.boolean ?? true)
  }
}
