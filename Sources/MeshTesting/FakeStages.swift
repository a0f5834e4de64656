public import GLTP
public import Mesh

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Three stages that rank without a model: for tests of what happens around a mesh.
///
/// The catalogue has the items `i0`, `i1`, ...; users are `u0`, `u1`, ... Scores are made of the ids alone, so every
/// ranking is known beforehand, see `ranking(for:)`. Candidates go to the ranker in chunks, and each chunk gives a snapshot.
///
/// ```swift
/// let stages = FakeStages()
/// let mesh = try await LocalMesh.start(stages.encoder, stages.aligner, stages.ranker)
/// ```
public struct FakeStages: Sendable {
  /// Items of the catalogue.
  public var itemCount = 100
  /// Users that are known; others are answered with UNKNOWN_USER.
  public var userCount = 100
  /// Candidates of one chunk.
  public var chunk = 25
  /// How long a ranker takes for each chunk. It looks every few milliseconds whether it is still wanted.
  public var chunkTime = Duration.zero
  /// The bundle that the stages say they serve.
  public var bundle = BundleHash(words: [0xFA4E_0000_0000_0001, 2, 3, 4])
  /// Called by each run before it computes: throws to fail it, or waits to make it slow.
  public var fault: @Sendable (FakeStage) throws(StageFailure) -> Void = { _ in }

  /// 100 items and 100 users, four chunks, no faults, no time spent.
  public init() {}

  /// A handler for graph encoders.
  public var encoder: FakeStage { FakeStage(.encoder, self) }
  /// A handler for token aligners.
  public var aligner: FakeStage { FakeStage(.aligner, self) }
  /// A handler for logits rankers.
  public var ranker: FakeStage { FakeStage(.ranker, self) }

  // MARK: What they compute

  /// The ranking that a query gets, titles left out.
  ///
  /// - Throws: `StageFailure` of UNKNOWN_USER, UNKNOWN_ITEM or NOT_ENOUGH_ITEMS, as the mesh would answer.
  public func ranking(for query: RankingQuery) throws(StageFailure) -> Ranking {
    let subject = try subject(user: query.user, items: query.items)
    let wanted: [String]? = if case .items(let ids) = query.candidates { ids } else { nil }
    let best: Int? = if case .best(let count) = query.candidates { count } else { nil }
    let items = try candidates(wanted: wanted, best: best, exclude: query.exclude, allow: query.allow)
    let picks = top(items, query.count) { prior($0) + logit($0, subject) }
    return Ranking(
      ids: picks.map { "i\($0.item)" }, scores: picks.map(\.score), itemsSeen: items.count, itemsTotal: items.count)
  }

  /// What is known of an item before the language model has its say.
  func prior(_ item: Int32) -> Float { Float(item &* 7919 % 1000) / 1000 }

  /// What the language model has to say.
  func logit(_ item: Int32, _ subject: Int32) -> Float {
    Float((Int64(item) * 104_729 + Int64(subject) * 1_299_709) % 10_007) / 10_007
  }

  func top(_ items: [Int32], _ count: Int, _ score: (Int32) -> Float) -> [(item: Int32, score: Float)] {
    let scored = items.map { (item: $0, score: score($0)) }
    return Array(scored.sorted { ($1.score, $0.item) < ($0.score, $1.item) }.prefix(count))
  }

  /// A number below 2^24 for whoever is ranked for.
  func subject(user: String?, items: [String]?) throws(StageFailure) -> Int32 {
    if let items {
      var sum: Int32 = 1
      for item in items { sum = (sum &* 31 &+ (try number(item))) & 0xFF_FFFF }
      return sum
    }
    guard let user, user.hasPrefix("u"), let number = Int32(user.dropFirst()), (0..<Int32(userCount)).contains(number)
    else { throw StageFailure(.unknownUser, "there is no user \(user ?? "")") }
    return number
  }

  func number(_ item: String) throws(StageFailure) -> Int32 {
    guard item.hasPrefix("i"), let number = Int32(item.dropFirst()), (0..<Int32(itemCount)).contains(number) else {
      throw StageFailure(.unknownItem, "there is no item \(item)")
    }
    return number
  }

  func candidates(
    wanted: [String]?, best: Int?, exclude: [String], allow: [String]?
  ) throws(StageFailure) -> [Int32] {
    func numbers(_ items: [String]) throws(StageFailure) -> Set<Int32> {
      var found: Set<Int32> = []
      for item in items { found.insert(try number(item)) }
      return found
    }
    var items = Array(0..<Int32(itemCount))
    if let wanted { items = try numbers(wanted).sorted() }
    let excluded = try numbers(exclude)
    items.removeAll { excluded.contains($0) }
    if let allow {
      let allowed = try numbers(allow)
      items.removeAll { !allowed.contains($0) }
    }
    if let best { items = top(items, best) { prior($0) }.map(\.item).sorted() }
    guard !items.isEmpty else { throw StageFailure(.notEnoughItems, "no item is left") }
    return items
  }
}

/// One of three stages that rank without a model.
public struct FakeStage: StageHandler {
  /// Which of the three this is.
  public let stage: Stage
  /// What all three have in common.
  public let stages: FakeStages

  /// The bundle that all three say they serve.
  public var bundle: BundleHash { stages.bundle }

