import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

@Suite struct DecoderConfigurationTests {
  private static let llama = [
    "model_type": "\"llama\"", "vocab_size": "96", "hidden_size": "32", "num_hidden_layers": "2",
    "num_attention_heads": "4", "intermediate_size": "40", "max_position_embeddings": "64", "hidden_act": "\"silu\"",
  ]
  private static let mistral = ["model_type": "\"mistral\"", "num_key_value_heads": "2"]
  private static let qwen2 = ["model_type": "\"qwen2\"", "num_key_value_heads": "2"]

  /// Reads Llama's configuration with some fields, in JSON, replaced; an empty text takes one out.
  private func read(_ changes: [String: String]) throws(GLTAError) -> DecoderConfiguration {
    let fields = DecoderConfigurationTests.llama.merging(changes) { $1 }.filter { !$0.value.isEmpty }
    let text = "{" + fields.map { "\"\($0)\": \($1)" }.joined(separator: ",\n") + "}"
    let folder: TemporaryFolder
    let path: String
    do {
      folder = try TemporaryFolder()
      path = try folder.write("config.json", text)
    } catch { throw GLTAError(.inputOutput, "\(error)") }
    defer { withExtendedLifetime(folder) {} }
    return try DecoderConfiguration(path: path)
  }

  private func refusal(_ changes: [String: String]) -> GLTAError? {
    do {
      _ = try read(changes)
      return nil
    } catch { return error }
  }

  @Test func missingFieldsHaveTheDefaultsOfTheirClass() throws {
    let llama = try read([:])
    #expect(llama.keyHeadCount == 4 && llama.headColumns == 8 && llama.rotaryBase == 10_000)
    #expect(llama.normEpsilon == 1e-6 && llama.rotaryScaling == .none && !llama.tiesEmbeddings)
    #expect(llama.slidingWindow == nil && !llama.hasQueryKeyValueBias && llama.maximumLength == 64)
    let mistral = try read(Self.mistral)
    #expect(mistral.slidingWindow == 4096 && mistral.keyHeadCount == 2)
    #expect(try read(Self.mistral.merging(["sliding_window": "null"]) { $1 }).slidingWindow == nil)
    let qwen2 = try read(Self.qwen2.merging(["sliding_window": "8"]) { $1 })
    #expect(qwen2.hasQueryKeyValueBias && !qwen2.hasAttentionOutputBias && qwen2.slidingWindow == nil)
    let qwen3 = try read(["model_type": "\"qwen3\"", "num_key_value_heads": "2"])
    #expect(qwen3.hasQueryKeyNorms && qwen3.headColumns == 128 && !qwen3.hasQueryKeyValueBias)
    let biased = try read(["attention_bias": "true", "mlp_bias": "true"])
    #expect(biased.hasQueryKeyValueBias && biased.hasAttentionOutputBias && biased.hasFeedForwardBias)
  }

  @Test func rotarySettingsOfBothVersionsAreRead() throws {
    let llama3 = """
      "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32
      """
    let expected = RotaryScaling.llama3(factor: 8, lowFrequency: 1, highFrequency: 4, originalPositions: 32)
    let old = try read(["rope_theta": "5e5", "rope_scaling": "{\"rope_type\": \"llama3\", \(llama3)}"])
    #expect(old.rotaryScaling == expected && old.rotaryBase == 5e5)
    let new = try read(["rope_parameters": "{\"rope_theta\": 500000, \"rope_type\": \"llama3\", \(llama3)}"])
    #expect(new.rotaryScaling == expected && new.rotaryBase == 5e5)
    let linear = try read(["rope_scaling": "{\"type\": \"linear\", \"factor\": 2}"])
    #expect(linear.rotaryScaling == .linear(factor: 2))
    let dynamic = try read(["rope_scaling": "{\"type\": \"dynamic\", \"factor\": 4.0}"])
    #expect(dynamic.rotaryScaling == .dynamic(factor: 4) && dynamic.maximumLength == 256)
    let yarn = try read([
      "rope_scaling": "{\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 64}"
    ])
    #expect(yarn.rotaryScaling == .yarn(RotaryScaling.YaRN(factor: 4, originalPositions: 64)))
    #expect(yarn.maximumLength == 256)
  }

  @Test func windowsStartWhereTheLayersSay() throws {
    let qwen = Self.qwen2.merging(["use_sliding_window": "true", "sliding_window": "8"]) { $1 }
    func with(_ field: String, _ value: String) -> [String: String] { qwen.merging([field: value]) { $1 } }
    #expect(try read(with("max_window_layers", "1")).firstWindowedLayer == 1)
    let typed = try read(with("layer_types", "[\"full_attention\", \"sliding_attention\"]"))
    #expect(typed.firstWindowedLayer == 1 && typed.slidingWindow == 8)
    let mixed = refusal(with("layer_types", "[\"sliding_attention\", \"full_attention\"]"))
    #expect(mixed?.code == .unsupported)
    #expect(refusal(with("layer_types", "[\"full_attention\"]"))?.code == .invalidFile)
  }

  @Test(arguments: [
    ("model_type", "\"gpt2\""), ("model_type", ""), ("hidden_act", "\"gelu\""), ("partial_rotary_factor", "0.5"),
    ("sliding_window", "16"), ("rope_scaling", "{\"type\": \"longrope\"}"), ("num_local_experts", "8"),
    ("rope_parameters", "{\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5}"),
  ])
  func refusesWhatIsNotSupportedByItsName(field: String, value: String) {
    let error = refusal([field: value])
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("config.json") == true)
  }

  @Test(arguments: [
    ("vocab_size", ""), ("vocab_size", "0"), ("vocab_size", "1000000000000"), ("hidden_size", "-1"),
    ("hidden_size", "\"64\""), ("hidden_size", "30"), ("num_hidden_layers", "1.5"), ("num_key_value_heads", "3"),
    ("num_key_value_heads", "0"), ("head_dim", "7"), ("head_dim", "8192"), ("rms_norm_eps", "2"),
    ("rms_norm_eps", "\"small\""), ("rope_theta", "0"), ("rope_theta", "-5"), ("tie_word_embeddings", "\"yes\""),
    ("rope_scaling", "\"linear\""), ("rope_scaling", "{\"type\": \"linear\"}"),
    ("rope_scaling", "{\"type\": \"linear\", \"factor\": 0.5}"),
    ("rope_scaling", "{\"type\": \"dynamic\", \"factor\": 1e30}"),
    ("rope_scaling", "{\"type\": \"yarn\", \"factor\": 2, \"original_max_position_embeddings\": 0}"),
    ("rope_scaling", "{\"type\": \"yarn\", \"original_max_position_embeddings\": 0}"),
    ("rope_scaling", "{\"type\": \"yarn\", \"factor\": 2, \"beta_fast\": 1, \"beta_slow\": 2}"),
    (
      "rope_scaling",
      "{\"type\": \"llama3\", \"factor\": 2, \"low_freq_factor\": 4, \"high_freq_factor\": 1}"
    ),
    ("rope_scaling", "{\"type\": \"llama3\", \"factor\": 2}"), ("rope_parameters", "{\"rope_theta\": \"much\"}"),
    ("rope_parameters", "{\"rope_theta\": 0}"), ("model_type", "3"),
  ])
  func refusesWhatMakesNoSense(field: String, value: String) {
    #expect(refusal([field: value])?.code == .invalidFile)
  }
}
