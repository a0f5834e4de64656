public import Tensors

/// The frozen weights of a Llama-class decoder.
///
/// The model has no state of its own: a `DecoderPass` holds the memory of one sequence under way, and any number of passes
/// may share one model. Weights get no gradients, so a backward pass costs what a forward pass does.
public struct DecoderModel: LanguageModel {
  /// Which weights are read.
  public enum Parts: Sendable {
    /// Those of hidden states: enough for alignment, ranking and embedding.
    case states
    /// All, with the head that gives logits: for generation.
    case all
  }

  /// The shape that the weights were read for.
  public let configuration: DecoderConfiguration
  let embeddings: any EmbeddingTable
  let layers: [DecoderLayer]
  /// 1 x hiddenSize: the scale of the last norm.
  let finalNorm: Matrix
  /// Hidden states to logits; nil where it was not asked for.
  let head: FrozenLinear?
  let rotary: RotaryTable

  /// `model_type` of the configuration, as "llama".
  public var architecture: String { configuration.architecture }
  /// The columns of token embeddings and hidden states.
  public var hiddenSize: Int { configuration.hiddenSize }
  /// The longest sequence.
  public var maximumLength: Int { configuration.maximumLength }
  /// Rows of the token embeddings.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// A position sees only what stands before it.
  public var isCausal: Bool { true }
  /// Whether logits can be computed: whether the head was read.
  public var hasHead: Bool { head != nil }

  /// Reads a GGUF file, or the `config.json` and the weights of a Hugging Face directory: `model.safetensors`, or the files
  /// of its index, in floats or quantised by GPTQ.
  ///
  /// - Parameters:
  ///   - precision: what the layers' weights are kept and multiplied in. `.stored` has the numbers of the checkpoint.
  ///   - pool: makes the weights ready.
  /// - Throws: `GLTAError.unsupported` for another class of model or another format of weights, `.invalidFile` where
  ///   tensors are missing, have other shapes than the configuration says, or break the rules of the format.
  public init(
    path: String, precision: Precision = .stored, parts: Parts = .all, pool: ThreadPool = .serial
  ) throws(GLTAError) {
    if GGUFFile.isGGUF(path: path) {
      let file = try GGUFFile(path: path)
      let configuration = try DecoderConfiguration(gguf: file)
      let source = GGUFSource(file: file, configuration: configuration, precision: precision, pool: pool)
      try self.init(configuration, source: source, parts: parts)
    } else {
      let folder = try HuggingFaceDirectory(path: path)
      let configuration = try folder.decoderConfiguration()
      let floats = try SafetensorsSource(directory: folder, precision: precision, pool: pool)
      if let settings = try GPTQSettings(directory: folder) {
        let source = GPTQSource(floats: floats, settings: settings, precision: precision, pool: pool)
        try self.init(configuration, source: source, parts: parts)
      } else {
        try self.init(configuration, source: floats, parts: parts)
      }
    }
  }

  /// Reads a Hugging Face directory as `init(path:)` does.
  public init(directory: String, parts: Parts = .all) throws(GLTAError) {
    try self.init(path: directory, parts: parts)
  }

  /// Reads weights from any source.
  ///
  /// - Throws: what the source throws; `GLTAError.invalidFile` where configuration and tensors contradict one another.
  package init(
    _ configuration: DecoderConfiguration, source: some WeightSource, parts: Parts = .all
  ) throws(GLTAError) {
    try configuration.validate(path: source.path)
    let reader = DecoderWeightReader(source: source, configuration: configuration)
    try reader.requireAgreement()
    let (hidden, vocabulary) = (configuration.hiddenSize, configuration.vocabularySize)
    self.configuration = configuration
    embeddings = try source.table(reader.name("embed_tokens.weight"), rows: vocabulary, columns: hidden)
    var layers: [DecoderLayer] = []
    for index in 0..<configuration.layerCount {
      layers.append(try DecoderLayer(reading: reader, index: index, configuration: configuration))
    }
    self.layers = layers
    finalNorm = try source.vector(reader.name("norm.weight"), count: hidden)
    head = parts == .all ? try reader.head() : nil
    rotary = RotaryTable(configuration)
  }

