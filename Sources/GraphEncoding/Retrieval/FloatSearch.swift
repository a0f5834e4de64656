import Tensors

/// Scores blocks of items by the product of floats, and folds each block into the running best while it is in the cache.
struct FloatSearch {
  private let index: ItemIndex
  private let request: RetrievalRequest
  /// Items of a block: a multiple of a panel's. No score depends on it.
  private let block: Int

  init(index: ItemIndex, request: RetrievalRequest) {
    self.index = index
    self.request = request
    block = FloatSearch.blockItems(rows: request.rows)
  }

  /// The block's scores and its panels share the second-level cache; a single query's blocks are longer, for there is
  /// little to do in each.
  private static func blockItems(rows: Int) -> Int { rows < 16 ? 4096 : rows < 64 ? 1024 : 512 }

  /// The best items of each query, best first.
  func run(_ pool: ThreadPool) -> [[RetrievedItem]] {
    let workers = (0..<pool.threads).map { _ in Worker(rows: request.rows, wanted: request.wanted, index, block) }
    pool.forEach((index.count + block - 1) / block) { number, worker in score(number, workers[worker]) }
    return (0..<request.rows).map { row in
      for worker in workers.dropFirst() { workers[0].best[row].join(worker.best[row]) }
      return workers[0].best[row].sorted()
    }
  }

  private func score(_ number: Int, _ worker: Worker) {
    let items = number * block..<min(index.count, (number + 1) * block)
    let scores = worker.scores
    multiply(items, into: scores)
    for row in 0..<request.rows {
      worker.best[row].offer(
        scores.row(row), count: items.count, allowed: request.mask(row, from: items.lowerBound), first: items.lowerBound
      )
    }
  }

  private func multiply(_ items: Range<Int>, into scores: Matrix) {
    let (queries, width) = (request.queries, PackedMatrix.panelColumns)
    switch index.layout {
    case .floats(let packed):
      Product.multiply(
        rows: queries.rows, a: queries.base, rowStride: queries.columns, b: packed,
        panels: items.lowerBound / width..<(items.upperBound + width - 1) / width, into: scores.base,
        stride: scores.columns)
    case .bytes:
      let packed = PackedMatrix(transposing: index.items.slice(items))
      Product.multiply(
        rows: queries.rows, a: queries.base, rowStride: queries.columns, b: packed, into: scores.base,
        stride: scores.columns)
    }
  }

  /// What a thread has to itself.
  private final class Worker {
    let scores: Matrix
    let best: [RunningBest]

    init(rows: Int, wanted: Int, _ index: ItemIndex, _ block: Int) {
      scores = Matrix(rows: rows, columns: block)
      best = (0..<rows).map { _ in RunningBest(wanted: wanted, items: index.count, block: block) }
    }
  }
}
