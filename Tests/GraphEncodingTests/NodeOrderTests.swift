import GraphEncoding
import Interactions
import Tensors
import TestSupport
import Testing

/// Models keep rows in an order of their own; nobody outside may see it.
struct NodeOrderTests {
  /// A graph that is small and dense, and one whose layers are large: both have their rows moved.
  private static let graphs = [
    CSRMatrix(rowLists: (0..<90).map { row($0, of: 60, count: 9) }, columns: 60),
    CSRMatrix(rowLists: (0..<9_001).map { row($0, of: 8_002, count: $0 % 8) }, columns: 8_002),
  ]

  private static func row(_ user: Int, of items: Int, count: Int) -> [Int32] {
    var random = Philox(seed: 5, purpose: "row", index: UInt64(user)).sequence()
    return (0..<count).map { _ in Int32((user + random.index(below: 40)) % items) }
  }

  @inline(never)
  private func train(_ train: CSRMatrix, epochs: Int, threads: Int, resuming state: GraphEncoderState? = nil) throws
    -> (embeddings: GraphEmbeddings, state: GraphEncoderState)
  {
    let empty = CSRMatrix(rows: train.rows, columns: train.columns, edges: ([], []))
    var options = GraphEncoderOptions()
    (options.epochs, options.evaluateEvery, options.batchSize) = (epochs, 1, 4_096)
    let trainer = GraphEncoderTrainer(
      options: options, split: InteractionSplit(train: train, validation: empty, test: empty), seed: 3,
      pool: ThreadPool(threads: threads))
    var last: GraphEncoderState?
    let embeddings = try trainer.train(
      resuming: state,
      checkpoint: { (state) throws(GLTAError) in
        last = GraphEncoderState(progress: state.progress, matrices: state.matrices.map { ($0.name, $0.value.copy()) })
      }, progress: { _ in true })
    return (embeddings, try #require(last))
  }

  @Test(arguments: graphs.indices) func checkpointsAndVectorsHaveTheGivenOrder(graph: Int) throws {
    let train = Self.graphs[graph]
    let (embeddings, state) = try self.train(train, epochs: 1, threads: 2)
    let layer0 = try #require(state.matrices.first { $0.name == "best.layer0" }?.value)
    let expected = LightGCN(graph: NormalizedGraph(train), layers: 3).embeddings(layer0, pool: ThreadPool(threads: 1))
    #expect(relativeDifference(embeddings.users.elements, expected.users.elements) < 1e-5)
    #expect(relativeDifference(embeddings.items.elements, expected.items.elements) < 1e-5)
    #expect(relativeDifference(embeddings.foldInBasis.elements, expected.foldInBasis.elements) < 1e-5)
  }

  @Test(arguments: graphs.indices) func resumesToTheSameBitsOnAnyNumberOfThreads(graph: Int) throws {
    let train = Self.graphs[graph]
    let (whole, _) = try self.train(train, epochs: 2, threads: 2)
    var (_, half) = try self.train(train, epochs: 1, threads: 1)
    half.progress.isFinished = false
    let (resumed, _) = try self.train(train, epochs: 2, threads: 1, resuming: half)
    #expect(resumed.users.elements == whole.users.elements && resumed.items.elements == whole.items.elements)
  }
}