  /// The token embeddings of `ids`, ids.count x hiddenSize: what a pass takes as input.
  ///
  /// - Precondition: every id is in the vocabulary, as those of the model's tokenizer are.
  public func inputEmbeddings(_ ids: [Int32]) -> Matrix {
    let result = Matrix(rows: ids.count, columns: hiddenSize)
    for (position, id) in ids.enumerated() {
      precondition(id >= 0 && Int(id) < vocabularySize, "token \(id) of a vocabulary of \(vocabularySize)")
      embeddings.copyRow(Int(id), into: result.row(position))
    }
    return result
  }

  /// The longest sequence whose first part is cached. Angles that depend on the length would turn what is cached.
  var cacheLimit: Int {
    if case .dynamic = configuration.rotaryScaling { return configuration.maximumPositions }
    return maximumLength
  }

  /// Makes sure that there are positions for what follows others.
  ///
  /// - Throws: `GLTAError.invalidArgument` with the numbers.
  func requireRoom(_ length: Int, after start: Int, isCached: Bool) throws(GLTAError) {
    let limit = isCached ? cacheLimit : maximumLength
    guard length > 0, start + length <= limit else {
      let behind = start > 0 ? " after \(start) others" : ""
      throw GLTAError(
        .invalidArgument, "a sequence of \(length) tokens\(behind); the model takes 1 to \(limit) in all",
        hint: "shorten the prompt: a smaller history, or fewer words per item, in the template")
    }
  }

  /// Memory for one sequence at a time; see `DecoderPass`.
  public func makePass(pool: ThreadPool) -> any LanguageModelPass { DecoderPass(model: self, pool: pool) }

  /// Bytes that a serial pass holds at the most.
  public func passBytes(length: Int, retention: Retention) -> Int {
    DecoderMemory.byteCount(configuration, length: length, retention: retention)
  }

  /// Bytes of the weights that were read.
  public func weightBytes(forBackward: Bool) -> Int {
    layers.reduce(embeddings.byteCount + (head?.byteCount(forBackward: false) ?? 0)) { bytes, layer in
      bytes + layer.linears.reduce(0) { $0 + $1.byteCount(forBackward: forBackward) }
    }
  }

  /// Operations of a forward pass over `length` tokens, of attention those that the causal mask leaves.
  public func operations(length: Int) -> Double {
    let (hidden, inner) = (Double(hiddenSize), Double(configuration.intermediateSize))
    let (queries, keys) = (Double(configuration.queryColumns), Double(configuration.keyColumns))
    let length = Double(length)
    let weights = 2 * hidden * (queries + keys) + 3 * hidden * inner
    let layer = 2 * length * weights + 2 * length * (length + 1) * queries
    return Double(configuration.layerCount) * layer
  }
}

/// One transformer block.
struct DecoderLayer: Sendable {
  /// 1 x hidden: the scale of the norm before attention.
  let attentionNorm: Matrix
  let query: FrozenLinear
  let key: FrozenLinear
  let value: FrozenLinear
  /// 1 x headColumns: the scales of the norms of queries and keys; nil where the class has none.
  let queryNorm: Matrix?
  let keyNorm: Matrix?
  let attentionOutput: FrozenLinear
  /// 1 x hidden: the scale of the norm before the feed-forward block.
  let feedForwardNorm: Matrix
  let gate: FrozenLinear
  let up: FrozenLinear
  let down: FrozenLinear
  let attention: CausalAttention

  var linears: [FrozenLinear] { [query, key, value, attentionOutput, gate, up, down] }

