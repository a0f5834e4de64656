public import Bundles
public import LanguageModels
public import LogitsMatching
public import Tensors

/// The three stages in one process, one after another: what `glta recommend` and `glta evaluate` call, and what the mesh
/// is measured against.
public struct Recommender: Sendable {
  /// The trained recommender that all stages share.
  public let bundle: RecommenderBundle
  /// From a request to candidates with priors, and what the prompt is made of.
  public let encoder: GraphEncoderStage
  /// From those to a prompt.
  public let aligner: TokenAlignerStage
  /// From prompt and candidates to the ranking.
  public let ranker: LogitsRankerStage

  /// - Throws: errors of the bundle's template.
  public init(bundle: RecommenderBundle, model: any LanguageModel, tokenizer: any TextTokenizer) throws(GLTAError) {
    self.bundle = bundle
    encoder = GraphEncoderStage(bundle: bundle)
    aligner = try TokenAlignerStage(bundle: bundle, tokenizer: tokenizer, maximumLength: model.maximumLength)
    ranker = try LogitsRankerStage(bundle: bundle, model: model, tokenizer: tokenizer)
  }

  /// The ranking of one request.
  ///
  /// - Parameter pass: from `ranker.makePass`; not used by another ranking at the same time.
  /// - Throws: what the stages throw.
  public func rank(_ request: RankingRequest, pass: any LanguageModelPass) throws(GLTAError) -> [RankedItem] {
    let encoded = try encoder.encode(request)
    var ranking = ranker.begin(mode: request.mode, count: request.count)
    try ranking.add(encoded.candidates, prior: encoded.prior)
    if ranking.needsPrompt {
      let prompt = try aligner.align(encoded.view, items: encoded.items, user: encoded.user)
      try ranking.read(prompt, pass: pass)
    }
    return try ranking.finish(pass: pass)
  }

  /// How many tokens the language model reads for a request, soft ones included; zero where it is not asked.
  ///
  /// - Throws: what the stages throw.
  public func promptLength(of request: RankingRequest) throws(GLTAError) -> Int {
    guard ranker.begin(mode: request.mode, count: request.count).needsPrompt else { return 0 }
    let subject = try encoder.subject(of: request)
    return try aligner.align(subject.view, items: subject.items, user: subject.user).tokenIDs.count
  }

  /// The rankings of many requests, shared out over the pool; each has the bits that it has alone.
  ///
  /// - Parameter progress: called with the requests that are done; returning false stops.
  /// - Throws: the error of the first request, in their order, that failed.
  public func rank(
    _ requests: [RankingRequest], pool: ThreadPool, progress: (Int) -> Bool = { _ in true }
  ) throws(GLTAError) -> [[RankedItem]] {
    let passes = (0..<pool.threads).map { _ in ranker.makePass(pool: .serial) }
    var results = [[RankedItem]](repeating: [], count: requests.count)
    let failures = FirstFailure()
    let block = 64
    for start in stride(from: 0, to: requests.count, by: block) {
      let end = min(requests.count, start + block)
      results.withUnsafeMutableBufferPointer { results in
        pool.forEach(end - start) { index, worker in
          do throws(GLTAError) {
            results[start + index] = try rank(requests[start + index], pass: passes[worker])
          } catch { failures.record(error, at: start + index) }
        }
      }
      try failures.rethrow()
      guard progress(end) else { throw .stopped("ranking", after: "\(end) of \(requests.count)") }
    }
    return results
  }
}
