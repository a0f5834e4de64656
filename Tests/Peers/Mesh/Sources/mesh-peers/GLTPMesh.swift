import GLTP
import Mesh
import MeshTesting

/// A mesh of ours in this process, on loopback sockets: a gateway, one worker a stage, a client, each with the threads
/// and sockets that it has in a process of its own.
struct GLTPMesh: RankingPeer {
  let name = "GLTP mesh"
  private let mesh: LocalMesh
  private let client: MeshClient

  static func start(slots: Int = 8) async throws -> GLTPMesh {
    let mesh = LocalMesh()
    try await mesh.start()
    for stage in [Stage.encoder, .aligner, .ranker] {
      // As many runs at once as there are cores; more wait in the gateway.
      try await mesh.addWorker(TrivialStage(stage: stage), slots: slots)
    }
    try await mesh.waitUntilReady()
    return GLTPMesh(mesh: mesh, client: mesh.client)
  }

  func rank(_ workload: Workload) async throws {
    let ranking = try await client.ranking(workload.query)
    guard workload.isRight(ranking.ids) else { throw WrongAnswer(peer: name) }
  }

  func stop() async { await mesh.stop() }
}

/// A stage that answers at once.
struct TrivialStage: StageHandler {
  let stage: Stage
  let bundle = BundleHash(words: [1, 2, 3, 4])

  func makeScratch() {}

  func run(_ exchange: some StageExchange, scratch: inout Void) throws(StageFailure) {
    switch (stage, exchange.request) {
    case (.encoder, .rank(let request)): try encode(request, exchange)
    case (.aligner, _): try align(exchange)
    case (.ranker, .run(let request)): try rank(request, exchange)
    default: throw StageFailure(.badRequest, "a request for another stage")
    }
  }

  private func encode(_ request: RankRequest, _ exchange: some StageExchange) throws(StageFailure) {
    let count = Int32(request.candidates?.count ?? 0)
    let buffers = exchange.buffers
    let input = InstructionInput(
      userVector: buffers.vector(.userVector, Workload.userVector),
      history: buffers.vector(.history, Workload.history))
    try exchange.send(.instruction(input), isFinal: true, flags: [])
    let chunk = CandidateChunk(
      ids: buffers.vector(.candidateIDs, 0..<count),
      prior: buffers.vector(.candidatePrior, (0..<count).lazy.map { 1 - Float($0) * 1e-6 }), total: UInt32(count))
    try exchange.send(.candidates(chunk), isFinal: true, flags: [])
    try exchange.end(nil)
  }

  private func align(_ exchange: some StageExchange) throws(StageFailure) {
    guard case .instruction? = try exchange.receive() else { throw StageFailure(.badRequest, "no instruction") }
    let buffers = exchange.buffers
    let soft = buffers.tensor(.softTokens, .bf16, WireShape(Workload.softRows, Workload.softColumns))
    soft.withUnsafeMutableBytes { bytes in
      for index in bytes.indices { bytes[index] = 0x3F }
    }
    let prompt = Prompt(
      tokenIDs: buffers.vector(.tokenIDs, Workload.tokens), softTokens: soft,
      softPositions: buffers.vector(.softPositions, Workload.softPositions),
      slotPositions: buffers.vector(.slotPositions, Workload.slotPositions))
    try exchange.send(.prompt(prompt), isFinal: true, flags: [])
    try exchange.end(nil)
  }

  private func rank(_ request: RunRequest, _ exchange: some StageExchange) throws(StageFailure) {
    var candidates: CandidateChunk?
    while let chunk = try exchange.receive() {
      if case .candidates(let chunk) = chunk { candidates = chunk }
    }
    guard let candidates else { throw StageFailure(.badRequest, "no candidates") }
    let count = min(Int(request.count), candidates.ids.count)
    let picks = candidates.ids.withElements(as: Int32.self) { $0.prefix(count).map { Workload.name($0) } }
    let scores = candidates.prior.withElements(as: Float.self) { Array($0.prefix(count)) }
    try exchange.end(try ranking(picks, scores, of: candidates.ids.count, exchange.buffers))
  }

  private func ranking(
    _ items: [String], _ scores: [Float], of total: Int, _ buffers: BufferPool
  ) throws(StageFailure) -> RankingSnapshot {
    do throws(FrameError) {
      return RankingSnapshot(
        items: try buffers.strings(.rankingItems, items), scores: buffers.vector(.rankingScores, scores),
        itemsSeen: UInt32(total), itemsTotal: UInt32(total))
    } catch { throw StageFailure(.internal, "\(error)") }
  }
}
