import GraphEncoding
import Interactions
import RankingEvaluation
import Tensors
import TestSupport
import Testing

struct LightGCNTests {
  private let train = CSRMatrix(rowLists: [[0, 1], [1, 2, 4], [], [0, 4]], columns: 6)

  /// The normalised adjacency as a dense matrix, users before items.
  private func dense() -> [[Double]] {
    let back = train.transposed()
    let degree = { (node: Int) in node < 4 ? self.train.degree(node) : back.degree(node - 4) }
    return (0..<10).map { row in
      (0..<10).map { column in
        let (user, item) = (min(row, column), max(row, column) - 4)
        guard user < 4, item >= 0, train.contains(row: user, column: Int32(item)) else { return 0 }
        return 1 / (Double(degree(row)) * Double(degree(column))).squareRoot()
      }
    }
  }

  @Test(arguments: [0, 1, 2, 3], [5, 64]) func agreesWithTheDenseFormula(layers: Int, columns: Int) {
    let x = randomMatrix(10, columns)
    let (out, work) = (Matrix(rows: 10, columns: columns), Matrix(rows: 10, columns: columns))
    LightGCN(graph: NormalizedGraph(train), layers: layers).apply(
      x, work: work, into: out, pool: ThreadPool(threads: 2))
    let adjacency = dense()
    var layer = (0..<10).map { row in (0..<columns).map { Double(x[row, $0]) } }
    var sum = layer
    for _ in 0..<layers {
      layer = (0..<10).map { row in
        (0..<columns).map { column in (0..<10).reduce(0.0) { $0 + adjacency[row][$1] * layer[$1][column] } }
      }
      for row in 0..<10 { for column in 0..<columns { sum[row][column] += layer[row][column] } }
    }
    let expected = sum.flatMap { $0 }.map { Float($0 / Double(layers + 1)) }
    #expect(absoluteDifference(out.elements, expected) < 1e-5)
  }

  @Test func foldInIsPropagationForSomebodyWithoutALayerZero() {
    let layer0 = randomMatrix(10, 8)
    // User 2 has no items; with a zero layer 0 and items 1 and 4 it is somebody new, but for the items' degrees.
    layer0.slice(2..<3).fill(0)
    let pool = ThreadPool(threads: 1)
    let embeddings = LightGCN(graph: NormalizedGraph(train), layers: 3).embeddings(layer0, pool: pool)
    let vector = Matrix(rows: 1, columns: 8)
    embeddings.foldIn(items: [4, 1] as [Int32], into: vector.base)
    let graph = NormalizedGraph(train)
    var layer = layer0.copy()
    var expected = [Float](repeating: 0, count: 8)
    for _ in 0..<3 {
      for item in [1, 4] {
        for column in 0..<8 {
          expected[column] += layer[4 + item, column] * graph.scale[4 + item] / Float(2).squareRoot() / 4
        }
      }
      let next = layer.copy()
      graph.propagate(layer, adding: nil, into: next, pool: pool)
      layer = next
    }
    #expect(absoluteDifference(vector.elements, expected) < 1e-5)
    embeddings.foldIn(items: [] as [Int32], into: vector.base)
    #expect(vector.elements.allSatisfy { $0 == 0 })
  }

  @Test(arguments: [0, 0.5] as [Float]) func itemsRankByCosineTimesAPowerOfTheirPopularity(power: Float) {
    let encoder = LightGCN(graph: NormalizedGraph(train), layers: 2)
    let (layer0, pool) = (randomMatrix(10, 8), ThreadPool(threads: 1))
    let learned = encoder.embeddings(layer0, pool: pool)
    let ranked = encoder.embeddings(layer0, lengths: .popularity(power: power), pool: pool)
    let popularity: [Float] = [2, 2, 1, 0, 2, 0]
    for item in 0..<6 {
      let row = (0..<8).map { learned.items[item, $0] }
      let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let wanted = power == 0 ? 1 : (1 + popularity[item]).squareRoot()
      #expect(absoluteDifference((0..<8).map { ranked.items[item, $0] }, row.map { $0 / length * wanted }) < 1e-6)
    }
    #expect(ranked.users.elements == learned.users.elements)
    #expect(ranked.foldInBasis.elements == learned.foldInBasis.elements)
  }

