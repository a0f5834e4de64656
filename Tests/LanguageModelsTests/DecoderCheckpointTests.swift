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
