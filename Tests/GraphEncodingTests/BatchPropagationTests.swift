import GraphEncoding
import Interactions
import Tensors
import TestSupport
import Testing

/// What is computed for a batch alone must be what whole layers hold.
struct BatchPropagationTests {
  /// 60 users, 50 items, some without edges; the first item is everybody's.
  private let train = CSRMatrix(rowLists: (0..<60).map { BatchPropagationTests.items(of: $0) }, columns: 50)

  private static func items(of user: Int) -> [Int32] {
    guard user % 7 != 3 else { return [] }
    var items: [Int32] = [0]
    for index in 0..<user % 5 { items.append(Int32(1 + (user * 13 + index * 11) % 45)) }
    return items
  }

  /// Few nodes, most nodes, and one without edges; nodes are mentioned again and again.
  private static let batches: [[Int32]] = [[61, 5, 61, 70], (0..<110).map { ($0 * 7) % 110 }, [3, 109]]

  /// 61 users, 49 items, whose rows have most of their neighbours in common with the ones beside them.
  private static let dense = CSRMatrix(
    rowLists: (0..<61).map { user in (0..<49).filter { user != 17 && (user / 3 + Int($0) * 3) % 7 < 3 } }, columns: 49)

  private func check(
    _ train: CSRMatrix? = nil, layers: Int, mentions: [Int32], columns: Int = 96, precision: LayerPrecision,
    tolerance: Float
  ) {
    let graph = NormalizedGraph(train ?? self.train)
    let pool = ThreadPool(threads: 2)
    let x = randomMatrix(110, columns)
    let (whole, work) = (Matrix(rows: 110, columns: columns), Matrix(rows: 110, columns: columns))
    let encoder = LightGCN(graph: graph, layers: layers)
    encoder.apply(x, work: work, into: whole, pool: pool)
    let batch = BatchNodes(nodes: 110)
    batch.assign(mentions)
    let propagation = BatchPropagation(
      graph: graph, layers: layers, columns: columns, precision: precision, pool: pool)
    propagation.assign(x)
    let output = Matrix(rows: batch.count, columns: columns)
    propagation.forward(x, batch, into: output)
    let expected = batch.nodes.flatMap { whole.slice(Int($0)..<Int($0) + 1).elements }
    #expect(relativeDifference(output.elements, expected) < tolerance)

    let gradient = randomMatrix(batch.count, columns, seed: 2)
    let scattered = Matrix(rows: 110, columns: columns)
    for (slot, node) in batch.nodes.enumerated() {
      scattered.row(Int(node)).update(from: gradient.row(slot), count: columns)
    }
    encoder.apply(scattered, work: work, into: whole, pool: pool)
    let back = Matrix(rows: 110, columns: columns)
    propagation.backward(gradient, batch, x: x) { nodes, rows in
      back.row(nodes.lowerBound).update(from: rows, count: nodes.count * columns)
    }
    #expect(relativeDifference(back.elements, whole.elements) < tolerance)
  }

  @Test(arguments: 0...4, batches) func agreesWithWholeLayers(layers: Int, mentions: [Int32]) {
    check(layers: layers, mentions: mentions, precision: .f32, tolerance: 1e-5)
  }

  @Test(arguments: 0...4, batches) func agreesWithWholeLayersToTheRoundingOfBF16(layers: Int, mentions: [Int32]) {
    check(layers: layers, mentions: mentions, precision: .bf16, tolerance: 1e-2)
  }

  @Test(arguments: 0...4, batches) func agreesWithWholeLayersWhereRowsShareNeighbours(layers: Int, mentions: [Int32]) {
    check(Self.dense, layers: layers, mentions: mentions, precision: .f32, tolerance: 1e-5)
    check(Self.dense, layers: layers, mentions: mentions, precision: .bf16, tolerance: 1e-2)
  }

  @Test(arguments: 0...4, batches) func agreesWithWholeLayersToTheRoundingOfFixedPoint(layers: Int, mentions: [Int32]) {
    for columns in [32, 64, 96, 160] {
      check(layers: layers, mentions: mentions, columns: columns, precision: .int16, tolerance: 2e-3)
      check(Self.dense, layers: layers, mentions: mentions, columns: columns, precision: .int16, tolerance: 2e-3)
    }
  }

