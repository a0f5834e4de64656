import CProcessor
import Tensors

/// Looks through bytes for the items that may be among the best, and scores these by floats.
///
/// The best N by lower bound are N items that the N-th best score is not below; so an item whose upper bound is below
/// the N-th best lower bound is not among the best N, and all others are candidates.
struct ByteSearch {
  private let index: ItemIndex
  private let bytes: ByteItems
  private let request: RetrievalRequest

  private static let hasVNNI: Int32 = glta_cpu_has_vnni()
  /// Queries of a tile: their sums stay in registers.
  private static let tileRows = 12
  /// Items of a block: its bytes stay in the first-level cache for a few tiles.
  private static let block = 512

  init(index: ItemIndex, bytes: ByteItems, request: RetrievalRequest) {
    self.index = index
    self.bytes = bytes
    self.request = request
  }

  /// The best items of each query, best first.
  func run(_ pool: ThreadPool) -> [[RetrievedItem]] {
    let tiles = makeTiles()
    let lists = (0..<pool.threads).map { _ in
      (0..<request.rows).map { _ in
        CandidateList(wanted: request.wanted, items: index.count, block: ByteSearch.block)
      }
    }
    pool.forEach((index.count + ByteSearch.block - 1) / ByteSearch.block) { number, worker in
      for tile in tiles { scan(number, tile, lists[worker]) }
    }
    var answers = [[RetrievedItem]?](repeating: nil, count: request.rows)
    answers.withUnsafeMutableBufferPointer { answers in
      pool.forEach(request.rows) { row, _ in
        guard tiles[row / ByteSearch.tileRows].isBounded(row % ByteSearch.tileRows) else { return }
        answers[row] = rescore(row, lists.map { $0[row] })
      }
    }
    return complete(answers, pool)
  }

  /// Scores floats for the queries that bounds do not help.
  private func complete(_ answers: [[RetrievedItem]?], _ pool: ThreadPool) -> [[RetrievedItem]] {
    let missing = answers.indices.filter { answers[$0] == nil }
    guard !missing.isEmpty else { return answers.map { $0 ?? [] } }
    var whole = answers.map { $0 ?? [] }
    let floats = FloatSearch(index: index, request: request.picking(missing)).run(pool)
    for (row, answer) in zip(missing, floats) { whole[row] = answer }
    return whole
  }

  private func makeTiles() -> [ByteTile] {
    stride(from: 0, to: request.rows, by: ByteSearch.tileRows).map { start in
      let rows = start..<min(request.rows, start + ByteSearch.tileRows)
      return ByteTile(request.queries.slice(rows), firstRow: start, groups: bytes.groups)
    }
  }

  /// One tile of queries against one block of items.
  private func scan(_ number: Int, _ tile: ByteTile, _ lists: [CandidateList]) {
    let first = number * ByteSearch.block
    withUnsafeTemporaryAllocation(of: glta_byte_query.self, capacity: tile.queries.count) { queries in
      guard let base = queries.baseAddress else { return }
      for (row, query) in tile.queries.enumerated() {
        (base + row).initialize(to: self.query(query, row: tile.firstRow + row, from: first, lists))
      }
      tile.codes.withUnsafeBufferPointer { codes in
        guard let codes = codes.baseAddress else { return }
        var block = glta_byte_block(
          panels: bytes.panel(first / 16), panel_count: (min(index.count - first, ByteSearch.block) + 15) / 16,
          groups: bytes.groups, first_item: Int32(first), codes: codes)
        glta_scan_bytes(ByteSearch.hasVNNI, Int32(tile.queries.count), base, &block)
      }
      for row in 0..<tile.queries.count { lists[tile.firstRow + row].count += base[row].count }
    }
  }

  private func query(
    _ query: ByteTile.Query, row: Int, from first: Int, _ lists: [CandidateList]
  ) -> glta_byte_query {
    let list = lists[row]
    let room = list.makeRoom()
    // Nothing reaches NaN.
    let threshold = query.isBounded && !list.isOverfull ? list.threshold : .nan
    return glta_byte_query(
      offset: query.offset, scale: query.vector.scale, norm: query.vector.norm, error: query.vector.error,
      threshold: threshold, allowed: request.mask(row, from: first), candidates: room, count: 0)
  }

  /// The best of a query's candidates by their scores; nil where there are too many of them.
  private func rescore(_ row: Int, _ lists: [CandidateList]) -> [RetrievedItem]? {
    guard let items = CandidateList.items(of: lists) else { return nil }
    let (query, columns) = (request.queries.row(row), index.items.columns)
    var scored: [RetrievedItem] = []
    scored.reserveCapacity(items.count)
    for item in items {
      let score = Accumulate.dotInOrder(columns, query, index.items.row(Int(item)))
      // Neither NaN nor minus infinity; zero has no sign here.
      if score > -.infinity { scored.append(RetrievedItem(item: item, score: score + 0)) }
    }
    scored.sort { $0.score != $1.score ? $0.score > $1.score : $0.item < $1.item }
    return Array(scored.prefix(request.wanted))
  }
}

/// Some queries in eight bits, as ByteTile.h has them.
private struct ByteTile {
  struct Query {
    let vector: ByteVector
    let offset: Int32
    /// Whether it is finite and not too long.
    let isBounded: Bool
  }

  let firstRow: Int
  private(set) var queries: [Query] = []
  /// groups x rows, four codes each.
  private(set) var codes: [Int32]

  init(_ rows: Matrix, firstRow: Int, groups: Int) {
    self.firstRow = firstRow
    // One word at least: an array without elements has no address.
    codes = [Int32](repeating: 0, count: max(1, groups * rows.rows))
    var numbers = [Int8](repeating: 0, count: max(1, 4 * groups))
    for row in 0..<rows.rows {
      let vector = ByteVector.round(rows.row(row), count: rows.columns, into: &numbers)
      let offset = numbers.reduce(Int32.zero) { $0 - 128 * Int32($1) }
      queries.append(Query(vector: vector ?? .zero, offset: offset, isBounded: vector != nil))
      for group in 0..<groups { codes[group * rows.rows + row] = ByteTile.word(numbers[4 * group..<4 * group + 4]) }
    }
  }

  private static func word(_ numbers: ArraySlice<Int8>) -> Int32 {
    Int32(bitPattern: numbers.reversed().reduce(UInt32.zero) { $0 << 8 | UInt32(UInt8(bitPattern: $1)) })
  }

  /// Whether a query has bounds at all.
  func isBounded(_ row: Int) -> Bool { queries[row].isBounded }
}
