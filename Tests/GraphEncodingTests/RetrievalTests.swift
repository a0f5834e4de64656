import CProcessor
import GraphEncoding
import Tensors
import TestSupport
import Testing

/// The exact best items of a query, against a sort of all scores.
@Suite struct RetrievalTests {
  @Test(arguments: [(1, 1), (15, 3), (16, 16), (17, 5), (1_000, 64), (9_001, 65)])
  func bestAreThoseOfAFullSort(items: Int, dimensions: Int) throws {
    let matrix = randomMatrix(items, dimensions)
    for rows in [1, 2, 13, 30] {
      let queries = randomMatrix(rows, dimensions, seed: 2)
      for wanted in [1, 7, 200, items, items + 5] {
        try expectExact(wanted, of: queries, among: matrix)
      }
    }
  }

  /// More queries than pass over the catalogue together.
  @Test func manyQueriesGoInGroups() throws {
    try expectExact(10, of: randomMatrix(300, 8, seed: 2), among: randomMatrix(700, 8))
  }

  @Test func tiesGoToTheSmallerIndex() throws {
    // Small whole numbers: every score is shared by hundreds of items.
    let matrix = Matrix((0..<3_000).map { Float($0 * $0 % 7 - 3) }, rows: 1_000, columns: 3)
    try expectExact(150, of: Matrix([1, 0, 0, 1, -1, 2, 0, 0, 0], rows: 3, columns: 3), among: matrix)
  }

  /// All bounds overlap: nothing is left out by them, and the floats decide.
  @Test func equalItemsAreAllCandidates() throws {
    let matrix = Matrix(rows: 40_000, columns: 16)
    matrix.fill(0.3)
    for query in [randomMatrix(1, 16), Matrix(rows: 1, columns: 16)] { try expectExact(20, of: query, among: matrix) }
  }

  /// Each score is the best so far, or none is.
  @Test(arguments: [Float(1), -1]) func risingAndFallingScores(sign: Float) throws {
    let matrix = Matrix((0..<30_000).map { sign * (1 + Float($0)) }, rows: 30_000, columns: 1)
    try expectExact(100, of: Matrix([0.5], rows: 1, columns: 1), among: matrix)
  }

  /// Items that differ from one another by less than eight bits can say, among many that are far away.
  @Test func nearTiesAreToldApart() throws {
    let matrix = randomMatrix(20_000, 32)
    let query = randomMatrix(1, 32, seed: 3)
    let noise = randomMatrix(400, 32, seed: 4)
    for near in 0..<400 {
      let row = matrix.row(near * 47)
      for k in 0..<32 { row[k] = query.base[k] * (1 + 1e-7 * noise[near, k]) }
    }
    try expectExact(250, of: query, among: matrix)
  }

  /// The best items owe all of their score to what rounding takes away, of themselves or of the query; those that they have
  /// to pass are rounded to themselves. Bounds have nothing to give away here.
  @Test(arguments: [true, false]) func boundsAreWideEnough(inItems: Bool) throws {
    let matrix = Matrix(rows: 20_000, columns: 2)
    for item in 0..<20_000 {
      let (step, isBest) = (Float(item % 97) * 1e-4, item % 199 == 0)
      let small = (isBest ? 0.4 - step : 0.3 - step) / 127
      switch (inItems, isBest) {
      case (true, true): (matrix[item, 0], matrix[item, 1]) = (1, small)
      case (true, false): matrix[item, 1] = small
      case (false, true): matrix[item, 1] = 1 - step
      case (false, false): matrix[item, 0] = small
      }
    }
    let query = Matrix(inItems ? [0, 1] : [1, 0.4 / 127], rows: 1, columns: 2)
    let best = try ItemIndex(matrix).best(80, of: query)[0]
    #expect(best.allSatisfy { $0.item % 199 == 0 })
    try expectExact(80, of: query, among: matrix)
  }

