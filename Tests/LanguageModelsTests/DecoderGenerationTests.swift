import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

private func bits(_ matrix: Matrix) -> [UInt32] { matrix.elements.map(\.bitPattern) }

@Suite struct DecoderGenerationTests {
  static let models = ["llama-tiny", "qwen2-tiny", "qwen3-tiny", "llama3-rope-tiny", "yarn-tiny", "dynamic-tiny"]

  private func generator(_ name: String, threads: Int = 2) throws -> DecoderGenerator {
    DecoderGenerator(model: try DecoderModel(directory: Golden.path(name)), pool: ThreadPool(threads: threads))
  }

  private func prompts(_ name: String) throws -> (ids: [[Int32]], greedy: [[Int32]]) {
    let file = try SafetensorsFile(path: Golden.path(name + "/golden.safetensors"))
    // The longest of dynamic-tiny is beyond what a cache takes.
    let indices = (0..<8).filter { file.contains("\($0).ids") && !(name == "dynamic-tiny" && $0 == 2) }
    return (
      try indices.map { try file.indices("\($0).ids") }, try indices.map { try file.indices("\($0).greedy") }
    )
  }

  @Test(arguments: models) func greedyContinuationsAgreeWithTransformers(name: String) throws {
    let (ids, greedy) = try prompts(name)
    let generator = try generator(name)
    for (prompt, expected) in zip(ids, greedy) {
      let found = try generator.generate([prompt], options: GenerationOptions(maximumTokens: expected.count))
      #expect(found == [Continuation(tokens: expected, ending: .length)])
    }
  }

  @Test(arguments: models) func promptsInABatchHaveTheirOwnContinuations(name: String) throws {
    let (ids, greedy) = try prompts(name)
    for threads in [1, 2, 3] {
      let found = try generator(name, threads: threads).generate(ids, options: GenerationOptions(maximumTokens: 8))
      for (continuation, expected) in zip(found, greedy) {
        #expect(continuation.tokens.starts(with: expected.prefix(8)))
      }
      #expect(found.count == ids.count)
    }
  }

  /// The states of a sequence, computed whole, by steps, and by steps among others.
  @Test(arguments: models) func stepsHaveTheBitsOfTheWhole(name: String) throws {
    let model = try DecoderModel(directory: Golden.path(name))
    // Beyond one block of keys where the model has the positions.
    let length = name == "dynamic-tiny" ? 60 : 140
    let embeds = randomMatrix(length, model.hiddenSize, seed: 3)
    let others = randomMatrix(length, model.hiddenSize, seed: 4)
    let pool = ThreadPool(threads: 2)
    let pass = DecoderPass(model: model, pool: pool)
    let whole = try pass.forward(inputEmbeddings: embeds).copy()
    let prefix = KVCache(model: model)
    let count = length - 24
    _ = try pass.forward(inputEmbeddings: embeds.slice(0..<count), extending: prefix)
    let (alone, among) = (prefix.fork(), prefix.fork(capacity: length))
    let stranger = KVCache(model: model)
    let step = DecoderStep(model: model, pool: pool)
    let pair = Matrix(rows: 2, columns: model.hiddenSize)
    for row in count..<length {
      let single = try step.forward(inputEmbeddings: embeds.slice(row..<row + 1), caches: [alone])
      #expect(bits(single) == bits(whole.slice(row..<row + 1)))
      pair.row(0).update(from: others.row(row), count: model.hiddenSize)
      pair.row(1).update(from: embeds.row(row), count: model.hiddenSize)
      let both = try step.forward(inputEmbeddings: pair, caches: [stranger, among])
      #expect(bits(both.slice(1..<2)) == bits(whole.slice(row..<row + 1)))
    }
    #expect(prefix.count == count && alone.count == length && stranger.count == 24)
  }

  @Test func aSharedPrefixIsComputedOnceAndChangesNothing() throws {
    let (ids, greedy) = try prompts("llama-tiny")
    let generator = try generator("llama-tiny")
    let (prompt, expected) = (ids[2], greedy[2])
    let prefix = try generator.prefill(Array(prompt[..<20]))
    let options = GenerationOptions(maximumTokens: expected.count)
    let found = try generator.generate([Array(prompt[20...]), Array(prompt[20...])], after: prefix, options: options)
    #expect(found.map(\.tokens) == [expected, expected])
    #expect(prefix.count == 20)
    let again = try generator.generate([Array(prompt[20...])], after: prefix, options: options)
    #expect(again[0].tokens == expected)
  }

