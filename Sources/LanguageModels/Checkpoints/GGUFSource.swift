package import Tensors

/// The weights of a GGUF file by the names that Hugging Face gives them, kept in the file's bits or in another precision.
package struct GGUFSource: WeightSource {
  private let file: GGUFFile
  private let configuration: DecoderConfiguration
  private let precision: Precision
  private let pool: ThreadPool

  package var path: String { file.path }

  /// - Parameter configuration: that of the file.
  package init(
    file: GGUFFile, configuration: DecoderConfiguration, precision: Precision = .stored, pool: ThreadPool = .serial
  ) {
    self.file = file
    self.configuration = configuration
    self.precision = precision
    self.pool = pool
  }

  package func contains(_ name: String) -> Bool { GGUFNames.name(name).map(file.contains) ?? false }

  package func matrix(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> Matrix {
    try blocks(name, rows: rows, columns: columns).floats(pool: pool)
  }

  package func table(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> any EmbeddingTable {
    BlockTable(try blocks(name, rows: rows, columns: columns))
  }

  package func linear(_ name: String, out: Int, in inputs: Int, hasBias: Bool) throws(GLTAError) -> FrozenLinear {
    let blocks = try blocks(name + ".weight", rows: out, columns: inputs)
    do throws(GLTAError) {
      let weight = try WeightForm.make(blocks, precision: precision, pool: pool)
      return FrozenLinear(weight, bias: hasBias ? try bias(name, count: out) : nil)
    } catch { throw error.at("\(path): \(GGUFNames.name(name + ".weight") ?? name)") }
  }

  private func bias(_ name: String, count: Int) throws(GLTAError) -> Matrix {
    let bias = try matrix(name + ".bias", rows: 1, columns: count)
    guard let order = try order(of: name + ".weight", rows: count) else { return bias }
    return Matrix(order.map { bias.base[Int($0)] }, rows: 1, columns: count)
  }

  private func blocks(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> BlockMatrix {
    guard let stored = GGUFNames.name(name) else {
      throw GLTAError(.invalidFile, "\(path) has no tensor that stands for \(name)")
    }
    let blocks = try file.blocks(stored, rows: rows, columns: columns)
    guard let order = try order(of: name, rows: rows) else { return blocks }
    return try blocks.reordered(order)
  }

  /// The rows of the file in Hugging Face's order, where the two differ: llama.cpp turns neighbouring columns of a head of
  /// Llama, Hugging Face a column of its first half with one of its second, so that rows of queries and keys were moved
  /// (`permute` of llama.cpp's `convert_hf_to_gguf.py`).
  private func order(of name: String, rows: Int) throws(GLTAError) -> [Int32]? {
    guard configuration.architecture == "llama" else { return nil }
    guard name.hasSuffix("self_attn.q_proj.weight") || name.hasSuffix("self_attn.k_proj.weight") else { return nil }
    let columns = configuration.headColumns
    return (0..<rows).map { row in
      let (head, place) = (row / columns, row % columns)
      return Int32(head * columns + 2 * (place % (columns / 2)) + place / (columns / 2))
    }
  }
}

/// What GGUF calls the tensors of a decoder (ggml-org/llama.cpp, `gguf-py/gguf/tensor_mapping.py`).
enum GGUFNames {
  private static let whole = [
    "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
  ]
  private static let ofLayer = [
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
  ]
  private static let layers = "model.layers."

  /// GGUF's name for a tensor; nil where it has none.
  static func name(_ name: String) -> String? {
    if let name = whole[name] { return name }
    guard name.hasPrefix(layers) else { return nil }
    let rest = name.dropFirst(layers.count)
    guard let dot = rest.firstIndex(of: "."), let end = rest.lastIndex(of: "."), dot < end else { return nil }
    guard let part = ofLayer[String(rest[rest.index(after: dot)..<end])] else { return nil }
    return "blk.\(rest[..<dot]).\(part)\(rest[end...])"
  }
}

extension GLTAError {
  /// The same error with where it was found.
  func at(_ place: String) -> GLTAError { GLTAError(code, "\(place): \(message)", hint: hint) }
}