  init(_ stage: Stage, _ stages: FakeStages) {
    self.stage = stage
    self.stages = stages
  }

  /// The stages keep nothing between runs.
  public func makeScratch() {}

  /// Calls `fault`, then computes from the ids alone.
  ///
  /// - Throws: `StageFailure` of `fault`, of `exchange`, or UNKNOWN_USER, UNKNOWN_ITEM, NOT_ENOUGH_ITEMS, BAD_REQUEST.
  public func run(_ exchange: some StageExchange, scratch: inout Void) throws(StageFailure) {
    try stages.fault(self)
    switch (stage, exchange.request) {
    case (.encoder, .rank(let request)): try encode(request, exchange)
    case (.aligner, _): try align(exchange)
    case (.ranker, .run(let request)): try rank(request, exchange)
    default: throw StageFailure(.badRequest, "a request for another stage")
    }
  }

  private func encode(_ request: RankRequest, _ exchange: some StageExchange) throws(StageFailure) {
    let subject = try stages.subject(user: request.userID?.string, items: request.items?.strings)
    let items = try stages.candidates(
      wanted: request.candidates?.strings, best: request.retrieve.map { Int($0) },
      exclude: request.exclude?.strings ?? [], allow: request.allow?.strings)
    let buffers = exchange.buffers
    let input = InstructionInput(
      userVector: buffers.vector(.userVector, [Float(subject), 0, 0, 0]), history: buffers.vector(.history, [Int32]()))
    try exchange.send(.instruction(input), isFinal: true, flags: [])
    for start in stride(from: 0, to: items.count, by: stages.chunk) {
      let part = items[start..<min(items.count, start + stages.chunk)]
      let chunk = CandidateChunk(
        ids: buffers.vector(.candidateIDs, part),
        prior: buffers.vector(.candidatePrior, part.map { stages.prior($0) }), total: UInt32(items.count))
      try exchange.send(.candidates(chunk), isFinal: part.endIndex == items.count, flags: [])
    }
    try exchange.end(nil)
  }

  private func align(_ exchange: some StageExchange) throws(StageFailure) {
    guard case .instruction(let input)? = try exchange.receive() else {
      throw StageFailure(.badRequest, "no instruction's input")
    }
    let subject: [Float] = input.userVector.array()
    let buffers = exchange.buffers
    let soft = buffers.tensor(.softTokens, .bf16, WireShape(1, 2))
    soft.withUnsafeMutableBytes { bytes in
      for index in bytes.indices { bytes[index] = 0 }
    }
    let prompt = Prompt(
      tokenIDs: buffers.vector(.tokenIDs, [Int32(subject.first ?? 0)]), softTokens: soft,
      softPositions: buffers.vector(.softPositions, [Int32(0)]),
      slotPositions: buffers.vector(.slotPositions, [Int32(0)]))
    try exchange.send(.prompt(prompt), isFinal: true, flags: [])
    try exchange.end(nil)
  }

  private func rank(_ request: RunRequest, _ exchange: some StageExchange) throws(StageFailure) {
    var items: [Int32] = []
    var total: UInt32 = 0
    var subject: Int32?
    func snapshot(byPrior: Bool = false) throws(StageFailure) -> RankingSnapshot {
      let picks = stages.top(items, Int(request.count)) { item in
        stages.prior(item) + (byPrior ? 0 : subject.map { stages.logit(item, $0) } ?? 0)
      }
      return try encoded(picks, seen: items.count, total: total, exchange)
    }
    while let chunk = try exchange.receive() {
      switch chunk {
      case .candidates(let candidates):
        let isFirst = items.isEmpty
        items += candidates.ids.array(of: Int32.self)
        total = candidates.total
        if isFirst { try exchange.send(.ranking(try snapshot(byPrior: true)), isFinal: false, flags: .provisional) }
        try work(exchange)
      case .prompt(let prompt): subject = prompt.tokenIDs.array(of: Int32.self).first
      case .instruction, .ranking: throw StageFailure(.badRequest, "no input of a ranker's")
      }
      if !items.isEmpty, subject != nil { try exchange.send(.ranking(try snapshot()), isFinal: false, flags: []) }
    }
    try exchange.end(try snapshot())
  }

  /// Takes the time that a chunk takes.
  private func work(_ exchange: some StageExchange) throws(StageFailure) {
    let end = ContinuousClock.now + stages.chunkTime
    while ContinuousClock.now < end {
      usleep(1_000)
      try exchange.check()
    }
  }

  private func encoded(
    _ picks: [(item: Int32, score: Float)], seen: Int, total: UInt32, _ exchange: some StageExchange
  ) throws(StageFailure) -> RankingSnapshot {
    let buffers = exchange.buffers
    do throws(FrameError) {
      return RankingSnapshot(
        items: try buffers.strings(.rankingItems, picks.map { "i\($0.item)" }),
        scores: buffers.vector(.rankingScores, picks.map(\.score)),
        titles: exchange.flags.contains(.titles)
          ? try buffers.strings(.rankingTitles, picks.map { "Item \($0.item)" }) : nil,
        itemsSeen: UInt32(seen), itemsTotal: total)
    } catch { throw StageFailure(.internal, "\(error)") }
  }
}
