import LanguageModels
import Tensors
import TestSupport
import Testing

/// What is planned is what is held at the most.
struct PassMemoryTests {
  private static let models = ["bert-tiny", "llama-tiny", "qwen3-tiny"]
  private static let retentions: [Retention] = [.nothing, .layerInputs, .activations]

  @Test(arguments: models, retentions) func aPassHoldsWhatIsPlanned(name: String, retention: Retention) throws {
    let model = try PretrainedModel.load(Golden.path(name))
    for lengths in [[5], [48, 7], [7, 48], [40, 41, 42, 60]] {
      let pass = model.makePass(pool: .serial)
      for length in lengths {
        let input = randomMatrix(length, model.hiddenSize)
        let states = try pass.forward(inputEmbeddings: input, wanted: [length - 1], retention: retention)
        if retention != .nothing { _ = pass.backward(states) }
      }
      let planned = model.passBytes(length: lengths.max() ?? 0, retention: retention)
      #expect(pass.byteCount <= planned && planned <= 2 * pass.byteCount + 4096, "\(lengths)")
    }
  }

  @Test(arguments: models) func keepingInputsAloneTakesLess(name: String) throws {
    let model = try PretrainedModel.load(Golden.path(name))
    let bytes = Self.retentions.map { model.passBytes(length: 60, retention: $0) }
    #expect(bytes[0] < bytes[1] && bytes[1] < bytes[2])
  }

  @Test func weightsTakeWhatTheirPrecisionSays() throws {
    let bytes = try [Precision.f32, .bf16, .int8].map {
      try PretrainedModel.load(Golden.path("llama-tiny"), precision: $0).weightBytes(forBackward: false)
    }
    #expect(bytes[0] > bytes[1] && bytes[1] > bytes[2])
    let model = try PretrainedModel.load(Golden.path("llama-tiny"))
    #expect(model.weightBytes(forBackward: true) > model.weightBytes(forBackward: false))
  }

  @Test func cachesTakeWhatIsPlanned() throws {
    let model = try DecoderModel(directory: Golden.path("llama-tiny"))
    let plan = DecoderGenerator(model: model, pool: .serial).memoryPlan(prompts: 3, length: 40, maximumTokens: 100)
    let caches = try #require(plan.parts.first { $0.name.hasPrefix("keys and values") }?.bytes)
    let cache = KVCache(model: model, capacity: 140)
    #expect(caches >= 3 * cache.byteCount && caches <= 4 * cache.byteCount)
    #expect(plan.total == plan.parts.reduce(0) { $0 + $1.bytes })
  }
}