  @Test func numbersOfAnySize() throws {
    let matrix = randomMatrix(5_000, 12)
    for item in 0..<5_000 {
      let scale: Float = [1e-37, 1e-30, 1e-8, 1, 1e8, 1e17, 1e19, 1e37][item % 8]
      Accumulate.scale(12, matrix.row(item), by: scale)
      if item % 31 == 0 { matrix.row(item)[item % 12] *= 1e-30 }
    }
    let queries = randomMatrix(6, 12, seed: 5)
    for (row, scale) in ([1e-37, 1e-20, 1, 1e10, 1e19, 1e30] as [Float]).enumerated() {
      Accumulate.scale(12, queries.row(row), by: scale)
    }
    for wanted in [1, 40, 700] { try expectExact(wanted, of: queries, among: matrix) }
  }

  @Test func whatIsNoNumberIsLeftOut() throws {
    let matrix = randomMatrix(2_000, 4)
    for item in stride(from: 0, to: 2_000, by: 3) {
      matrix.row(item)[item % 4] = [Float.nan, .infinity, -.infinity][item / 3 % 3]
    }
    let queries = randomMatrix(5, 4, seed: 6)
    queries.row(1)[0] = .infinity
    queries.row(2)[3] = .nan
    queries.slice(3..<4).fill(0)
    for wanted in [5, 1_999] { try expectExact(wanted, of: queries, among: matrix) }
  }

  // MARK: Filters

  @Test func filtersHold() throws {
    let (matrix, queries) = (randomMatrix(3_000, 8), randomMatrix(6, 8, seed: 7))
    let all = (0..<3_000).map(Int32.init)
    let filters = [
      ItemFilter(), ItemFilter(excluded: all.filter { $0 % 2 == 0 }), ItemFilter(allowed: [2_999, 0, 17, 17]),
      ItemFilter(excluded: all), ItemFilter(allowed: []),
      ItemFilter(excluded: [5, 5, 1_001], allowed: all.filter { $0 % 5 == 0 }),
    ]
    for wanted in [1, 3, 100] { try expectExact(wanted, of: queries, among: matrix, filters: filters) }
    let empty = try ItemIndex(matrix).best(10, of: queries, filters: filters)
    #expect(empty[3].isEmpty && empty[4].isEmpty && empty[2].count == 3)
  }

  @Test func badInputIsRefused() throws {
    for form in ItemIndex.Form.allCases {
      let index = try ItemIndex(randomMatrix(10, 4), form: form)
      let query = randomMatrix(1, 4)
      #expect(throws: GLTAError.self) { try index.best(0, of: query) }
      #expect(throws: GLTAError.self) { try index.best(1, of: randomMatrix(1, 5)) }
      #expect(throws: GLTAError.self) { try index.best(1, of: query, filters: [ItemFilter(), ItemFilter()]) }
      #expect(throws: GLTAError.self) { try index.best(1, of: query, filters: [ItemFilter(excluded: [10])]) }
      #expect(throws: GLTAError.self) { try index.best(1, of: query, filters: [ItemFilter(allowed: [-1])]) }
    }
    #expect(throws: GLTAError.self) { try ItemIndex(Matrix(rows: 1, columns: 40_000), form: .bytes) }
  }

  @Test func nothingIsFoundInNothing() throws {
    for form in ItemIndex.Form.allCases {
      #expect(try ItemIndex(Matrix(rows: 0, columns: 4), form: form).best(3, of: randomMatrix(2, 4)) == [[], []])
      #expect(try ItemIndex(randomMatrix(9, 4), form: form).best(3, of: Matrix(rows: 0, columns: 4)) == [])
    }
    try expectExact(2, of: Matrix(rows: 1, columns: 0), among: Matrix(rows: 5, columns: 0))
  }

  // MARK: Same bits

