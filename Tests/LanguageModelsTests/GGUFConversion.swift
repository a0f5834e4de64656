import Foundation
import LanguageModels
import Tensors

/// A Hugging Face directory of floats as llama.cpp's converter writes it.
struct GGUFConversion {
  private let directory: String
  private let configuration: DecoderConfiguration
  private let weights: SafetensorsFile

  init(directory: String) throws {
    self.directory = directory
    configuration = try DecoderConfiguration(path: directory + "/config.json")
    weights = try SafetensorsFile(path: directory + "/model.safetensors")
  }

  func data() throws -> Data { try builder().data() }

  func builder() throws -> GGUFBuilder {
    var builder = GGUFBuilder()
    let name = configuration.architecture
    builder.add("general.architecture", name)
    builder.add(name + ".block_count", UInt32(configuration.layerCount))
    builder.add(name + ".embedding_length", UInt32(configuration.hiddenSize))
    builder.add(name + ".feed_forward_length", UInt32(configuration.intermediateSize))
    builder.add(name + ".attention.head_count", UInt32(configuration.headCount))
    builder.add(name + ".attention.head_count_kv", UInt32(configuration.keyHeadCount))
    builder.add(name + ".attention.key_length", UInt32(configuration.headColumns))
    builder.add(name + ".context_length", UInt32(configuration.maximumPositions))
    builder.add(name + ".attention.layer_norm_rms_epsilon", configuration.normEpsilon)
    builder.add(name + ".rope.freq_base", Float(configuration.rotaryBase))
    if let window = configuration.slidingWindow, configuration.firstWindowedLayer == 0 {
      builder.add(name + ".attention.sliding_window", UInt32(window))
    }
    if case .llama3 = configuration.rotaryScaling { builder.add("rope_freqs.weight", divisors()) }
    for tensor in weights.names {
      guard let stored = stored(tensor) else { continue }
      builder.add(stored, try permuted(tensor))
    }
    return builder
  }

  private func stored(_ name: String) -> String? {
    var name = name
    for (old, new) in [
      ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
      ("model.layers", "blk"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
      ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("self_attn.q_norm", "attn_q_norm"),
      ("self_attn.k_norm", "attn_k_norm"), ("post_attention_layernorm", "ffn_norm"),
      ("input_layernorm", "attn_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
      ("mlp.down_proj", "ffn_down"),
    ] { name = name.replacingOccurrences(of: old, with: new) }
    return name
  }

  /// reshape(heads, 2, columns / 2, -1).swapaxes(1, 2) of queries and keys of Llama.
  private func permuted(_ name: String) throws -> Matrix {
    let stored = try weights.matrix(name)
    let moves = name.contains("q_proj") || name.contains("k_proj")
    guard configuration.architecture == "llama", moves else { return stored }
    let isBias = stored.rows == 1
    let matrix = isBias ? Matrix(stored.elements, rows: stored.columns, columns: 1) : stored
    let result = Matrix(rows: matrix.rows, columns: matrix.columns)
    let half = configuration.headColumns / 2
    for head in 0..<matrix.rows / (2 * half) {
      for second in 0..<2 {
        for pair in 0..<half {
          let (from, to) = (head * 2 * half + second * half + pair, head * 2 * half + 2 * pair + second)
          result.row(to).update(from: matrix.row(from), count: matrix.columns)
        }
      }
    }
    return isBias ? Matrix(result.elements, rows: 1, columns: result.rows) : result
  }

  /// What llama.cpp stores for Llama 3.1: the plain angle over the stretched one.
  private func divisors() -> Matrix {
    guard case .llama3(let factor, let low, let high, let original) = configuration.rotaryScaling else {
      return Matrix(rows: 1, columns: 0)
    }
    let half = configuration.headColumns / 2
    let divisors = (0..<half).map { pair in
      let frequency = 1 / pow(configuration.rotaryBase, Double(2 * pair) / Double(2 * half))
      let length = 2 * Double.pi / frequency
      if length < Double(original) / high { return Float(1) }
      if length > Double(original) / low { return Float(factor) }
      let smooth = (Double(original) / length - low) / (high - low)
      return Float(1 / ((1 - smooth) / factor + smooth))
    }
    return Matrix(divisors, rows: 1, columns: half)
  }
}
