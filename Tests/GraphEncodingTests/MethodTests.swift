import GraphEncoding
import Interactions
import RankingEvaluation
import Tensors
import TestSupport
import Testing

/// Every method: its gradient against finite differences, a small case that is known, and what it does with odd input.
struct MethodTests {
  private static let train = CSRMatrix(rowLists: [[0, 1], [1, 2, 4], [], [0, 4], [2, 3]], columns: 6)
  private static let empty = CSRMatrix(rowLists: [[], [], [], [], []], columns: 6)
  private static let triples: ArraySlice = [
    Triple(user: 0, positive: 1, negative: 3), Triple(user: 1, positive: 4, negative: 0),
    Triple(user: 3, positive: 0, negative: 5), Triple(user: 4, positive: 2, negative: 1),
  ]

  private static func text() -> Matrix {
    let text = randomMatrix(6, 7, seed: 9)
    for row in 0..<6 { Accumulate.scale(7, text.row(row), by: 1 / Accumulate.squares(7, text.row(row)).squareRoot()) }
    // An item without a text.
    text.slice(5..<6).fill(0)
    return text
  }

  private static func trainer(
    _ method: GraphMethod, train: CSRMatrix = train, threads: Int = 2,
    _ change: (inout GraphEncoderOptions) -> Void = { _ in }
  ) -> GraphEncoderTrainer {
    var options = GraphEncoderOptions()
    (options.method, options.dimensions, options.layers, options.hyperedges) = (method, 16, 2, 3)
    (options.l2, options.maskedShare, options.alignmentWeight) = (0.3, 0.5, 0.7)
    (options.epochs, options.evaluateEvery) = (2, 1)
    change(&options)
    let nothing = CSRMatrix(rowLists: (0..<train.rows).map { _ in [] }, columns: train.columns)
    return GraphEncoderTrainer(
      options: options, split: InteractionSplit(train: train, validation: nothing, test: nothing), text: text(),
      seed: 5,
      pool: ThreadPool(threads: threads))
  }

  private static let trained = GraphMethod.allCases.filter(\.givesVectors)

  /// HCCF's own contrastive term takes one side as given, which differences do not, so it is left out. A leaky ReLU may
  /// bend within a step of one point and spoil its differences, but not of most points.
  @Test(arguments: trained.filter { $0 != .hccfPlus }) func gradientAgreesWithFiniteDifferences(method: GraphMethod)
    throws
  {
    let trainer = Self.trainer(method) { options in if method == .hccf { options.alignmentWeight = 0 } }
    let worst = try (0..<5).map { try disagreement(trainer, point: $0) }
    #expect(worst.filter { $0 < 5e-3 }.count >= 4, "\(method) \(worst)")
  }

  /// How far the gradient of any parameter is from its finite differences at a point. The first moment of Adam after one
  /// step is a tenth of the gradient: the whole step is checked, as it is taken.
  private func disagreement(_ trainer: GraphEncoderTrainer, point: Int) throws -> Float {
    let stepped = try trainer.makeModel()
    // Vectors of length one, so that differences are not lost in rounding.
    let values = stepped.parameters.values.enumerated().map { index, value in
      let start = randomMatrix(value.rows, value.columns, seed: UInt64(index + 3 + 16 * point))
      Accumulate.scale(start.count, start.base, by: 0.5)
      return start
    }
    func model() throws -> any GraphModel {
      let model = try trainer.makeModel()
      for (index, name) in model.parameters.names.enumerated() {
        model.parameters.values[index].assign(model.loaded(values[index], name: name))
      }
      model.parametersDidChange()
      return model
    }
    let reference = try model()
    #expect(reference.trainStep(Self.triples, step: 0).isFinite)
    return try zip(reference.parameters.names, values).map { name, value in
      let expected = try finiteDifferences(of: value, step: 2e-3) {
        Double(try model().trainStep(Self.triples, step: 0))
      }
      let moment = reference.saved(reference.parameters.moments(name).first, name: name)
      return relativeDifference(moment.elements.map { $0 * 10 }, expected)
    }.max() ?? 0
  }