  @Test func endsAtStopTokensAtLimitsAndWhenNobodyListens() throws {
    let (ids, greedy) = try prompts("llama-tiny")
    let generator = try generator("llama-tiny")
    let (prompt, expected) = (ids[1], greedy[1])
    let stop = expected[5]
    let first = expected.firstIndex(of: stop) ?? 5
    let stopped = try generator.generate([prompt], options: GenerationOptions(maximumTokens: 20, stopTokens: [stop]))
    #expect(stopped == [Continuation(tokens: Array(expected[..<first]), ending: .stopToken)])
    var seen: [Int32] = []
    let left = try generator.generate([prompt], options: GenerationOptions(maximumTokens: 20)) { _, token in
      seen.append(token)
      return seen.count < 3 ? .choose : .end
    }
    #expect(left == [Continuation(tokens: Array(expected[..<3]), ending: .stopped)])
    #expect(seen == Array(expected[..<3]))
    let none = try generator.generate([prompt], options: GenerationOptions(maximumTokens: 0))
    #expect(none == [Continuation(tokens: [], ending: .length)])
    let full = try generator.generate([prompt], options: GenerationOptions(maximumTokens: 1000))
    #expect(full[0].ending == .positions)
    // The last token stands at the last position, and the one after it is still known.
    #expect(full[0].tokens.count == 256 - prompt.count + 1)
  }

  /// What is said stands in the text as if the model had chosen it: it goes on as after a prompt that ends so.
  @Test func goesOnAfterWhatItIsMadeToSay() throws {
    let (ids, greedy) = try prompts("llama-tiny")
    let generator = try generator("llama-tiny")
    let (prompt, said) = (ids[1], [7, 20, 3] as [Int32])
    let expected = try generator.generate(
      [prompt + greedy[1].prefix(2) + said], options: GenerationOptions(maximumTokens: 5))[0].tokens
    var count = 0
    let found = try generator.generate([prompt], options: GenerationOptions(maximumTokens: 10)) { _, _ in
      count += 1
      return count == 2 ? .say(said) : count == 3 ? .say([1]) : .choose
    }
    #expect(found[0].tokens == Array(greedy[1].prefix(2)) + said + expected)
  }

  @Test func refusesWhatCannotBeContinued() throws {
    let generator = try generator("llama-tiny")
    let options = GenerationOptions(maximumTokens: 3)
    #expect(throws: GLTAError.self) { try generator.generate([[]], options: options) }
    #expect(throws: GLTAError.self) { try generator.generate([Array(repeating: 5, count: 257)], options: options) }
    for sampling in [
      SamplingOptions(temperature: -1), SamplingOptions(temperature: .nan), SamplingOptions(temperature: 1, topK: 0),
      SamplingOptions(temperature: 1, topP: 0),
    ] {
      #expect(throws: GLTAError.self) {
        try generator.generate([[1]], options: GenerationOptions(maximumTokens: 3, sampling: sampling))
      }
    }
    let states = try DecoderModel(directory: Golden.path("llama-tiny"), parts: .states)
    #expect(throws: GLTAError.self) {
      try DecoderGenerator(model: states, pool: .serial).generate([[1]], options: options)
    }
    #expect(try generator.generate([[Int32]](), options: options).isEmpty)
  }
}

@Suite struct SamplingTests {
  private static let prompts: [[Int32]] = Array(repeating: [1, 20, 7], count: 400)

  /// The first tokens that many sequences draw.
  private func draws(_ sampling: SamplingOptions) throws -> [Int32] {
    let model = try DecoderModel(directory: Golden.path("llama-tiny"))
    let generator = DecoderGenerator(model: model, pool: ThreadPool(threads: 2))
    return try generator.generate(
      SamplingTests.prompts, options: GenerationOptions(maximumTokens: 1, sampling: sampling)
    ).map { $0.tokens[0] }
  }

  private func probabilities(temperature: Float) throws -> [(token: Int32, probability: Double)] {
    let model = try DecoderModel(directory: Golden.path("llama-tiny"))
    let states = try DecoderPass(model: model, pool: .serial).forward(ids: SamplingTests.prompts[0], wanted: [2])
    let logits = try model.logits(states, pool: .serial).elements.map { Double($0 / temperature) }
    let total = logits.reduce(0) { $0 + exp($1) }
    return logits.enumerated().map { (Int32($0), exp($1) / total) }.sorted { $0.1 > $1.1 }
  }

  @Test func drawsFollowTheProbabilities() throws {
    let expected = try probabilities(temperature: 2)
    let found = try draws(SamplingOptions(temperature: 2, seed: 5))
    for (token, probability) in expected.prefix(6) {
      let share = Double(found.count { $0 == token }) / 400
      // Four standard deviations of 400 draws.
      #expect(abs(share - probability) < 4 * (probability * (1 - probability) / 400).squareRoot())
    }
  }

