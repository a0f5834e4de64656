import GraphEncoding
import Interactions
import RankingEvaluation
import Tensors
import TestSupport
import Testing

struct TextNodesTests {
  /// Vectors that are a linear function of texts, of one length: the map is found, and holds for items without edges.
  @Test func findsALinearMap() throws {
    let text = randomMatrix(40, 6)
    let weights = randomMatrix(6, 3, seed: 2)
    let items = Matrix(rows: 40, columns: 3)
    Matmul.multiply(text, weights, into: items, pool: .serial)
    for row in 0..<40 {
      let length = Accumulate.squares(3, items.row(row)).squareRoot()
      Accumulate.scale(6, text.row(row), by: 1 / length)
      Accumulate.scale(3, items.row(row), by: 1 / length)
    }
    let train = CSRMatrix(rowLists: [(0..<30).map { $0 }], columns: 40)
    let graph = GraphEmbeddings(users: Matrix(rows: 1, columns: 3), items: items, foldInBasis: items)
    let nodes = try TextNodes(graph: graph, text: text, train: train, l2: 1e-6, neighbours: 0, pool: .serial)
    let erased = items.copy()
    erased.slice(30..<40).fill(0)
    let completed = nodes.completing(
      GraphEmbeddings(users: graph.users, items: erased, foldInBasis: erased), text: text, train: train)
    #expect(relativeDifference(completed.items.elements, items.elements) < 1e-3)
    #expect(completed.foldInBasis.slice(0..<30).elements == items.slice(0..<30).elements)
  }

  /// A tenth of the items is withheld; their genres are told by their texts. Chance is stated below.
  @Test func ranksItemsThatNobodyHasUsed() throws {
    let dataset = SyntheticDataset.generate(users: 200, items: 160)
    let whole = try Splitter.split(dataset, method: .random(seed: 1)).train
    let isWithheld = { (item: Int32) in item % 10 == 3 }
    let train = CSRMatrix(
      rowLists: (0..<whole.rows).map { whole[$0].filter { !isWithheld($0) } }, columns: whole.columns)
    let withheld = CSRMatrix(rowLists: (0..<whole.rows).map { whole[$0].filter(isWithheld) }, columns: whole.columns)
    let text = randomMatrix(whole.columns, 12, seed: 4)
    for item in 0..<whole.columns {
      Accumulate.scale(12, text.row(item), by: 0.2)
      let genres = ["space", "cooking", "crime", "garden", "music", "ocean", "magic", "sport"]
      if let genre = genres.firstIndex(of: dataset.catalogue.categories[item].first ?? "") { text[item, genre] += 1 }
    }
    var options = GraphEncoderOptions()
    (options.dimensions, options.epochs, options.evaluateEvery, options.batchSize) = (16, 20, 20, 512)
    let nothing = CSRMatrix(rowLists: (0..<whole.rows).map { _ in [] }, columns: whole.columns)
    let pool = ThreadPool(threads: 2)
    let graph = try GraphEncoderTrainer(
      options: options, split: InteractionSplit(train: train, validation: nothing, test: nothing), seed: 1, pool: pool
    ).train(checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    let completed = try TextNodes(graph: graph, text: text, train: train, pool: pool).completing(
      graph, text: text, train: train)
    let users = (0..<whole.rows).filter { withheld.degree($0) > 0 }
    let others = CSRMatrix(
      rowLists: (0..<whole.rows).map { _ in (0..<Int32(whole.columns)).filter { !isWithheld($0) } },
      columns: whole.columns)
    func recall(_ graph: GraphEmbeddings, among excluded: CSRMatrix) -> Double {
      MetricReport(
        users: users, rankings: graph.rank(users: users, excluding: [excluded], pool: pool), relevant: withheld)[
          "recall@5"]
    }
    // Five of sixteen withheld items by chance: 0.31.
    #expect(recall(completed, among: others) > 0.5)
    #expect(recall(graph, among: others) < 0.45)
    #expect(recall(completed, among: train) > 0)
  }

  @Test func needsATextOfAnItemWithEdges() {
    let text = Matrix(rows: 2, columns: 3)
    let graph = GraphEmbeddings(
      users: Matrix(rows: 1, columns: 2), items: Matrix(rows: 2, columns: 2), foldInBasis: Matrix(rows: 2, columns: 2))
    #expect(throws: GLTAError.self) {
      try TextNodes(graph: graph, text: text, train: CSRMatrix(rowLists: [[0]], columns: 2), pool: .serial)
    }
  }
}
