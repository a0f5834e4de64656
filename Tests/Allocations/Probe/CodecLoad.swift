import GLTP

/// Every kind of message that a request has, through the codec.
final class CodecLoad {
  private let pool = BufferPool()
  private var encoder: MessageEncoder
  private var decoder: MessageDecoder
  private var parts = MessageParts()
  private var messages: [Message] = []

  init() throws {
    encoder = MessageEncoder(pool: pool)
    decoder = MessageDecoder(pool: pool, limits: .mesh)
    let names = try pool.strings(.rankingItems, (0..<10).map { "item \($0)" })
    let scores = pool.vector(.rankingScores, [Float](repeating: 0.5, count: 10))
    let ranking = RankingSnapshot(items: names, scores: scores, itemsSeen: 1_000, itemsTotal: 1_000)
    var request = RankRequest(count: 10, mode: .slots)
    request.userID = "u1"
    request.candidates = names
    let chunk = StreamChunk.candidates(
      CandidateChunk(
        ids: pool.vector(.candidateIDs, 0..<Int32(1_000)),
        prior: pool.vector(.candidatePrior, [Float](repeating: 1, count: 1_000)), total: 1_000))
    let input = StreamChunk.instruction(
      InstructionInput(
        userVector: pool.vector(.userVector, [Float](repeating: 1, count: 64)),
        history: pool.vector(.history, 0..<Int32(200))))
    // Numbers that fit into no two bytes go through liblz4.
    let wide = (0..<Int32(500)).map { $0 &* 40_503_001 }
    let prompt = StreamChunk.prompt(
      Prompt(
        tokenIDs: pool.vector(.tokenIDs, wide), softTokens: pool.tensor(.softTokens, .bf16, WireShape(64, 512)),
        softPositions: pool.vector(.softPositions, 0..<Int32(64)),
        slotPositions: pool.vector(.slotPositions, 0..<Int32(10))))
    messages = [
      Message(header: MessageHeader(.request), body: .rank(request)),
      Message(
        header: MessageHeader(.request, stage: .ranker), body: .run(RunRequest(userID: "u1", count: 9, mode: .first))),
      Message(header: MessageHeader(.partial, stage: .encoder, stream: .instruction), body: .partial(input)),
      Message(header: MessageHeader(.partial, stage: .encoder, stream: .candidates), body: .partial(chunk)),
      Message(header: MessageHeader(.input, stage: .ranker, stream: .instruction), body: .input(prompt)),
      Message(header: MessageHeader(.partial, stage: .ranker, stream: .ranking), body: .partial(.ranking(ranking))),
      Message(header: MessageHeader(.ack, stage: .ranker, stream: .candidates), body: .ack),
      Message(header: MessageHeader(.credit), body: .credit(total: 12)),
      Message(header: MessageHeader(.ping), body: .ping),
      Message(
        header: MessageHeader(.end),
        body: .end(RunEnd(ranking: ranking, rankerTiming: RunTiming(queue: 1, decode: 2, compute: 3, encode: 4)))),
    ]
  }

  func measure() throws -> Steady {
    _ = try pass(rounds: 100)
    return try Steady.count { try pass(rounds: 1_000) }
  }

  private func pass(rounds: Int) throws -> Int {
    for _ in 0..<rounds {
      for index in messages.indices {
        try encoder.encode(messages[index], into: &parts)
        _ = try decoder.decode(parts)
      }
    }
    return rounds * messages.count
  }
}
