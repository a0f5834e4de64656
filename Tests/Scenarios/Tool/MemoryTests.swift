import Foundation
import Tensors
import TestSupport
import Testing

/// What is planned before a command starts bounds what its process has held at its end.
struct MemoryTests {
  private static let tiny = TestPaths.root + "/Tests/Golden/llama-tiny"

  /// A decoder of random weights: llama-tiny's tokenizer, and columns enough for memory to be measured.
  private func medium(_ folder: TemporaryFolder) throws -> String {
    let (hidden, inner, layers) = (192, 768, 6)
    var tensors = [
      ("model.embed_tokens.weight", [96, hidden]), ("model.norm.weight", [hidden]), ("lm_head.weight", [96, hidden]),
    ]
    for layer in 0..<layers {
      let shapes = [
        "input_layernorm": [hidden], "self_attn.q_proj": [hidden, hidden], "self_attn.k_proj": [hidden / 3, hidden],
        "self_attn.v_proj": [hidden / 3, hidden], "self_attn.o_proj": [hidden, hidden],
        "post_attention_layernorm": [hidden], "mlp.gate_proj": [inner, hidden], "mlp.up_proj": [inner, hidden],
        "mlp.down_proj": [hidden, inner],
      ]
      tensors += shapes.sorted { $0.key < $1.key }.map { ("model.layers.\(layer).\($0.key).weight", $0.value) }
    }
    let path = folder.path + "/medium"
    for name in ["tokenizer.json", "tokenizer_config.json"] {
      try folder.write("medium/" + name, Data(contentsOf: URL(fileURLWithPath: Self.tiny + "/" + name)))
    }
    try SafetensorsWriter.write(
      tensors.enumerated().map { index, entry in
        let draws = randomMatrix(1, entry.1.reduce(1, *), seed: UInt64(index))
        return (entry.0, Tensor(draws.elements.map { entry.1.count == 1 ? 1 : $0 * 0.05 }, shape: entry.1))
      }, metadata: [:], to: path + "/model.safetensors")
    var config = try String(contentsOfFile: Self.tiny + "/config.json", encoding: .utf8)
    for (old, new) in [
      ("\"head_dim\": 8", "\"head_dim\": 32"), ("\"hidden_size\": 48", "\"hidden_size\": \(hidden)"),
      ("\"intermediate_size\": 56", "\"intermediate_size\": \(inner)"),
      ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": \(layers)"),
    ] { config = config.replacingOccurrences(of: old, with: new) }
    try folder.write("medium/config.json", config)
    return path
  }

  private func peak(_ output: Tool.Output) throws -> Int {
    try #require((output.json["peakMemoryMiB"] as? NSNumber)?.intValue)
  }

  /// The largest plan that was printed, in MiB.
  private func planned(_ output: Tool.Output) throws -> Int {
    let totals = output.error.split(separator: "\n").filter { $0.contains("of 16 prompts") }.compactMap { line in
      line.firstMatch(of: #/memory plan: (\d+) MiB/#).flatMap { Int($0.1) }
    }
    return try #require(totals.max(), "\(output.error)")
  }

  private func train(_ model: String, _ folder: TemporaryFolder, _ more: [String] = []) throws -> Tool.Output {
    let config = try folder.write(
      "config.json", #"{"graph": {"epochs": 1}, "alignment": {"itemEpochs": 1, "userEpochs": 1}}"#)
    return try Tool.succeed(
      [
        "train", "--data", SmallWorld.get().data, "--language-model", model, "--out", folder.path + "/out", "--config",
        config, "--recipe", "paper", "--json",
      ] + more)
  }

  @Test func trainingKeepsWithinItsPlan() throws {
    let folder = try TemporaryFolder()
    let model = try medium(folder)
    // What the program takes with a model of next to nothing.
    let program = try peak(train(Self.tiny, folder))
    let kept = try train(model, folder)
    #expect(kept.error.contains("activations are kept for the way back"))
    let recomputed = try train(model, folder, ["--activation-memory", "1"])
    #expect(recomputed.error.contains("compute them again on the way back"))
    for output in [kept, recomputed] {
      let (held, plan) = (try peak(output) - program, try planned(output))
      #expect(held <= plan && plan <= 4 * held, "planned \(plan) MiB, held \(held) MiB beside \(program) MiB")
    }
    #expect(try planned(recomputed) < planned(kept) && peak(recomputed) < peak(kept))
    #expect(recomputed.json["weights"] as? NSDictionary == kept.json["weights"] as? NSDictionary)
  }

  @Test func generationKeepsWithinItsPlan() throws {
    let folder = try TemporaryFolder()
    func generate(_ model: String) throws -> Tool.Output {
      try Tool.succeed([
        "model", "generate", "--language-model", model, "--prompt", "the war", "--max-tokens", "200", "--json",
      ])
    }
    let (program, output) = (try generate(Self.tiny), try generate(medium(folder)))
    let plan = try #require((output.json["memoryPlan"] as? [String: Any])?["total"] as? NSNumber).intValue
    let held = try peak(output) - peak(program)
    #expect(held << 20 <= plan + (2 << 20), "planned \(plan), held \(held) MiB")
    #expect((output.json["tokens"] as? NSNumber)?.intValue == 200)
  }
}
