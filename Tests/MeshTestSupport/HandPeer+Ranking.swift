package import GLTP
import Mesh

extension HandPeer {
  package static let bundleHash = BundleHash(words: SIMD4(0x0102_0304_0506_0708, 2, 3, 4))
  package static let bundle = bundleHash.prefix

  /// A header of a run, as its worker sends it.
  package func header(
    _ kind: MessageKind, _ request: Received, flags: MessageFlags = [], stream: StreamKind = .none,
    sequence: UInt32 = 0, status: Status = .ok
  ) -> MessageHeader {
    MessageHeader(
      kind, flags: flags, stage: request.header.stage, stream: stream, attempt: request.header.attempt, status: status,
      requestID: request.header.requestID, sequence: sequence, bundle: request.header.bundle)
  }

  /// Asks for a ranking.
  @inline(never)
  package func rank(
    _ id: RequestID, count: UInt32 = 3, flags: MessageFlags = [], budget: UInt32 = 20_000,
    change: ([[UInt8]]) -> [[UInt8]] = { $0 }
  ) async throws {
    try await send(
      MessageHeader(.request, flags: flags, attempt: 1, requestID: id, budgetMilliseconds: budget),
      .rank(RankRequest(userID: "42", count: count)), change: change)
  }

  package func instruction() -> StreamChunk {
    .instruction(
      InstructionInput(
        userVector: buffers.vector(.userVector, (0..<300).map { Float($0) * 0.25 }),
        history: buffers.vector(.history, [5, 3, 9] as [Int32])))
  }

  package func candidates(_ count: Int = 700) -> StreamChunk {
    .candidates(
      CandidateChunk(
        ids: buffers.vector(.candidateIDs, (0..<count).map { Int32(3 * $0) }),
        prior: buffers.vector(.candidatePrior, (0..<count).map { 1 / Float($0 + 1) }), total: UInt32(count)))
  }

  package func prompt() -> StreamChunk {
    .prompt(
      Prompt(
        tokenIDs: buffers.vector(.tokenIDs, (0..<64).map { Int32($0) }),
        softTokens: buffers.tensor(.softTokens, .bf16, WireShape(0, 8)),
        softPositions: buffers.vector(.softPositions, [] as [Int32]),
        slotPositions: buffers.vector(.slotPositions, [60] as [Int32])))
  }

  package func ranking(_ items: [String] = ["a", "b", "c"]) throws -> RankingSnapshot {
    RankingSnapshot(
      items: try buffers.strings(.rankingItems, items),
      scores: buffers.vector(.rankingScores, items.indices.map { 10 - Float($0) }),
      itemsSeen: 700, itemsTotal: 700)
  }

  /// Plays an encoder's run.
  @inline(never)
  package func encode(_ request: Received, change: ([[UInt8]]) -> [[UInt8]] = { $0 }) async throws {
    try await send(header(.partial, request, flags: .final, stream: .instruction), .partial(instruction()))
    try await send(
      header(.partial, request, flags: .final, stream: .candidates), .partial(candidates()), change: change)
    try await end(request, .encoder)
  }

  /// Ends a run well.
  @inline(never)
  package func end(_ request: Received, _ stage: Stage, ranking: RankingSnapshot? = nil) async throws {
    var end = RunEnd(ranking: ranking)
    end[timing: stage] = RunTiming(attempt: request.header.attempt, queue: 1, decode: 2, compute: 3, encode: 4)
    try await send(header(.end, request), .end(end))
  }
}