  /// Whether rows are summed in groups or from lists is the graph's choice; sums of whole numbers do not tell.
  @Test func fixedPointHasTheSameBitsInAnyOrder() {
    let pool = ThreadPool(threads: 2)
    func output(_ train: CSRMatrix, _ x: Matrix, _ mentions: [Int32]) -> [Float] {
      let propagation = BatchPropagation(
        graph: NormalizedGraph(train), layers: 3, columns: 64, precision: .int16, pool: pool)
      let batch = BatchNodes(nodes: x.rows)
      batch.assign(mentions)
      let output = Matrix(rows: batch.count, columns: 64)
      propagation.assign(x)
      propagation.forward(x, batch, into: output)
      return output.elements
    }
    let order = (0..<61).sorted { ($0 * 29 % 61) < ($1 * 29 % 61) }
    let shuffled = CSRMatrix(rowLists: order.map { Array(Self.dense[$0]) }, columns: 49)
    let x = randomMatrix(110, 64)
    let moved = Matrix(rows: 110, columns: 64)
    for node in 0..<110 { moved.row(node).update(from: x.row(node < 61 ? order[node] : node), count: 64) }
    let items = (61..<110).map { Int32($0) }
    #expect(output(Self.dense, x, items) == output(shuffled, moved, items))
  }

  /// A sum of more numbers than thirty-two bits have room for.
  @Test func fixedPointSumsRowsOfAnyLength() {
    let users = 300_000
    let graph = NormalizedGraph(CSRMatrix(rowLists: (0..<users).map { _ in [0] }, columns: 1))
    let x = Matrix(rows: users + 1, columns: 32)
    x.fill(1)
    let propagation = BatchPropagation(
      graph: graph, layers: 1, columns: 32, precision: .int16, pool: ThreadPool(threads: 2))
    propagation.assign(x)
    let batch = BatchNodes(nodes: users + 1)
    batch.assign([Int32(users)])
    let output = Matrix(rows: 1, columns: 32)
    propagation.forward(x, batch, into: output)
    let expected = (1 + Float(users).squareRoot()) / 2
    #expect(output.elements.allSatisfy { abs($0 - expected) < 1e-4 * expected })
  }

  /// Training moves x; how many ones of a fixed-point layer a one is must follow, from nothing at all on.
  @Test(arguments: [Float(1000), 0.001, 0]) func fixedPointFollowsWhatTrainingDoes(factor: Float) {
    let graph = NormalizedGraph(Self.dense)
    let pool = ThreadPool(threads: 2)
    let x = randomMatrix(110, 64)
    let batch = BatchNodes(nodes: 110)
    batch.assign((0..<110).map { $0 })
    func output(_ propagation: BatchPropagation) -> [Float] {
      let output = Matrix(rows: 110, columns: 64)
      propagation.forward(x, batch, into: output)
      return output.elements
    }
    func propagation() -> BatchPropagation {
      let propagation = BatchPropagation(graph: graph, layers: 2, columns: 64, precision: .int16, pool: pool)
      propagation.assign(x)
      return propagation
    }
    let trained = propagation()
    let before = output(trained)
    trained.backward(Matrix(rows: 110, columns: 64), batch, x: x) { nodes, gradients in
      for position in 0..<nodes.count * 64 {
        #expect(gradients[position] == 0)
        x.row(nodes.lowerBound)[position] *= factor
      }
    }
    let after = output(trained)
    #expect(after == output(propagation()), "a run that goes on after a stop would differ")
    #expect(relativeDifference(after, before.map { $0 * factor }) < 2e-3)
  }

  /// One value serves batch after batch: nothing of an earlier one may be left.
  @Test func forgetsTheBatchBefore() {
    let graph = NormalizedGraph(train)
    let pool = ThreadPool(threads: 1)
    let x = randomMatrix(110, 16)
    func outputs(_ batches: [[Int32]]) -> [Float] {
      let propagation = BatchPropagation(graph: graph, layers: 3, columns: 16, precision: .f32, pool: pool)
      propagation.assign(x)
      let batch = BatchNodes(nodes: 110)
      let back = Matrix(rows: 110, columns: 16)
      var result: [Float] = []
      for mentions in batches {
        batch.assign(mentions)
        let output = Matrix(rows: batch.count, columns: 16)
        propagation.forward(x, batch, into: output)
        propagation.backward(output, batch, x: x) { nodes, rows in
          back.row(nodes.lowerBound).update(from: rows, count: nodes.count * 16)
        }
        result = output.elements + back.elements
      }
      return result
    }
    #expect(outputs(Self.batches + [[61, 5, 61, 70]]) == outputs([[61, 5, 61, 70]]))
  }

  @Test func slotsFollowNodes() {
    let batch = BatchNodes(nodes: 10)
    batch.assign([7, 2, 7, 9])
    #expect(batch.nodes == [2, 7, 9] && batch.slots == [1, 0, 1, 2])
    #expect(batch.mentionCount(1) == 2 && batch.slot(of: 2) == 0 && batch.slot(of: 0) == nil)
    batch.assign([0])
    #expect(batch.slot(of: 7) == nil && batch.slot(of: 0) == 0)
  }
}