  @Test(arguments: trained) func trainsToTheSameBitsOnAnyNumberOfThreads(method: GraphMethod) throws {
    let models = try [1, 2].map { threads in
      try Self.trainer(method, threads: threads).train(
        checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    }
    #expect(
      models[0].items.elements == models[1].items.elements && models[0].users.elements == models[1].users.elements)
    #expect(models[0].items.isFinite && models[0].items.columns == 16)
  }

  @Test func matrixFactorisationIsLightGCNWithoutLayers() throws {
    let factorised = try Self.trainer(.bprMF).train(checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    let flat = try Self.trainer(.lightGCN) { $0.layers = 0 }.train(
      checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    #expect(factorised.items.elements == flat.items.elements)
  }

  /// The default recipe starts from softmax.
  @Test func matrixFactorisationHasTheLossOfItsName() throws {
    let models = try [GraphLoss.bpr, .softmax].map { loss in
      try Self.trainer(.bprMF) { $0.loss = loss }.train(
        checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    }
    #expect(models[0].items.elements == models[1].items.elements)
  }

  @Test func popularityRanksByCounts() {
    let ranking = Popularity(train: Self.train).rank(
      users: [2, 0], excluding: [Self.train], pool: ThreadPool(threads: 1))
    #expect(ranking == [[0, 1, 2, 4, 3, 5], [2, 4, 3, 5]])
  }

  /// Against B = I - P / diag(P) with P from Gauss and Jordan.
  @Test(arguments: [(0, 0), (0.4, 0), (0, 0.5), (0.25, 1)] as [(Double, Float)])
  func easeIsTheClosedForm(dropout: Double, weighting: Float) throws {
    let l2 = 0.7
    let weights = Self.train.userWeights(exponent: weighting)
    let model = try EASE(
      train: Self.train, l2: l2, dropout: dropout, userWeights: weights, pool: ThreadPool(threads: 2))
    var rows = (0..<6).map { i in
      (0..<12).map { j -> Double in
        if j >= 6 { return j - 6 == i ? 1 : 0 }
        let shared = (0..<5).filter {
          Self.train.contains(row: $0, column: Int32(i)) && Self.train.contains(row: $0, column: Int32(j))
        }
        let weight = shared.reduce(0) { $0 + (weights.isEmpty ? 1 : Double(weights[$1])) }
        return i == j ? weight + l2 + dropout / (1 - dropout) * weight : weight
      }
    }
    for pivot in 0..<6 {
      rows[pivot] = rows[pivot].map { [value = rows[pivot][pivot]] in $0 / value }
      for row in 0..<6 where row != pivot {
        let factor = rows[row][pivot]
        for column in 0..<12 { rows[row][column] -= factor * rows[pivot][column] }
      }
    }
    for i in 0..<6 {
      for j in 0..<6 {
        let expected = i == j ? 0 : -rows[i][6 + j] / rows[j][6 + j]
        #expect(abs(Double(model.weights[i, j]) - expected) < 1e-6)
      }
    }
    let scores = Matrix(rows: 1, columns: 6)
    model.score(users: [1][...], into: scores)
    #expect(abs(scores[0, 3] - model.weights[1, 3] - model.weights[2, 3] - model.weights[4, 3]) < 1e-6)
  }

  @Test(arguments: [(0, 0), (1, -0.1), (1, 1), (1, .nan)] as [(Double, Double)])
  func easeRefusesWhatHasNoSolution(l2: Double, dropout: Double) {
    #expect(throws: GLTAError.self) {
      try EASE(train: Self.train, l2: l2, dropout: dropout, pool: .serial)
    }
  }

  @Test func textNeighboursSumLikenesses() {
    let text = Matrix([1, 0, 0.6, 0.8, 0, 1, 0, 0, -1, 0, 0.8, 0.6], rows: 6, columns: 2)
    let scores = Matrix(rows: 1, columns: 6)
    TextNeighbours(train: Self.train, text: text).score(users: [0][...], into: scores)
    #expect(absoluteDifference(scores.elements, [1.6, 1.6, 0.8, 0, -1.6, 1.76]) < 1e-6)
    let one = Matrix(rows: 1, columns: 6)
    // Items 0 and 1 are nearest to item 5 both.
    TextNeighbours(train: Self.train, text: text, neighbours: 1).score(users: [0][...], into: one)
    #expect(absoluteDifference(one.elements, [0, 0, 0, 0, 0, 1.76]) < 1e-6)
  }

  @Test func contrastGradientAgreesWithFiniteDifferences() {
    let (a, b) = (randomMatrix(4, 5), randomMatrix(4, 5, seed: 2))
    let pool = ThreadPool(threads: 2)
    let gradients = ContrastiveLoss.forwardBackward(a, b, temperature: 0.5, pool: pool)
    func loss() -> Double { ContrastiveLoss.forwardBackward(a, b, temperature: 0.5, pool: pool).loss }
    #expect(relativeDifference(gradients.a.elements, finiteDifferences(of: a, step: 3e-3, loss)) < 5e-3)
    #expect(relativeDifference(gradients.b.elements, finiteDifferences(of: b, step: 3e-3, loss)) < 5e-3)
    #expect(ContrastiveLoss.forwardBackward(a.slice(0..<0), b.slice(0..<0), temperature: 1, pool: pool).loss == 0)
  }

  // MARK: Odd input

  @Test(arguments: trained) func worksForASingleUserAndItemsWithoutAnEdge(method: GraphMethod) throws {
    let train = CSRMatrix(rowLists: [[0, 2]], columns: 6)
    let model = try Self.trainer(method, train: train).train(
      checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    #expect(model.items.isFinite)
    #expect(model.rank(users: [0], excluding: [train], pool: .serial)[0].count == 4)
  }

  /// The graph's diameter is four; further layers only repeat what is known.
  @Test func worksWithMoreLayersThanTheDiameter() throws {
    let model = try Self.trainer(.lightGCN) { $0.layers = 16 }.train(
      checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
    #expect(model.items.isFinite && model.users.isFinite)
  }

  @Test func duplicateEdgesCountOnce() {
    let twice = CSRMatrix(rows: 2, columns: 2, edges: (rows: [0, 0, 1], columns: [1, 1, 0]))
    #expect(NormalizedGraph(twice).scale == [1, 1, 1, 1])
  }

  @Test func refusesWhatCannotWork() {
    func refuses(_ name: String, _ change: (inout GraphEncoderOptions) -> Void) {
      let error = #expect(throws: GLTAError.self, "\(name)") {
        try Self.trainer(.lightGCN, change).train(checkpoint: { (_) throws(GLTAError) in }, progress: { _ in true })
      }
      #expect(error?.code == .invalidArgument && error?.message.contains(name) == true)
    }
    refuses("graph.temperature") { $0.temperature = 0 }
    refuses("graph.temperature") { $0.temperature = .nan }
    refuses("graph.alignmentTemperature") { $0.alignmentTemperature = 0 }
    refuses("graph.layers") { $0.layers = 17 }
    refuses("graph.negatives") { ($0.loss, $0.inBatchNegatives) = (.sampledSoftmax, false) }
    refuses("graph.metric") { $0.metric = "ndcg@7" }
    refuses("graph.popularityCorrection") { $0.popularityCorrection = 2 }
    refuses("graph.popularityPower") { $0.popularityPower = -0.1 }
    refuses("graph.userWeighting") { $0.userWeighting = -1 }
    refuses("graph.hyperedgeScale") { $0.hyperedgeScale = -1 }
    refuses("graph.maskedShare") { $0.maskedShare = -1 }
    refuses("graph.hyperedges") { $0.hyperedges = 0 }
  }

  @Test func methodsWithoutVectorsMakeNoBundleAndTextMethodsNeedTexts() {
    for method in GraphMethod.allCases where !method.givesVectors {
      #expect(throws: GLTAError.self) { try Self.trainer(method).makeModel() }
    }
    var options = GraphEncoderOptions()
    options.method = .lightGCNPlus
    let trainer = GraphEncoderTrainer(
      options: options, split: InteractionSplit(train: Self.train, validation: Self.empty, test: Self.empty), seed: 1,
      pool: .serial)
    let error = #expect(throws: GLTAError.self) { try trainer.makeModel() }
    #expect(error?.message.contains("lightgcn+") == true)
  }
}