  private func trainSynthetic(
    threads: Int, epochs: Int = 12, loss: GraphLoss = .bpr, precision: LayerPrecision = .f32, averaging: Float = 0,
    resuming state: GraphEncoderState? = nil,
    checkpoint: (GraphEncoderState) -> Void = { _ in }
  ) throws -> (embeddings: GraphEmbeddings, split: InteractionSplit) {
    let dataset = SyntheticDataset.generate(users: 120, items: 80)
    let split = try Splitter.split(dataset, method: .random(seed: 1))
    var options = GraphEncoderOptions()
    (options.dimensions, options.epochs, options.evaluateEvery, options.batchSize) = (16, epochs, 2, 512)
    (options.loss, options.precision, options.negatives) = (loss, precision, 20)
    options.averaging = averaging
    let trainer = GraphEncoderTrainer(options: options, split: split, seed: 1, pool: ThreadPool(threads: threads))
    let embeddings = try trainer.train(
      resuming: state, checkpoint: { (state) throws(GLTAError) in checkpoint(state) }, progress: { _ in true })
    return (embeddings, split)
  }

  @Test(arguments: GraphLoss.allCases, LayerPrecision.allCases)
  func learnsMoreThanPopularityAndHasTheSameBitsOnAnyNumberOfThreads(
    loss: GraphLoss, precision: LayerPrecision
  ) throws {
    let (one, split) = try trainSynthetic(threads: 1, loss: loss, precision: precision)
    let (two, _) = try trainSynthetic(threads: 2, loss: loss, precision: precision)
    #expect(one.users.elements == two.users.elements && one.items.elements == two.items.elements)
    let pool = ThreadPool(threads: 2)
    let users = Array(0..<split.test.rows)
    let excluded = [split.train, split.validation]
    let graph = MetricReport(
      users: users, rankings: one.rank(users: users, excluding: excluded, pool: pool), relevant: split.test)
    let popularity = MetricReport(
      users: users, rankings: FullRanking.popularity(users: users, train: split.train, excluding: excluded, pool: pool),
      relevant: split.test)
    #expect(graph["ndcg@10"] > 1.3 * popularity["ndcg@10"])
  }

  @Test(arguments: GraphLoss.allCases, [0, 0.8]) func resumesToTheSameBits(loss: GraphLoss, averaging: Float) throws {
    var states: [GraphEncoderState] = []
    let (whole, _) = try trainSynthetic(threads: 2, loss: loss, averaging: averaging) { state in
      states.append(
        GraphEncoderState(progress: state.progress, matrices: state.matrices.map { ($0.name, $0.value.copy()) }))
    }
    let middle = try #require(states.first { $0.progress.epoch == 6 })
    let (resumed, _) = try trainSynthetic(threads: 2, loss: loss, averaging: averaging, resuming: middle)
    #expect(resumed.items.elements == whole.items.elements)
  }

  /// The mean of three epochs without a decay to forget by, against the parameters of those epochs themselves.
  @Test func averagesEpochs() throws {
    var layers: [Matrix] = []
    var last: GraphEncoderState?
    _ = try trainSynthetic(threads: 1, epochs: 4, averaging: 0.99) { state in
      last = GraphEncoderState(progress: state.progress, matrices: state.matrices.map { ($0.name, $0.value.copy()) })
    }
    for epochs in 1...4 {
      _ = try trainSynthetic(threads: 1, epochs: epochs) { state in
        guard state.progress.epoch == epochs else { return }
        layers += state.matrices.filter { $0.name == "layer0" }.map { $0.value.copy() }
      }
    }
    let average = try #require(last?.matrices.first { $0.name == "average.layer0" }?.value)
    let mean = average.elements.indices.map { index in layers.reduce(0) { $0 + $1.elements[index] } / 4 }
    #expect(layers.count == 4 && absoluteDifference(average.elements, mean) < 1e-6)
  }

  @Test func stopsWhenTheLossIsNotANumber() throws {
    let dataset = SyntheticDataset.generate(users: 30, items: 40)
    let split = try Splitter.split(dataset, method: .random(seed: 1))
    var options = GraphEncoderOptions()
    options.learningRate = 1e30
    let error = #expect(throws: GLTAError.self) {
      try GraphEncoderTrainer(options: options, split: split, seed: 1, pool: ThreadPool(threads: 1)).train(
        checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    }
    #expect(error?.code == .diverged)
    #expect(error?.message.contains("graph encoder") == true && error?.message.contains("step") == true)
  }
}
