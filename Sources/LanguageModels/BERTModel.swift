public import Tensors

/// The frozen weights of a BERT-class encoder (Devlin et al., 2019), packed for its products.
///
/// The model has no state of its own: a `BERTPass` holds the memory of one sequence under way, and any number of passes
/// may share one model. Weights get no gradients, so a backward pass costs what a forward pass does.
public struct BERTModel: LanguageModel {
  /// The shape that the weights were read for.
  public let configuration: BERTConfiguration
  /// Token embeddings, `vocabularySize` x `hiddenSize`: the space into which projectors map nodes.
  public let wordEmbeddings: Matrix
  let positionEmbeddings: Matrix
  /// The embedding of segment 0, the only one that is used: 1 x hiddenSize.
  let typeEmbedding: Matrix
  let embeddingNorm: NormWeights
  let layers: [BERTLayer]

  /// "bert".
  public var architecture: String { "bert" }
  /// The columns of token embeddings and hidden states.
  public var hiddenSize: Int { configuration.hiddenSize }
  /// The longest sequence.
  public var maximumLength: Int { configuration.maximumPositions }
  /// Rows of the token embeddings.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// Positions see what stands before and after them.
  public var isCausal: Bool { false }

  /// Reads `config.json` and `model.safetensors` of a Hugging Face directory.
  ///
  /// - Parameters:
  ///   - precision: what the layers' weights are kept and multiplied in; `.stored` is f32.
  ///   - pool: makes the weights ready.
  /// - Throws: `GLTAError.unsupported` for another class of model, `.invalidFile` where tensors are missing, have other
  ///   shapes than the configuration says, or break the rules of the format.
  public init(
    directory: String, precision: Precision = .stored, pool: ThreadPool = .serial
  ) throws(GLTAError) {
    let folder = try HuggingFaceDirectory(path: directory)
    let configuration = try folder.bertConfiguration()
    let weights = BERTWeightReader(file: try folder.openWeights(), precision: precision, pool: pool)
    let hidden = configuration.hiddenSize
    self.configuration = configuration
    wordEmbeddings = try weights.matrix("embeddings.word_embeddings.weight", configuration.vocabularySize, hidden)
    positionEmbeddings = try weights.matrix(
      "embeddings.position_embeddings.weight", configuration.maximumPositions, hidden)
    typeEmbedding = try weights.matrix(
      "embeddings.token_type_embeddings.weight", configuration.typeVocabularySize, hidden
    ).slice(0..<1)
    embeddingNorm = try weights.norm("embeddings.LayerNorm", hidden)
    var layers: [BERTLayer] = []
    for index in 0..<configuration.layerCount {
      layers.append(try BERTLayer(reading: weights, index: index, configuration: configuration))
    }
    self.layers = layers
  }

  /// The token embeddings of `ids`, ids.count x hiddenSize: what a pass takes as input.
  ///
  /// - Precondition: every id is in the vocabulary, as those of the model's tokenizer are.
  public func inputEmbeddings(_ ids: [Int32]) -> Matrix {
    let result = Matrix(rows: ids.count, columns: hiddenSize)
    Embedding.forward(table: wordEmbeddings, ids: ids, into: result.base)
    return result
  }

  /// Memory for one sequence at a time; see `BERTPass`.
  public func makePass(pool: ThreadPool) -> any LanguageModelPass { BERTPass(model: self, pool: pool) }

  /// Nothing: every position sees the whole sequence.
  public func readPrefix(_ ids: [Int32], pool: ThreadPool) -> SharedPrefix? { nil }

  /// Bytes that a serial pass holds at the most.
  public func passBytes(length: Int, retention: Retention) -> Int {
    BERTMemory.byteCount(configuration, length: length, retention: retention)
  }

  /// Bytes of the weights.
  public func weightBytes(forBackward: Bool) -> Int {
    layers.reduce(wordEmbeddings.byteCount + positionEmbeddings.byteCount) { bytes, layer in
      bytes + layer.linears.reduce(0) { $0 + $1.byteCount(forBackward: forBackward) }
    }
  }

