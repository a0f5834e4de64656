import Foundation
public import Tensors

/// What a model's directory holds and whether it can be used; for people and scripts.
public struct ModelDescription: Sendable, Codable, Equatable {
  /// The directory that was looked at.
  public var path: String
  /// `model_type` of the configuration, as "bert".
  public var architecture: String?
  /// The class that saved the weights, as "BertModel".
  public var modelClass: String?
  /// `num_hidden_layers`: transformer blocks; nil where the configuration does not say.
  public var layers: Int?
  /// `hidden_size`: columns of the hidden states.
  public var hiddenSize: Int?
  /// `num_attention_heads`: heads of a block.
  public var heads: Int?
  /// `intermediate_size`: columns between the products of a feed-forward block.
  public var intermediateSize: Int?
  /// `hidden_act`, as "gelu".
  public var activation: String?
  /// `max_position_embeddings`: the longest sequence, in tokens.
  public var maximumPositions: Int?
  /// `vocab_size`: rows of the token embeddings.
  public var vocabularySize: Int?
  /// Floating-point weights in all.
  public var parameters: Int?
  /// Elements by dtype.
  public var dtypes: [String: Int] = [:]
  /// The class of the tokenizer, as "WordPiece"; nil where it cannot be read.
  public var tokenizer: String?
  /// Tokens of the tokenizer.
  public var tokenizerSize: Int?
  /// Why the model cannot be used, with what helps; empty where it can.
  public var unsupported: [String] = []

  /// Whether everything that is needed is there and is supported.
  public var isUsable: Bool { unsupported.isEmpty }

  /// Looks at everything in a directory. What cannot be used is listed rather than thrown.
  ///
  /// - Throws: `GLTAError.invalidFile` where `config.json` is no JSON.
  public init(_ directory: HuggingFaceDirectory) throws(GLTAError) {
    path = directory.path
    let configuration = try StrictJSON(path: path + "/config.json")
    fill(configuration)
    note { (_) throws(GLTAError) in _ = try directory.bertConfiguration() }
    note { (description) throws(GLTAError) in description.fill(try directory.openWeights()) }
    note { (description) throws(GLTAError) in description.fill(try WordPieceTokenizer(directory: directory.path)) }
    // The sum of it: the weights have the names and shapes that the configuration asks for.
    if isUsable { note { (_) throws(GLTAError) in _ = try BERTModel(directory: directory.path) } }
    if let tokenizerSize, let vocabularySize, tokenizerSize > vocabularySize {
      unsupported.append("the tokenizer has \(tokenizerSize) tokens, the model \(vocabularySize)")
    }
  }

  private mutating func note(_ step: (inout Self) throws(GLTAError) -> Void) {
    do throws(GLTAError) { try step(&self) } catch { unsupported.append(error.description) }
  }

  /// Sizes have the same names in the configurations of most classes of models.
  private mutating func fill(_ configuration: StrictJSON) {
    architecture = configuration["model_type"]?.text
    modelClass = configuration["architectures"]?.elements?.first?.text
    layers = configuration["num_hidden_layers"]?.unsigned
    hiddenSize = configuration["hidden_size"]?.unsigned
    heads = configuration["num_attention_heads"]?.unsigned
    intermediateSize = configuration["intermediate_size"]?.unsigned
    activation = configuration["hidden_act"]?.text
    maximumPositions = configuration["max_position_embeddings"]?.unsigned
    vocabularySize = configuration["vocab_size"]?.unsigned
  }

  private mutating func fill(_ weights: SafetensorsFile) {
    var parameters = 0
    for name in weights.names {
      guard let (dtype, shape) = weights.shape(of: name) else { continue }
      let count = shape.reduce(1, *)
      dtypes[dtype, default: 0] += count
      if dtype.hasPrefix("F") || dtype == "BF16" { parameters += count }
    }
    self.parameters = parameters
  }

  private mutating func fill(_ tokenizer: WordPieceTokenizer) {
    self.tokenizer = "WordPiece"
    tokenizerSize = tokenizer.vocabularyCount
  }
}

extension ModelDescription {
  /// A few lines for people.
  public var text: String {
    func number(_ value: Int?) -> String { value.map(ModelDescription.grouped) ?? "unknown" }
    let types = dtypes.sorted { $0.key < $1.key }.map { "\($0.key) \(number($0.value))" }.joined(separator: ", ")
    let saved = modelClass.map { " (\($0))" } ?? ""
    var lines = [
      path,
      "architecture  \(architecture ?? "unknown")\(saved)",
      "layers        \(number(layers)), hidden \(number(hiddenSize)), heads \(number(heads)), "
        + "inner \(number(intermediateSize)), \(activation ?? "activation unknown")",
      "positions     \(number(maximumPositions))",
      "vocabulary    \(number(vocabularySize))",
      "tokenizer     " + (tokenizer.map { "\($0), \(number(tokenizerSize)) tokens" } ?? "unknown"),
      "parameters    \(number(parameters))" + (types.isEmpty ? "" : " (\(types))"),
      "usable        \(isUsable ? "yes" : "no")",
    ]
    for reason in unsupported { lines.append("  " + reason.replacingOccurrences(of: "\n", with: "\n    ")) }
    return lines.joined(separator: "\n")
  }

  /// Thousands set apart by commas.
  private static func grouped(_ value: Int) -> String {
    let digits = Array(String(value))
    return digits.indices.map { index in
      let isBoundary = index > 0 && (digits.count - index) % 3 == 0
      return (isBoundary ? "," : "") + String(digits[index])
    }.joined()
  }
}
