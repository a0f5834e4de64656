public import Bundles
public import GLTP
import Interactions
public import LanguageModels
import LogitsMatching
public import Mesh
import RankingStages
public import Tensors

/// The logits ranker as a service: candidates and prompt stream in, rankings stream out, each complete in itself.
public struct LogitsRankerService: StageHandler {
  /// Always `.ranker`.
  public var stage: Stage { .ranker }
  /// The bundle that it serves.
  public var bundle: BundleHash { served.hash }
  let served: ServedBundle
  let ranker: LogitsRankerStage
  private let pool: ThreadPool

  /// - Parameter pool: threads that one run computes on; one thread where slots are to be independent.
  /// - Throws: what `LogitsRankerStage` throws.
  public init(_ served: ServedBundle, _ languageModel: LoadedLanguageModel, pool: ThreadPool) throws(GLTAError) {
    self.served = served
    self.pool = pool
    ranker = try LogitsRankerStage(
      bundle: served.bundle, model: languageModel.model, tokenizer: languageModel.tokenizer)
  }

  /// The memory of one pass through the language model.
  public func makeScratch() -> any LanguageModelPass { ranker.makePass(pool: pool) }

  /// Ranks: a provisional ranking as soon as there is a candidate, one after each chunk, and the final one.
  public func run(_ exchange: some StageExchange, scratch pass: inout any LanguageModelPass) throws(StageFailure) {
    guard case .run(let request) = exchange.request else {
      throw StageFailure(.badRequest, "a ranker's run without a request")
    }
    var run = RankerRun(
      ranking: ranker.begin(mode: PredictionMode(request.mode), count: Int(request.count)), served: served,
      flags: exchange.flags)
    do {
      while let chunk = try exchange.receive() { try run.take(chunk, exchange, pass: pass) }
      try exchange.end(try run.finish(exchange, pass: pass))
    } catch var failure {
      // The best so far goes with the bad news, where its status allows.
      if failure.status == .deadline || failure.status == .cancelled {
        failure.ranking = try run.snapshot(exchange.buffers)
      }
      throw failure
    }
  }
}

/// What a run of the ranker has so far.
private struct RankerRun {
  private var ranking: LogitsRanking
  let served: ServedBundle
  private let flags: MessageFlags
  private var total: UInt32 = 0
  private var hasProvisional = false
  /// A prompt that waits for candidates: who wants snapshots gets one by prior before the model is asked.
  private var heldPrompt: Prompt?

  init(ranking: LogitsRanking, served: ServedBundle, flags: MessageFlags) {
    self.ranking = ranking
    self.served = served
    self.flags = flags
  }

  mutating func take(_ chunk: StreamChunk, _ exchange: some StageExchange, pass: any LanguageModelPass)
    throws(StageFailure)
  {
    switch chunk {
    case .candidates(let chunk):
      total = chunk.total
      try StageFailure.converting { () throws(GLTAError) in
        try ranking.add(chunk.ids.array(), prior: chunk.prior.array())
      }
    case .prompt(let prompt):
      guard ranking.needsPrompt else { return }
      guard flags.contains(.stream), ranking.candidates.isEmpty else {
        try read(prompt, pass)
        break
      }
      try StageFailure.converting { () throws(GLTAError) in try ranking.check(prompt.aligned) }
      heldPrompt = prompt
    case .instruction, .ranking: throw StageFailure(.badRequest, "a chunk that is not a ranker's input")
    }
    try sendSnapshot(exchange)
    if let prompt = heldPrompt.take() {
      try read(prompt, pass)
      try sendSnapshot(exchange)
    }
  }

  private mutating func read(_ prompt: Prompt, _ pass: any LanguageModelPass) throws(StageFailure) {
    try StageFailure.converting { () throws(GLTAError) in try ranking.read(prompt.aligned, pass: pass) }
  }

  /// Shows the ranking so far; the final one goes with the END, which follows at once.
  private mutating func sendSnapshot(_ exchange: some StageExchange) throws(StageFailure) {
    let isProvisional = !ranking.isScored
    guard !ranking.candidates.isEmpty, !(isProvisional && hasProvisional),
      isProvisional || ranking.candidates.count < Int(total)
    else { return }
    hasProvisional = true
    let snapshot = try snapshot(exchange.buffers, of: ranking.current)
    try exchange.send(.ranking(snapshot), isFinal: false, flags: isProvisional ? .provisional : [])
  }

  mutating func finish(_ exchange: some StageExchange, pass: any LanguageModelPass) throws(StageFailure)
    -> RankingSnapshot
  {
    if let prompt = heldPrompt.take() { try read(prompt, pass) }
    var stopped: StageFailure?
    let picks: [RankedItem]
    do throws(GLTAError) {
      picks = try ranking.finish(pass: pass) { (picks) throws(GLTAError) in
        do throws(StageFailure) {
          try exchange.send(.ranking(try snapshot(exchange.buffers, of: picks)), isFinal: false, flags: [])
        } catch {
          stopped = error
          throw GLTAError(.interrupted, error.detail)
        }
      }
    } catch { throw stopped ?? StageFailure(error) }
    return try snapshot(exchange.buffers, of: picks)
  }

  /// The best so far; nil before the first candidate.
  func snapshot(_ buffers: BufferPool) throws(StageFailure) -> RankingSnapshot? {
    ranking.candidates.isEmpty ? nil : try snapshot(buffers, of: ranking.current)
  }

  private func snapshot(_ buffers: BufferPool, of picks: [RankedItem]) throws(StageFailure) -> RankingSnapshot {
    try StageFailure.encoding { () throws(FrameError) in
      RankingSnapshot(
        items: try buffers.strings(.rankingItems, picks.map { served.bundle.catalogue.ids[Int($0.item)] }),
        scores: buffers.vector(.rankingScores, picks.map(\.score)),
        titles: flags.contains(.titles)
          ? try buffers.strings(.rankingTitles, picks.map { RankerRun.fitting(served.title($0.item)) }) : nil,
        itemsSeen: UInt32(ranking.candidates.count), itemsTotal: total)
    }
  }

  /// A title cut at the longest text that the wire carries, between characters.
  private static func fitting(_ title: String) -> String {
    guard title.utf8.count > CodecLimits.stringBytes else { return title }
    var (kept, bytes) = ("", 0)
    for character in title {
      bytes += character.utf8.count
      guard bytes <= CodecLimits.stringBytes else { break }
      kept.append(character)
    }
    return kept.isEmpty ? "?" : kept
  }
}