  /// Operations of a forward pass over `length` tokens.
  public func operations(length: Int) -> Double {
    let (hidden, inner) = (Double(hiddenSize), Double(configuration.intermediateSize))
    let length = Double(length)
    let layer = 2 * length * (4 * hidden * hidden + 2 * hidden * inner) + 4 * length * length * hidden
    return Double(configuration.layerCount) * layer
  }
}

/// Scale and shift of a layer norm.
struct NormWeights: Sendable {
  let weight: Matrix
  let bias: Matrix
}

/// One transformer block.
struct BERTLayer: Sendable {
  let query: FrozenLinear
  /// Keys and values in one product: rows of keys first.
  let keyValue: FrozenLinear
  let attentionOutput: FrozenLinear
  let attentionNorm: NormWeights
  let expansion: FrozenLinear
  let contraction: FrozenLinear
  let outputNorm: NormWeights

  var linears: [FrozenLinear] { [query, keyValue, attentionOutput, expansion, contraction] }

  init(reading weights: BERTWeightReader, index: Int, configuration: BERTConfiguration) throws(GLTAError) {
    let (hidden, inner) = (configuration.hiddenSize, configuration.intermediateSize)
    let prefix = "encoder.layer.\(index)."
    query = try weights.linear(prefix + "attention.self.query", out: hidden, in: hidden)
    keyValue = try weights.stackedLinear(
      [prefix + "attention.self.key", prefix + "attention.self.value"], out: hidden, in: hidden)
    attentionOutput = try weights.linear(prefix + "attention.output.dense", out: hidden, in: hidden)
    attentionNorm = try weights.norm(prefix + "attention.output.LayerNorm", hidden)
    expansion = try weights.linear(prefix + "intermediate.dense", out: inner, in: hidden)
    contraction = try weights.linear(prefix + "output.dense", out: hidden, in: inner)
    outputNorm = try weights.norm(prefix + "output.LayerNorm", hidden)
  }
}

/// Finds a BERT's tensors by the names that Hugging Face gives them, with or without the prefix of a headed model.
struct BERTWeightReader {
  let file: SafetensorsFile
  private let precision: Precision
  private let pool: ThreadPool
  private let prefix: String

  init(file: SafetensorsFile, precision: Precision, pool: ThreadPool) {
    self.file = file
    self.precision = precision
    self.pool = pool
    prefix = file.contains("bert.embeddings.word_embeddings.weight") ? "bert." : ""
  }

  func matrix(_ name: String, _ rows: Int, _ columns: Int) throws(GLTAError) -> Matrix {
    try file.matrix(prefix + name, rows: rows, columns: columns)
  }

  func norm(_ name: String, _ columns: Int) throws(GLTAError) -> NormWeights {
    // Checkpoints converted from TensorFlow say gamma and beta.
    let old = file.contains(prefix + name + ".gamma")
    return NormWeights(
      weight: try matrix(name + (old ? ".gamma" : ".weight"), 1, columns),
      bias: try matrix(name + (old ? ".beta" : ".bias"), 1, columns))
  }

  func linear(_ name: String, out: Int, in columns: Int) throws(GLTAError) -> FrozenLinear {
    try make(weight: matrix(name + ".weight", out, columns), bias: matrix(name + ".bias", 1, out))
  }

  private func make(weight: Matrix, bias: Matrix) throws(GLTAError) -> FrozenLinear {
    // Whatever the file has is f32 here already.
    guard precision == .bf16 || precision == .int8 else { return FrozenLinear(weight: weight, bias: bias) }
    do throws(GLTAError) {
      return FrozenLinear(
        try WeightForm.make(BlockMatrix(weight.tensor), precision: precision, pool: pool), bias: bias)
    } catch { throw error.at(file.path) }
  }

  /// Layers of one input as one layer, their outputs side by side.
  func stackedLinear(_ names: [String], out: Int, in columns: Int) throws(GLTAError) -> FrozenLinear {
    let weight = Matrix(rows: out * names.count, columns: columns)
    let bias = Matrix(rows: 1, columns: out * names.count)
    for (index, name) in names.enumerated() {
      weight.slice(index * out..<(index + 1) * out).assign(try matrix(name + ".weight", out, columns))
      (bias.base + index * out).update(from: try matrix(name + ".bias", 1, out).base, count: out)
    }
    return try make(weight: weight, bias: bias)
  }
}
