import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// What `glta model inspect` says of decoders, in each format that they come in.
struct ModelDescriptionTests {
  private static let tiny = Golden.path("llama-tiny")
  private static let chatML = "{{ '<|im_start|>' + message['content'] + '<|im_end|>' }}"

  /// llama-tiny as a GGUF file, with a tokenizer of bytes.
  private func gguf(tokens count: Int = 96, template: String? = nil) throws -> GGUFBuilder {
    var builder = try GGUFConversion(directory: Self.tiny).builder()
    builder.add("general.name", "A tiny llama")
    builder.add("tokenizer.ggml.model", "gpt2")
    let tokens = (0..<count).map { GGUFBuilder.text(String(UnicodeScalar(UInt8(33 + $0)))) }
    builder.add("tokenizer.ggml.tokens", list: 8, count: count, tokens.reduce(Data(), +))
    builder.add("tokenizer.ggml.merges", list: 8, count: 0, Data())
    if let template { builder.add("tokenizer.chat_template", template) }
    return builder
  }

  private func describe(_ builder: GGUFBuilder, in folder: TemporaryFolder) throws -> ModelDescription {
    try ModelDescription(path: folder.write("a.gguf", builder.data()))
  }

  private func expectShapeOfTiny(_ description: ModelDescription) {
    #expect(description.architecture == "llama" && description.activation == "silu")
    #expect(description.layers == 2 && description.hiddenSize == 48 && description.intermediateSize == 56)
    #expect(description.heads == 6 && description.keyHeads == 2)
    #expect(description.maximumPositions == 256 && description.vocabularySize == 96)
  }

  @Test func describesADirectoryOfSafetensors() throws {
    let description = try ModelDescription(path: Self.tiny)
    expectShapeOfTiny(description)
    #expect(description.isUsable, "\(description.unsupported)")
    #expect(description.format == "safetensors" && description.modelClass == "LlamaForCausalLM")
    #expect(description.dtypes.keys.sorted() == ["F32"] && description.parameters == description.dtypes["F32"])
    #expect(description.tokenizerSize.map { $0 <= 96 } == true && description.chat == nil)
    #expect(description.text.contains("heads 6 (2 of keys and values)"))
    #expect(description.text.contains("usable        yes"))
  }

  @Test func describesAGGUFFile() throws {
    let folder = try TemporaryFolder()
    let description = try describe(gguf(template: Self.chatML), in: folder)
    expectShapeOfTiny(description)
    #expect(description.isUsable, "\(description.unsupported)")
    #expect(description.format == "GGUF" && description.modelClass == "A tiny llama")
    #expect(try description.parameters == ModelDescription(path: Self.tiny).parameters)
    #expect(description.tokenizerSize == 96 && description.chat == "chatML")
    #expect(try describe(gguf(template: "{{ messages }}"), in: folder).chat == "unknown")
  }

  @Test func describesADirectoryOfGPTQ() throws {
    let folder = try TemporaryFolder()
    let source = try SafetensorsFile(path: Self.tiny + "/model.safetensors")
    var tensors: [(name: String, tensor: Tensor)] = []
    for name in source.names {
      let shape = try source.tensor(name).shape
      guard name.contains("_proj.weight") else {
        tensors.append((name, try source.tensor(name)))
        continue
      }
      // Groups of eight inputs, all of whose numbers are the same.
      let (out, inputs, layer) = (shape[0], shape[1], name.dropLast(6))
      tensors += [
        (
          layer + "qweight", Tensor([Int32](repeating: 0x1111_1111, count: inputs / 8 * out), shape: [inputs / 8, out])
        ),
        (layer + "qzeros", Tensor([Int32](repeating: 0, count: inputs / 8 * out / 8), shape: [inputs / 8, out / 8])),
        (layer + "scales", Tensor([Float](repeating: 0.5, count: inputs / 8 * out), shape: [inputs / 8, out])),
      ]
    }
    try SafetensorsWriter.write(tensors, metadata: [:], to: folder.path + "/model.safetensors")
    let settings = #"{"bits": 4, "group_size": 8, "quant_method": "gptq"}"#
    let config = try String(contentsOfFile: Self.tiny + "/config.json", encoding: .utf8)
    try folder.write(
      "config.json",
      config.replacingOccurrences(of: "\"use_cache\"", with: "\"quantization_config\": \(settings), \"use_cache\""))
    for name in ["tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.copyItem(atPath: Self.tiny + "/" + name, toPath: folder.path + "/" + name)
    }
    let description = try ModelDescription(path: folder.path)
    expectShapeOfTiny(description)
    #expect(description.isUsable, "\(description.unsupported)")
    #expect(description.format == "safetensors, gptq" && description.parameters == nil)
    #expect(description.dtypes["I32"] != nil && description.text.contains("parameters    unknown"))
  }

  @Test func listsWhatContradicts() throws {
    let folder = try TemporaryFolder()
    // A tokenizer of more tokens than the embedding has rows.
    let builder = try gguf()
    var small = builder
    small.tensors[try #require(builder.tensors.firstIndex { $0.name == Data("token_embd.weight".utf8) })].extents[1] =
      90
    let fewer = try describe(small, in: folder)
    #expect(!fewer.isUsable && fewer.text.contains("usable        no"))
    #expect(fewer.unsupported.contains { $0.contains("96") && $0.contains("90") }, "\(fewer.unsupported)")
    // A layer less than the metadata has, and no tokenizer.
    var without = builder
    without.tensors.removeAll { $0.name.starts(with: Data("blk.1.".utf8)) }
    #expect(try describe(without, in: folder).unsupported.contains { $0.contains("blk.1.") })
    without = builder
    without.pairs.removeAll { $0.key.hasPrefix("tokenizer.") }
    #expect(try describe(without, in: folder).unsupported.contains { $0.contains("tokenizer.ggml.model") })
  }

  /// A vocabulary that reaches beyond the embedding, in both formats: whoever loads the model is told.
  @Test func refusesATokenizerBeyondTheEmbedding() throws {
    let folder = try TemporaryFolder()
    for name in ["config.json", "model.safetensors", "tokenizer_config.json"] {
      try FileManager.default.copyItem(atPath: Self.tiny + "/" + name, toPath: folder.path + "/" + name)
    }
    try FileManager.default.copyItem(
      atPath: Golden.path("bpe/smollm2/tokenizer.json"), toPath: folder.path + "/tokenizer.json")
    #expect(try ModelDescription(path: folder.path).unsupported.contains { $0.contains("the model 96") })
  }
}
