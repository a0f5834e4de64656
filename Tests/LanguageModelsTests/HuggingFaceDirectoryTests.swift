import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// What a model's directory may lack or hold wrongly, and what is said about it.
struct HuggingFaceDirectoryTests {
  /// A copy of the tiny model's directory, with changes.
  private func model(
    configuring changes: [String: Any] = [:], without removed: String? = nil, adding added: [String: String] = [:]
  ) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for name in ["config.json", "model.safetensors", "vocab.txt"] where name != removed {
      try FileManager.default.copyItem(atPath: Golden.path("bert-tiny/" + name), toPath: folder.path + "/" + name)
    }
    if !changes.isEmpty {
      let file = URL(fileURLWithPath: folder.path + "/config.json")
      var fields = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
      fields.merge(changes) { $1 }
      try JSONSerialization.data(withJSONObject: fields).write(to: file)
    }
    for (name, text) in added { try folder.write(name, text) }
    return folder
  }

  private func refusal(_ folder: TemporaryFolder) throws -> GLTAError {
    try #require(throws: GLTAError.self) { try BERTModel(directory: folder.path) }
  }

  @Test func describesAModelThatWorks() throws {
    let folder = try model()
    let description = try HuggingFaceDirectory(path: folder.path).describe()
    #expect(description.isUsable, "\(description.unsupported)")
    #expect(description.hiddenSize == 32)
    #expect(description.layers == 3)
    #expect(description.tokenizerSize == 120)
  }

  @Test func saysWhatIsMissing() throws {
    let nowhere = try #require(throws: GLTAError.self) { try HuggingFaceDirectory(path: "/nowhere") }
    #expect(nowhere.message.contains("/nowhere"))
    #expect(try refusal(model(without: "config.json")).message.contains("config.json"))
    let weights = try refusal(model(without: "model.safetensors"))
    #expect(weights.message.contains("no model.safetensors"))
    let pickled = try refusal(model(without: "model.safetensors", adding: ["pytorch_model.bin": ""]))
    #expect(pickled.code == .unsupported)
    #expect(pickled.hint?.contains("save_pretrained") == true)
    let sharded = try refusal(model(without: "model.safetensors", adding: ["model.safetensors.index.json": "{}"]))
    #expect(sharded.message.contains("several files"))
  }

  @Test func namesAClassThatIsNotSupported() throws {
    let folder = try model(configuring: ["model_type": "gpt_neox"])
    let error = try refusal(folder)
    #expect(error.code == .unsupported)
    #expect(error.message.contains("gpt_neox"))
    #expect(error.message.contains("bert"))
    #expect(error.hint?.contains("glta model fetch minilm") == true)
    #expect(try HuggingFaceDirectory(path: folder.path).describe().isUsable == false)
  }

  @Test(arguments: [
    ("is_decoder", true as any Sendable, "is_decoder"), ("position_embedding_type", "relative_key", "relative_key"),
    ("hidden_act", "relu", "relu"), ("quantization_config", ["quant_method": "awq"], "awq"),
  ])
  func namesASettingThatIsNotSupported(name: String, value: any Sendable, expected: String) throws {
    let error = try refusal(model(configuring: [name: value]))
    #expect(error.code == .unsupported)
    #expect(error.message.contains(expected))
  }

  @Test(arguments: [
    ("hidden_size", 0 as any Sendable), ("hidden_size", 33), ("hidden_size", "many"), ("num_hidden_layers", -1),
    ("num_attention_heads", 5), ("vocab_size", 1 << 40), ("layer_norm_eps", 2), ("intermediate_size", 2.5),
  ])
  func refusesSizesThatMakeNoSense(name: String, value: any Sendable) throws {
    let error = try refusal(model(configuring: [name: value]))
    #expect(error.code == .invalidFile)
    #expect(error.message.contains(name))
  }

  @Test func refusesWeightsOfOtherShapesThanTheConfiguration() throws {
    #expect(try refusal(model(configuring: ["hidden_size": 64])).code == .invalidFile)
    #expect(try refusal(model(configuring: ["num_hidden_layers": 4])).message.contains("layer.3"))
  }

  @Test func refusesAConfigurationThatIsNotJSON() throws {
    #expect(try refusal(model(adding: ["config.json": "{\"model_type\": "])).message.contains("config.json"))
    #expect(try refusal(model(adding: ["config.json": "[]"])).code == .invalidFile)
  }

  @Test func refusesTruncatedWeights() throws {
    let folder = try model()
    let path = folder.path + "/model.safetensors"
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    try whole.prefix(whole.count - 1).write(to: URL(fileURLWithPath: path))
    #expect(try refusal(folder).message.contains("truncated"))
  }
}