  @Test func threadsAndBatchesChangeNothing() throws {
    let (matrix, queries) = (randomMatrix(30_000, 24), randomMatrix(40, 24, seed: 8))
    for form in ItemIndex.Form.allCases {
      let index = try ItemIndex(matrix, form: form)
      let alone = try (0..<queries.rows).map { try index.best(60, of: queries.slice($0..<$0 + 1))[0] }
      for threads in [1, 2, 3] {
        #expect(try index.best(60, of: queries, pool: ThreadPool(threads: threads)) == alone)
      }
    }
  }

  /// Processors without VNNI keep the same candidates.
  @Test(arguments: [1, 2, 12]) func bytesAreMultipliedAlikeWithoutVNNI(rows: Int) {
    guard glta_cpu_has_vnni() != 0 else { return }
    let plain = candidates(rows: rows, vnni: 0)
    #expect(plain == candidates(rows: rows, vnni: 1))
    #expect(plain.contains { !$0.isEmpty && $0.count < 48 })
  }

  private func candidates(rows: Int, vnni: Int32) -> [[[Float]]] {
    let (panels, groups) = (3, 5)
    var random = Philox(seed: 9, purpose: "bytes").sequence()
    var bytes: [UInt8] = []
    for _ in 0..<panels {
      let numbers = (0..<48).map { _ in random.uniform() * 0.1 }
      bytes += numbers.withUnsafeBytes { Array($0) }
      bytes += (0..<groups * 64).map { _ in UInt8(truncatingIfNeeded: random.nextWord()) }
    }
    let codes = (0..<groups * rows).map { _ in Int32(bitPattern: random.nextWord()) }
    let room = UnsafeMutablePointer<glta_candidate>.allocate(capacity: rows * panels * 16)
    defer { room.deallocate() }
    var queries = (0..<rows).map { row in
      glta_byte_query(
        offset: Int32(random.index(below: 1_000)), scale: 0.01, norm: 1.5, error: 0.2, threshold: 5, allowed: nil,
        candidates: room + row * panels * 16, count: 0)
    }
    bytes.withUnsafeBufferPointer { bytes in
      codes.withUnsafeBufferPointer { codes in
        guard let bytes = bytes.baseAddress, let codes = codes.baseAddress else { return }
        var block = glta_byte_block(
          panels: bytes, panel_count: panels, groups: groups, first_item: 32, codes: codes)
        glta_scan_bytes(vnni, Int32(rows), &queries, &block)
      }
    }
    return queries.map { query in
      (0..<query.count).map {
        [query.candidates[$0].lower, query.candidates[$0].upper, Float(query.candidates[$0].item)]
      }
    }
  }

  // MARK: The naive twin

  private func expectExact(
    _ wanted: Int, of queries: Matrix, among items: Matrix, filters: [ItemFilter] = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let expected = (0..<queries.rows).map { row in
      sorted(queries.row(row), items, filters.isEmpty ? ItemFilter() : filters[row]).prefix(wanted)
    }
    for form in ItemIndex.Form.allCases {
      let index = try ItemIndex(items, form: form)
      let found = try index.best(wanted, of: queries, filters: filters)
      for row in 0..<queries.rows where !found[row].elementsEqual(expected[row]) {
        Issue.record("\(form), best \(wanted), query \(row)", sourceLocation: sourceLocation)
      }
    }
  }

  private func sorted(_ query: UnsafePointer<Float>, _ items: Matrix, _ filter: ItemFilter) -> [RetrievedItem] {
    let (excluded, allowed) = (Set(filter.excluded), filter.allowed.map(Set.init))
    let scored = (0..<items.rows).map { item in
      RetrievedItem(item: Int32(item), score: Accumulate.dotInOrder(items.columns, query, items.row(item)))
    }
    return scored.filter {
      $0.score > -.infinity && !excluded.contains($0.item) && allowed?.contains($0.item) ?? true
    }.sorted { $0.score != $1.score ? $0.score > $1.score : $0.item < $1.item }
  }
}
