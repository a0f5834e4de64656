import Foundation
public import Tensors

/// What a model's files hold and whether they can be used; for people and scripts.
public struct ModelDescription: Sendable, Codable, Equatable {
  /// The directory or the GGUF file that was looked at.
  public var path: String
  /// What the weights are in: "safetensors", "safetensors, gptq" or "GGUF"; nil where they cannot be read.
  public var format: String?
  /// The class of the model, as "bert" and "llama".
  public var architecture: String?
  /// The class that saved the weights, as "BertModel", or the name that a GGUF file gives the model.
  public var modelClass: String?
  /// Transformer blocks; nil where the configuration does not say.
  public var layers: Int?
  /// Columns of the hidden states.
  public var hiddenSize: Int?
  /// Heads of a block.
  public var heads: Int?
  /// Heads of keys and values, where they are fewer.
  public var keyHeads: Int?
  /// Columns between the products of a feed-forward block.
  public var intermediateSize: Int?
  /// The activation of the feed-forward block, as "gelu".
  public var activation: String?
  /// The longest sequence, in tokens.
  public var maximumPositions: Int?
  /// Rows of the token embeddings.
  public var vocabularySize: Int?
  /// Weights in all; nil where they are quantised in a way that does not say.
  public var parameters: Int?
  /// Elements by dtype, in the format's words.
  public var dtypes: [String: Int] = [:]
  /// The class of the tokenizer, as "WordPiece"; nil where it cannot be read.
  public var tokenizer: String?
  /// Tokens of the tokenizer.
  public var tokenizerSize: Int?
  /// The format of prompts, as "chatML"; nil where there is no chat template, "unknown" where it is of no known format.
  public var chat: String?
  /// Why the model cannot be used, with what helps; empty where it can.
  public var unsupported: [String] = []

  /// Weights that are read to see whether they are those that the configuration asks for, at the most: beyond, names and
  /// types are all that is looked at.
  private static let mostParametersRead = 500_000_000

  /// Whether everything that is needed is there and is supported.
  public var isUsable: Bool { unsupported.isEmpty }

  /// Looks at everything in a directory or a GGUF file. What cannot be used is listed rather than thrown.
  ///
  /// - Throws: `GLTAError.inputOutput` where there is neither, `.invalidFile` where `config.json` is no JSON or the GGUF
  ///   file is damaged.
  public init(path: String) throws(GLTAError) {
    if GGUFFile.isGGUF(path: path) {
      try self.init(GGUFFile(path: path))
    } else {
      try self.init(HuggingFaceDirectory(path: path))
    }
  }

  /// Looks at everything in a directory. What cannot be used is listed rather than thrown.
  ///
  /// - Throws: `GLTAError.invalidFile` where `config.json` is no JSON.
  public init(_ directory: HuggingFaceDirectory) throws(GLTAError) {
    path = directory.path
    let configuration = try StrictJSON(path: path + "/config.json")
    fill(configuration)
    let isEncoder = architecture == "bert"
    note { (description) throws(GLTAError) in
      if isEncoder {
        _ = try directory.bertConfiguration()
      } else {
        description.fill(try directory.decoderConfiguration())
      }
    }
    note { (description) throws(GLTAError) in try description.fillWeights(of: directory, isEncoder: isEncoder) }
    finish(isEncoder: isEncoder)
  }

  /// Looks at everything in a GGUF file. What cannot be used is listed rather than thrown.
  ///
  /// - Throws: `GLTAError.invalidFile` where the file names no class of models.
  public init(_ file: GGUFFile) throws(GLTAError) {
    path = file.path
    format = "GGUF"
    architecture = try file.metadata.string("general.architecture")
    modelClass = try file.metadata.string("general.name")
    for name in file.names {
      guard let (type, shape) = file.shape(of: name) else { continue }
      dtypes[type, default: 0] += shape.reduce(1, *)
    }
    parameters = dtypes.values.reduce(0, +)
    note { (description) throws(GLTAError) in description.fill(try DecoderConfiguration(gguf: file)) }
    finish(isEncoder: false)
  }

