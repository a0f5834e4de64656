import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

@Suite struct DecoderWeightsTests {
  /// A copy of llama-tiny whose weights were changed.
  private func folder(
    _ change: (inout [(name: String, tensor: Tensor)]) -> Void, configuration: [(String, String)] = []
  ) throws -> TemporaryFolder {
    let source = try SafetensorsFile(path: Golden.path("llama-tiny/model.safetensors"))
    var tensors: [(name: String, tensor: Tensor)] = []
    for name in source.names { tensors.append((name, try source.tensor(name))) }
    change(&tensors)
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write(tensors, metadata: [:], to: folder.path + "/model.safetensors")
    var text = try String(contentsOfFile: Golden.path("llama-tiny/config.json"), encoding: .utf8)
    for (old, new) in configuration { text = text.replacingOccurrences(of: old, with: new) }
    try text.write(toFile: folder.path + "/config.json", atomically: true, encoding: .utf8)
    return folder
  }

  private func refusal(_ folder: TemporaryFolder) -> GLTAError? {
    do {
      _ = try DecoderModel(directory: folder.path)
      return nil
    } catch { return error }
  }

  private func hidden(_ directory: String) throws -> [Float] {
    try DecoderPass(model: DecoderModel(directory: directory), pool: .serial).forward(ids: [3, 1, 4, 1, 5]).elements
  }

  @Test func namesWithoutTheHeadsPrefixAreRead() throws {
    let folder = try folder { tensors in
      tensors = tensors.filter { $0.name != "lm_head.weight" }.map {
        ($0.name.replacingOccurrences(of: "model.", with: ""), $0.tensor)
      }
    }
    let model = try DecoderModel(directory: folder.path, parts: .states)
    let states = try DecoderPass(model: model, pool: .serial).forward(ids: [3, 1, 4, 1, 5])
    #expect(states.elements == (try hidden(Golden.path("llama-tiny"))))
    #expect(!model.hasHead)
    #expect(throws: GLTAError.self) { try model.logits(states, pool: .serial) }
  }

  @Test func halfPrecisionIsReadAsItsFloats() throws {
    let folder = try folder { tensors in
      tensors = tensors.map { entry in
        let values = entry.tensor.floats().map { BFloat16($0) }
        return (entry.name, Tensor(values, shape: entry.tensor.shape))
      }
    }
    let rounded = try self.folder { tensors in
      tensors = tensors.map { entry in
        let values = entry.tensor.floats().map { BFloat16($0).float }
        return (entry.name, Tensor(values, shape: entry.tensor.shape))
      }
    }
    #expect(try hidden(folder.path) == hidden(rounded.path))
  }

  @Test func tensorsThatContradictTheConfigurationAreRefused() throws {
    let extra = Tensor(Array(repeating: Float(0), count: 48), shape: [48])
    let missing = try folder { $0.removeAll { $0.name == "model.layers.1.mlp.up_proj.weight" } }
    #expect(refusal(missing)?.message.contains("model.layers.1.mlp.up_proj.weight") == true)
    let headless = try folder { $0.removeAll { $0.name == "lm_head.weight" } }
    #expect(refusal(headless)?.message.contains("lm_head.weight") == true)
    let biased = try folder { $0.append(("model.layers.0.self_attn.q_proj.bias", extra)) }
    #expect(refusal(biased)?.message.contains("attention_bias") == true)
    let normed = try folder { $0.append(("model.layers.0.self_attn.q_norm.weight", extra)) }
    #expect(refusal(normed)?.code == .invalidFile)
    let fewer = try folder({ _ in }, configuration: [("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1")])
    #expect(refusal(fewer)?.message.contains("1 layers") == true)
    let more = try folder({ _ in }, configuration: [("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3")])
    #expect(refusal(more)?.code == .invalidFile)
    let wider = try folder({ _ in }, configuration: [("\"intermediate_size\": 56", "\"intermediate_size\": 57")])
    #expect(refusal(wider)?.code == .invalidFile)
    let quantised = try folder(
      { _ in }, configuration: [("{\n", "{\"quantization_config\": {\"quant_method\": \"awq\"},\n")])
    #expect(refusal(quantised)?.code == .unsupported)
  }

  // MARK: Shards

  /// llama-tiny in two files, with an index that a test may change.
  private func shards(index change: (inout [String: Any]) -> Void = { _ in }) throws -> TemporaryFolder {
    let source = try SafetensorsFile(path: Golden.path("llama-tiny/model.safetensors"))
    let folder = try TemporaryFolder()
    var map: [String: Any] = [:]
    for part in 0..<2 {
      let file = "model-0000\(part + 1)-of-00002.safetensors"
      var tensors: [(name: String, tensor: Tensor)] = []
      for (index, name) in source.names.enumerated() where index % 2 == part {
        tensors.append((name, try source.tensor(name)))
        map[name] = file
      }
      try SafetensorsWriter.write(tensors, metadata: [:], to: folder.path + "/" + file)
    }
    change(&map)
    let json = try JSONSerialization.data(withJSONObject: ["metadata": ["total_size": 1], "weight_map": map])
    try json.write(to: URL(fileURLWithPath: folder.path + "/model.safetensors.index.json"))
    try FileManager.default.copyItem(
      atPath: Golden.path("llama-tiny/config.json"), toPath: folder.path + "/config.json")
    return folder
  }

  @Test func shardsAreOneModel() throws {
    let folder = try shards()
    #expect(try hidden(folder.path) == hidden(Golden.path("llama-tiny")))
  }

  @Test func brokenIndicesAreRefused() throws {
    let name = "model.norm.weight"
    #expect(refusal(try shards { $0[name] = "model-00003-of-00002.safetensors" })?.code == .inputOutput)
    #expect(refusal(try shards { $0[name] = nil })?.message.contains(name) == true)
    #expect(refusal(try shards { $0["another.weight"] = $0[name] })?.message.contains("another.weight") == true)
    #expect(refusal(try shards { $0 = [:] })?.code == .invalidFile)
    for path in ["../model.safetensors", "/etc/passwd", "model.bin", "", "a\0.safetensors", "..\\a.safetensors"] {
      #expect(refusal(try shards { $0[name] = path })?.code == .invalidFile)
    }
    #expect(refusal(try shards { $0[name] = 5 })?.code == .invalidFile)
    let folder = try shards()
    for text in ["", "[]", "{", "{\"weight_map\": []}", "{\"weight_map\": {\"a\": {}}}"] {
      try text.write(toFile: folder.path + "/model.safetensors.index.json", atomically: true, encoding: .utf8)
      #expect(refusal(folder)?.code == .invalidFile)
    }
  }
}
