public import Tensors

/// How fast a decoder reads a prompt and goes on with it.
public struct GenerationBenchmark: Sendable, Codable {
  /// Threads that the model had.
  public var threads: Int
  /// Tokens of the prompt.
  public var promptTokens: Int
  /// Tokens that were generated one after another behind the first.
  public var generatedTokens: Int
  /// Tokens of the prompt a second, the logits of the last one and the choice of the first new token included.
  public var prefill: Double
  /// Tokens a second that follow one another, the best each time.
  public var decode: Double

  enum CodingKeys: String, CodingKey {
    case threads
    case promptTokens = "prompt_tokens"
    case generatedTokens = "generated_tokens"
    case prefill = "prefill_tokens_per_second"
    case decode = "decode_tokens_per_second"
  }

  /// Measures one sequence, the best of several repetitions after one that does not count.
  ///
  /// - Throws: `GLTAError.invalidArgument` where the model has no head, or fewer positions than both numbers together.
  public static func run(
    model: DecoderModel, promptTokens: Int = 512, generatedTokens: Int = 64, repetitions: Int = 3, pool: ThreadPool
  ) throws(GLTAError) -> GenerationBenchmark {
    guard promptTokens > 0, generatedTokens > 0, promptTokens + generatedTokens <= model.cacheLimit else {
      throw GLTAError(
        .invalidArgument,
        "a prompt of \(promptTokens) tokens and \(generatedTokens) behind it; the model takes 2 to \(model.cacheLimit)",
        hint: "ask for fewer")
    }
    let generator = DecoderGenerator(model: model, pool: pool)
    let prompt = (0..<promptTokens).map { Int32(($0 * 7919) % model.vocabularySize) }
    let options = GenerationOptions(maximumTokens: generatedTokens + 1)
    var (prefill, decode) = (Double.infinity, Double.infinity)
    for repetition in 0...max(1, repetitions) {
      let started = Measurement.now()
      var (first, last) = (started, started)
      var count = 0
      _ = try generator.generate([prompt], options: options) { _, _ in
        last = Measurement.now()
        if count == 0 { first = last }
        count += 1
        return .choose
      }
      guard repetition > 0 else { continue }
      prefill = min(prefill, first - started)
      decode = min(decode, last - first)
    }
    return GenerationBenchmark(
      threads: pool.threads, promptTokens: promptTokens, generatedTokens: generatedTokens,
      prefill: Double(promptTokens) / prefill, decode: Double(generatedTokens) / decode)
  }

  /// Two lines for people.
  public var text: String {
    """
    prefill of \(promptTokens) tokens \(Int(prefill.rounded())) tokens/s, \(threads) threads
    decode of \(generatedTokens) tokens behind it \(Int(decode.rounded())) tokens/s
    """
  }
}