  private mutating func note(_ step: (inout Self) throws(GLTAError) -> Void) {
    do throws(GLTAError) { try step(&self) } catch { unsupported.append(error.description) }
  }

  /// The tokenizer, and the sum of it: the weights have the names and shapes that the configuration asks for.
  private mutating func finish(isEncoder: Bool) {
    note { (description) throws(GLTAError) in description.fill(try Tokenizers.load(description.path)) }
    if isUsable, parameters ?? 0 <= ModelDescription.mostParametersRead {
      note { (description) throws(GLTAError) in
        if isEncoder {
          _ = try BERTModel(directory: description.path)
        } else {
          _ = try DecoderModel(path: description.path)
        }
      }
    }
    if let tokenizerSize, let vocabularySize, tokenizerSize > vocabularySize {
      unsupported.append("the tokenizer has \(tokenizerSize) tokens, the model \(vocabularySize)")
    }
  }

  // MARK: Parts

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

  private mutating func fill(_ configuration: DecoderConfiguration) {
    architecture = configuration.architecture
    layers = configuration.layerCount
    hiddenSize = configuration.hiddenSize
    heads = configuration.headCount
    keyHeads = configuration.keyHeadCount == configuration.headCount ? nil : configuration.keyHeadCount
    intermediateSize = configuration.intermediateSize
    activation = "silu"
    maximumPositions = configuration.maximumLength
    vocabularySize = configuration.vocabularySize
  }

  private mutating func fillWeights(of directory: HuggingFaceDirectory, isEncoder: Bool) throws(GLTAError) {
    let files = isEncoder ? [try directory.openWeights()] : try SafetensorsSource(directory: directory).files
    for file in files {
      for name in file.names {
        guard let (dtype, shape) = file.shape(of: name) else { continue }
        dtypes[dtype, default: 0] += shape.reduce(1, *)
      }
    }
    let method = try directory.quantization()
    format = "safetensors" + (method.map { ", " + $0 } ?? "")
    let floats = dtypes.filter { $0.key.hasPrefix("F") || $0.key == "BF16" }
    // What is quantised is packed into integers, so their number says little.
    if method == nil { parameters = floats.values.reduce(0, +) }
  }

  private mutating func fill(_ tokenizer: any TextTokenizer) {
    self.tokenizer = tokenizer.summary
    tokenizerSize = tokenizer.vocabularyCount
    guard let tokenizer = tokenizer as? BPETokenizer, tokenizer.chatTemplate != nil else { return }
    let template = try? tokenizer.makeChatTemplate()
    chat = template?.family.rawValue ?? "unknown"
  }
}

extension ModelDescription {
  /// A few lines for people.
  public var text: String {
    func number(_ value: Int?) -> String { value.map(ModelDescription.grouped) ?? "unknown" }
    let types = dtypes.sorted { $0.key < $1.key }.map { "\($0.key) \(number($0.value))" }.joined(separator: ", ")
    let keys = keyHeads.map { " (\(number($0)) of keys and values)" } ?? ""
    let saved = modelClass.map { " (\($0))" } ?? ""
    var lines = [
      path,
      "architecture  \(architecture ?? "unknown")\(saved)",
      "layers        \(number(layers)), hidden \(number(hiddenSize)), heads \(number(heads))\(keys), "
        + "inner \(number(intermediateSize)), \(activation ?? "activation unknown")",
      "positions     \(number(maximumPositions))",
      "vocabulary    \(number(vocabularySize))",
      "tokenizer     " + (tokenizer.map { "\($0), \(number(tokenizerSize)) tokens" } ?? "unknown")
        + (chat.map { ", chat \($0)" } ?? ""),
      "weights       \(format ?? "unknown")",
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
