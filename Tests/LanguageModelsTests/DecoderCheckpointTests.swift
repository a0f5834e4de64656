import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// One model in several files and precisions.
struct DecoderCheckpointTests {
  private static let models = ["llama-tiny", "qwen2-tiny", "qwen3-tiny", "llama3-rope-tiny"]

  /// The last hidden states and a gradient of random embeddings.
  private func run(_ model: DecoderModel, length: Int = 9) throws -> (hidden: [Float], gradient: [Float]) {
    let pass = DecoderPass(model: model, pool: ThreadPool(threads: 2))
    let input = randomMatrix(length, model.hiddenSize, seed: 11)
    let hidden = try pass.forward(inputEmbeddings: input, retention: .activations).elements
    return (hidden, pass.backward(randomMatrix(length, model.hiddenSize, seed: 12)).elements)
  }

  @Test(arguments: models) func aGGUFFileIsTheModelOfItsDirectory(name: String) throws {
    let directory = Golden.path(name)
    let folder = try TemporaryFolder()
    let path = try folder.write("model.gguf", GGUFConversion(directory: directory).data())
    let (original, converted) = (try DecoderModel(path: directory), try DecoderModel(path: path))
    #expect(converted.configuration.tiesEmbeddings == original.configuration.tiesEmbeddings)
    #expect(converted.configuration.headColumns == original.configuration.headColumns)
    let (expected, found) = (try run(original), try run(converted))
    // Divisors of angles are rounded to f32; all else has the same bits.
    if name == "llama3-rope-tiny" {
      #expect(relativeDifference(found.hidden, expected.hidden) < 1e-5)
    } else {
      #expect(found.hidden == expected.hidden && found.gradient == expected.gradient)
    }
    let ids: [Int32] = [0, 3, 1]
    #expect(converted.inputEmbeddings(ids).elements == original.inputEmbeddings(ids).elements)
    let states = randomMatrix(2, original.hiddenSize)
    #expect(
      try converted.logits(states, pool: .serial).elements == original.logits(states, pool: .serial).elements)
  }

  @Test(arguments: zip([Precision.stored, .bf16, .int8], [0, 2e-2, 6e-2] as [Float]))
  func precisionsStayCloseToF32(precision: Precision, bound: Float) throws {
    let exact = try run(DecoderModel(path: Golden.path("llama-tiny"), precision: .f32))
    let model = try DecoderModel(path: Golden.path("llama-tiny"), precision: precision)
    let found = try run(model)
    #expect(relativeDifference(found.hidden, exact.hidden) <= bound)
    #expect(relativeDifference(found.gradient, exact.gradient) <= 2 * bound)
  }

  /// What is stored in two bytes has the bits of its f32, with half the memory.
  @Test(arguments: ["f16", "bf16"]) func halvesHaveTheBitsOfTheirFloats(dtype: String) throws {
    let folder = try TemporaryFolder()
    let source = Golden.path("llama-tiny")
    let file = try SafetensorsFile(path: source + "/model.safetensors")
    let tensors = try file.names.map { (name: String) in
      let tensor = try file.tensor(name)
      let halves =
        dtype == "f16"
        ? Tensor(tensor.floats().map { Float16($0) }, shape: tensor.shape)
        : Tensor(tensor.floats().map { BFloat16($0) }, shape: tensor.shape)
      return (name, halves)
    }
    try SafetensorsWriter.write(tensors, metadata: [:], to: folder.path + "/model.safetensors")
    try folder.write("config.json", Data(contentsOf: URL(fileURLWithPath: source + "/config.json")))
    let (stored, floats) = (
      try run(DecoderModel(path: folder.path)), try run(DecoderModel(path: folder.path, precision: .f32))
    )
    #expect(stored.hidden == floats.hidden && stored.gradient == floats.gradient)
  }

  @Test func namesAnArchitectureThatIsNotSupported() throws {
    let folder = try TemporaryFolder()
    var builder = GGUFBuilder()
    builder.add("general.architecture", "mamba")
    let path = try folder.write("a.gguf", builder.data())
    let error = #expect(throws: GLTAError.self) { try DecoderModel(path: path) }
    #expect(error?.code == .unsupported && error?.message.contains("mamba") == true)
  }

  /// Each thing that a file can lack or say wrongly, and a word of the message.
  @Test func saysWhatAGGUFFileLacks() throws {
    let folder = try TemporaryFolder()
    func expect(_ expected: String, _ change: (inout GGUFBuilder) -> Void) throws {
      var builder = try GGUFConversion(directory: Golden.path("llama-tiny")).builder()
      change(&builder)
      let path = try folder.write("a.gguf", builder.data())
      let error = #expect(throws: GLTAError.self, "\(expected)") { try DecoderModel(path: path) }
      #expect(error?.message.contains(expected) == true, "\(expected): \(error?.message ?? "")")
    }
    func remove(_ key: String) -> (inout GGUFBuilder) -> Void { { $0.pairs.removeAll { $0.key == key } } }
    func drop(_ name: String) -> (inout GGUFBuilder) -> Void {
      { $0.tensors.removeAll { $0.name == Data(name.utf8) } }
    }
    try expect("general.architecture is missing", remove("general.architecture"))
    for key in ["block_count", "embedding_length", "feed_forward_length", "attention.head_count", "context_length"] {
      try expect("llama.\(key) is missing", remove("llama." + key))
    }
    try expect("no matrix token_embd.weight", drop("token_embd.weight"))
    try expect("no tensor blk.0.attn_q.weight", drop("blk.0.attn_q.weight"))
    try expect("no tensor output_norm.weight", drop("output_norm.weight"))
    try expect("expert_count") { $0.add("llama.expert_count", 8 as UInt32) }
    try expect("rope.scaling.type is longrope") { $0.add("llama.rope.scaling.type", "longrope") }
    try expect("of a head turn") { $0.add("llama.rope.dimension_count", 2 as UInt32) }
    try expect("supported are equal ones") { $0.add("llama.attention.value_length", 2 as UInt32) }
    try expect("head_count is 0") {
      $0.pairs.removeAll { $0.key == "llama.attention.head_count" }
      $0.add("llama.attention.head_count", 0 as UInt32)
    }
  }
}

/// A Hugging Face directory of floats as llama.cpp's converter writes it.
private struct GGUFConversion {
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
