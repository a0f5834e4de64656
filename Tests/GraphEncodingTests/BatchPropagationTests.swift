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

  /// 61 users, 49 items: most of the first forty users have most of the first twenty items, the others few.
  private static let dark = CSRMatrix(
    rowLists: (0..<61).map { user in
      (0..<49).filter { item in
        user < 40 && item < 20 ? (user + Int(item)) % 5 > 0 : user != 50 && (user * 7 + Int(item) * 5) % 23 == 0
      }
    }, columns: 49)

  private func check(
    _ train: CSRMatrix? = nil, layers: Int, mentions: [Int32], columns: Int = 96, precision: LayerPrecision,
    emulatesUnits: Bool = false, tolerance: Float
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
      graph: graph, layers: layers, columns: columns, precision: precision, emulatesUnits: emulatesUnits, pool: pool)
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
    propagation.backward(gradient, batch) { nodes, rows in
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

  /// With matrix units where the processor has them, and with the same blocks summed bit by bit everywhere.
  @Test(arguments: 0...4, batches)
  func agreesWithWholeLayersWhereGraphsAreDenseInPlaces(layers: Int, mentions: [Int32]) {
    #expect(DenseBlocks(NormalizedGraph(Self.dark), emulatesUnits: true) != nil, "the test has no blocks")
    for columns in [32, 64, 96, 160] {
      for emulatesUnits in [false, true] {
        check(
          Self.dark, layers: layers, mentions: mentions, columns: columns, precision: .bf16,
          emulatesUnits: emulatesUnits, tolerance: 1e-2)
      }
    }
  }

  /// Every edge once: in a block's bits or in a list.
  @Test func blocksAndListsHaveEveryEdgeOnce() throws {
    let blocks = try #require(DenseBlocks(NormalizedGraph(Self.dark), emulatesUnits: true))
    #expect(blocks.listedEdges > 0 && blocks.listedEdges < Self.dark.count)
    let back = Self.dark.transposed()
    let expected = (0..<61).map { Self.dark[$0].map { $0 + 61 } } + (0..<49).map { Array(back[$0]) }
    #expect(blocks.neighbours().map { $0.sorted() } == expected)
  }

  @Test func sparseGraphsHaveNoBlocks() {
    let one = CSRMatrix(rowLists: (0..<60).map { [$0] }, columns: 60)
    #expect(DenseBlocks(NormalizedGraph(one), emulatesUnits: true) == nil)
    #expect(DenseBlocks(NormalizedGraph(CSRMatrix(rowLists: [[]], columns: 1)), emulatesUnits: true) == nil)
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
        propagation.backward(output, batch) { nodes, rows in
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