  init(
    reading reader: DecoderWeightReader, index: Int, configuration: DecoderConfiguration
  ) throws(GLTAError) {
    let source = reader.source
    let (hidden, inner) = (configuration.hiddenSize, configuration.intermediateSize)
    let (queries, keys, head) = (configuration.queryColumns, configuration.keyColumns, configuration.headColumns)
    let (hasBias, hasInnerBias) = (configuration.hasQueryKeyValueBias, configuration.hasFeedForwardBias)
    let prefix = reader.name("layers.\(index).")
    attentionNorm = try source.vector(prefix + "input_layernorm.weight", count: hidden)
    query = try source.linear(prefix + "self_attn.q_proj", out: queries, in: hidden, hasBias: hasBias)
    key = try source.linear(prefix + "self_attn.k_proj", out: keys, in: hidden, hasBias: hasBias)
    value = try source.linear(prefix + "self_attn.v_proj", out: keys, in: hidden, hasBias: hasBias)
    let hasNorms = configuration.hasQueryKeyNorms
    queryNorm = hasNorms ? try source.vector(prefix + "self_attn.q_norm.weight", count: head) : nil
    keyNorm = hasNorms ? try source.vector(prefix + "self_attn.k_norm.weight", count: head) : nil
    attentionOutput = try source.linear(
      prefix + "self_attn.o_proj", out: hidden, in: queries, hasBias: configuration.hasAttentionOutputBias)
    feedForwardNorm = try source.vector(prefix + "post_attention_layernorm.weight", count: hidden)
    gate = try source.linear(prefix + "mlp.gate_proj", out: inner, in: hidden, hasBias: hasInnerBias)
    up = try source.linear(prefix + "mlp.up_proj", out: inner, in: hidden, hasBias: hasInnerBias)
    down = try source.linear(prefix + "mlp.down_proj", out: hidden, in: inner, hasBias: hasInnerBias)
    attention = CausalAttention(headColumns: head, window: configuration.window(ofLayer: index))
  }
}

/// Finds a decoder's tensors, with or without the prefix that a model with a head gives them.
struct DecoderWeightReader {
  let source: any WeightSource
  let configuration: DecoderConfiguration
  private let prefix: String

  init(source: any WeightSource, configuration: DecoderConfiguration) {
    self.source = source
    self.configuration = configuration
    prefix = source.contains("model.embed_tokens.weight") ? "model." : ""
  }

  func name(_ name: String) -> String { prefix + name }

  /// The layer that gives logits: the table of token embeddings where the two are tied.
  func head() throws(GLTAError) -> FrozenLinear {
    let name = configuration.tiesEmbeddings ? name("embed_tokens") : "lm_head"
    return try source.linear(
      name, out: configuration.vocabularySize, in: configuration.hiddenSize, hasBias: false)
  }

  /// Looks for tensors that a configuration denies: a model without them would be another one.
  ///
  /// - Throws: `GLTAError.invalidFile` naming the contradiction.
  func requireAgreement() throws(GLTAError) {
    func deny(_ name: String, unless isExpected: Bool, _ reason: String) throws(GLTAError) {
      guard !isExpected, source.contains(self.name(name)) else { return }
      throw GLTAError(
        .invalidFile, "\(source.path): there is a tensor \(self.name(name)), but \(reason)",
        hint: "the configuration belongs to other weights; download the directory again")
    }
    let first = "layers.0."
    for projection in ["q_proj", "k_proj", "v_proj"] {
      try deny(
        first + "self_attn.\(projection).bias", unless: configuration.hasQueryKeyValueBias,
        "the configuration has no attention_bias")
    }
    try deny(
      first + "self_attn.o_proj.bias", unless: configuration.hasAttentionOutputBias,
      "the configuration has no bias there")
    try deny(
      first + "mlp.gate_proj.bias", unless: configuration.hasFeedForwardBias, "the configuration has no mlp_bias")
    try deny(
      first + "self_attn.q_norm.weight", unless: configuration.hasQueryKeyNorms,
      "models of type \(configuration.architecture) have none")
    try deny(
      "layers.\(configuration.layerCount).input_layernorm.weight", unless: false,
      "the configuration has \(configuration.layerCount) layers")
    guard configuration.tiesEmbeddings || prefix.isEmpty || source.contains("lm_head.weight") else {
      throw GLTAError(
        .invalidFile, "\(source.path) has no tensor lm_head.weight, and tie_word_embeddings is not set",
        hint: "download the directory again")
    }
  }
}
