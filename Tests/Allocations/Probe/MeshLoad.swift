import CAllocationCounter
import GLTP
import Mesh
import MeshTesting

/// Rankings through a mesh on loopback sockets: counted is what its I/O and compute threads allocate, libzmq's own left
/// out. A caller's task is not theirs: it is given strings, which have to be made.
enum MeshLoad {
  private static let warmUp = 3_000
  private static let requests = 2_000

  static func measure() async throws -> Steady {
    let mesh = LocalMesh()
    try await mesh.start()
    for stage in [Stage.encoder, .aligner, .ranker] { try await mesh.addWorker(QuietStage(stage: stage), slots: 2) }
    try await mesh.waitUntilReady()
    try await ask(mesh, warmUp)
    allocation_counter_trace(traces)
    let before = allocation_counter_total()
    allocation_counter_count_threads_named("glta-")
    try await ask(mesh, requests)
    allocation_counter_count_threads_named(nil)
    let allocations = allocation_counter_total() - before
    await mesh.stop()
    // REQUEST and END on the client's side; for each stage REQUEST, its chunks in and out, END and CREDIT.
    return Steady(allocations: allocations, messages: requests * (2 + 5 + 5 + 5))
  }

  @inline(never)
  private static func ask(_ mesh: LocalMesh, _ count: Int) async throws {
    let client = mesh.client
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<count / 4 { _ = try await client.ranking(RankingQuery(user: "u1", count: 2)) }
        }
      }
      try await group.waitForAll()
    }
  }
}

/// A stage whose answers are the same each time and are made without allocating.
struct QuietStage: StageHandler {
  let stage: Stage
  let bundle = BundleHash(words: [1, 2, 3, 4])
  private let numbers = [Int32](0..<128)
  private let scores = [Float](repeating: 0.5, count: 128)
  private let names = ["a", "b"]

  init(stage: Stage) { self.stage = stage }

  func makeScratch() {}

  func run(_ exchange: some StageExchange, scratch: inout Void) throws(StageFailure) {
    let buffers = exchange.buffers
    while try exchange.receive() != nil {}
    switch stage {
    case .encoder:
      let input = InstructionInput(
        userVector: buffers.vector(.userVector, scores), history: buffers.vector(.history, numbers))
      try exchange.send(.instruction(input), isFinal: true, flags: [])
      let chunk = CandidateChunk(
        ids: buffers.vector(.candidateIDs, numbers), prior: buffers.vector(.candidatePrior, scores), total: 128)
      try exchange.send(.candidates(chunk), isFinal: true, flags: [])
      try exchange.end(nil)
    case .aligner:
      let prompt = Prompt(
        tokenIDs: buffers.vector(.tokenIDs, numbers), softTokens: buffers.tensor(.softTokens, .bf16, WireShape(1, 2)),
        softPositions: buffers.vector(.softPositions, numbers[..<1]),
        slotPositions: buffers.vector(.slotPositions, numbers[..<1]))
      try exchange.send(.prompt(prompt), isFinal: true, flags: [])
      try exchange.end(nil)
    default: try exchange.end(try ranking(buffers))
    }
  }

  private func ranking(_ buffers: BufferPool) throws(StageFailure) -> RankingSnapshot {
    do throws(FrameError) {
      return RankingSnapshot(
        items: try buffers.strings(.rankingItems, names), scores: buffers.vector(.rankingScores, scores[..<2]),
        itemsSeen: 128, itemsTotal: 128)
    } catch { throw StageFailure(.internal, "\(error)") }
  }
}