  @Test func onlyTheBestAreDrawn() throws {
    let order = try probabilities(temperature: 3)
    let best = Set(try draws(SamplingOptions(temperature: 3, topK: 4, seed: 1)))
    #expect(best == Set(order.prefix(4).map(\.token)))
    var sum = 0.0
    var kept: [Int32] = []
    for entry in order where sum < 0.5 {
      kept.append(entry.token)
      sum += entry.probability
    }
    #expect(Set(try draws(SamplingOptions(temperature: 3, topP: 0.5, seed: 2))).isSubset(of: Set(kept)))
    #expect(Set(try draws(SamplingOptions(temperature: 3, topK: 1, seed: 3))) == [order[0].token])
    // Of the best four, those that hold half of their mass.
    let half = order.prefix(4).reduce(0) { $0 + $1.probability } / 2
    var (part, few): (Double, [Int32]) = (0, [])
    for entry in order.prefix(4) where part < half {
      few.append(entry.token)
      part += entry.probability
    }
    #expect(Set(try draws(SamplingOptions(temperature: 3, topK: 4, topP: 0.5, seed: 4))) == Set(few))
  }

  @Test func drawsAreAFunctionOfTheSeed() throws {
    let one = try draws(SamplingOptions(temperature: 2, topP: 0.9, seed: 5))
    #expect(try draws(SamplingOptions(temperature: 2, topP: 0.9, seed: 5)) == one)
    #expect(try draws(SamplingOptions(temperature: 2, topP: 0.9, seed: 6)) != one)
  }
}

@Suite(.enabled(if: Golden.hasStories, "../shared/models/stories260K is not on this machine"))
struct StoriesTests {
  /// What transformers 5.24 generates from <s>: the 553 characters of the sample in karpathy/llama2.c,
  /// doc/stories260K.md.
  private static let story: [Int32] = [
    403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267, 337, 410, 408,
    419, 292, 411, 322, 265, 282, 295, 433, 426, 385, 328, 432, 358, 394, 261, 370, 432, 352, 266, 268, 388, 426,
    338, 391, 266, 267, 337, 335, 312, 432, 398, 312, 286, 267, 414, 270, 333, 415, 426, 13, 438, 310, 439, 419,
    357, 336, 432, 313, 438, 310, 432, 278, 316, 439, 419, 298, 414, 267, 265, 282, 295, 433, 426, 436, 317, 286,
    296, 418, 269, 279, 292, 416, 439, 413, 409, 416, 327, 263, 415, 294, 267, 400, 426, 338, 336, 432, 313, 442,
    391, 267, 337, 335, 364, 420, 268, 388, 432, 398, 359, 280, 303, 439, 413, 272, 417, 264, 312, 426, 436, 13,
    438, 310, 286, 296, 418, 269, 279, 292, 416, 439, 413, 409, 416, 327, 263, 415, 294, 267, 400, 426, 338, 336,
    432, 313, 442, 439, 423, 262, 304, 420, 422, 432, 317, 426, 359, 279, 292, 416, 439, 413, 409, 416, 327, 263,
    415, 294, 267, 400, 426, 436, 13, 438, 310, 279, 292, 416, 439, 413, 391, 267, 281, 421, 427, 311, 357, 432,
    384, 358, 336, 432, 313, 442, 439, 423, 262, 304, 420, 422, 432, 357, 426, 359, 279, 292, 416, 439, 413, 409,
    416, 327, 263, 415, 294, 267, 400, 426, 436, 320, 285, 357, 336, 432, 313, 455, 289, 439, 413, 263, 304, 420,
    422, 432, 317, 426, 410, 448, 411, 280,
  ]

  @Test func logitsAreThoseOfItsReadme() throws {
    let model = try DecoderModel(directory: Golden.stories)
    let states = try DecoderPass(model: model, pool: .serial).forward(ids: [1, 403, 407, 261, 378], wanted: [4])
    let logits = try model.logits(states, pool: .serial)
    let best = logits.elements.enumerated().sorted { $0.1 > $1.1 }.prefix(5)
    #expect(best.map(\.offset) == [432, 383, 322, 353, 323])
    for (found, expected) in zip(best, [17.7994, 14.2813, 9.7097, 9.5873, 9.1342] as [Float]) {
      #expect(abs(found.element - expected) < 2e-4)
    }
  }

  @Test func theGreedyStoryIsThatOfItsReadme() throws {
    let generator = DecoderGenerator(model: try DecoderModel(directory: Golden.stories), pool: ThreadPool(threads: 2))
    let story = try generator.generate([[1]], options: GenerationOptions(maximumTokens: 250))[0].tokens
    #expect(story == StoriesTests.story)
    // Step by step and all at once are one model.
    let model = try DecoderModel(directory: Golden.stories)
    let states = try DecoderPass(model: model, pool: .serial).forward(ids: [1] + story.dropLast())
    let logits = try model.logits(states, pool: .serial)
    for (row, token) in story.enumerated() {
      let values = UnsafeBufferPointer(start: logits.row(row), count: logits.columns)
      #expect(values.indices.max { values[$0] < values[$1] } == Int(token))
    }
  }
}
