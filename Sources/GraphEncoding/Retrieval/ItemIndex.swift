public import Tensors

/// The item vectors of a catalogue, laid out for the exact best of them by dot product.
///
/// A score is what `Product` makes of it, one sum in order of k. So an answer has the same bits for one query and for
/// many, on one thread and on eight, from `floats` and from `bytes`: it is that of a full sort by score, ties to the
/// smaller index, NaN and minus infinity left out.
public struct ItemIndex: Sendable {
  /// How the vectors are kept.
  public enum Form: String, Sendable, Codable, CaseIterable {
    /// Panels of floats: 4 |I| d bytes, all of which a query reads.
    case floats
    /// Eight bits a number beside the given vectors: |I| (d + 12) bytes are read, and the vectors of the few items that
    /// may be among the best by the bounds of their errors. Where the bounds say too little, floats are scored.
    case bytes
  }

  /// |I| x d.
  public let items: Matrix
  let layout: Layout

  enum Layout: Sendable {
    case floats(PackedMatrix)
    case bytes(ByteItems)
  }

  /// Lays the vectors out.
  ///
  /// - Parameters:
  ///   - items: |I| x d; not to be changed later.
  ///   - form: the answers do not depend on it.
  /// - Throws: `GLTAError.invalidArgument` for bytes of more than `ByteItems.maximumColumns` dimensions.
  public init(_ items: Matrix, form: Form = .floats, pool: ThreadPool = .serial) throws(GLTAError) {
    self.items = items
    switch form {
    case .floats: layout = .floats(PackedMatrix(transposing: items))
    case .bytes: layout = .bytes(try ByteItems(items, pool: pool))
    }
  }

  /// |I|.
  public var count: Int { items.rows }

  /// The best items of each query, best first; fewer than `wanted` where fewer are left.
  ///
  /// - Parameters:
  ///   - wanted: at least one.
  ///   - queries: rows of d floats.
  ///   - filters: one for each query; none: every item may be returned.
  /// - Throws: `GLTAError.invalidArgument` for numbers or shapes that do not fit, `.unknownItem` for an index of a filter
  ///   outside the catalogue.
  public func best(
    _ wanted: Int, of queries: Matrix, filters: [ItemFilter] = [], pool: ThreadPool = .serial
  ) throws(GLTAError) -> [[RetrievedItem]] {
    guard wanted >= 1 else {
      throw GLTAError(.invalidArgument, "the best \(wanted) items were asked for; ask for at least one")
    }
    guard queries.columns == items.columns, filters.isEmpty || filters.count == queries.rows else {
      throw GLTAError(
        .invalidArgument,
        "\(queries.rows) queries of \(queries.columns) numbers with \(filters.count) filters, expected queries of \(items.columns) numbers with a filter each or none"
      )
    }
    var answers: [[RetrievedItem]] = []
    answers.reserveCapacity(queries.rows)
    let group = groupSize(wanted)
    for start in stride(from: 0, to: queries.rows, by: group) {
      let rows = start..<min(queries.rows, start + group)
      var masks: [ItemMask] = []
      if !filters.isEmpty { for row in rows { masks.append(try ItemMask(filters[row], items: count)) } }
      let request = RetrievalRequest(wanted: min(wanted, max(1, count)), queries: queries.slice(rows), masks: masks)
      switch layout {
      case .floats: answers += FloatSearch(index: self, request: request).run(pool)
      case .bytes(let bytes): answers += ByteSearch(index: self, bytes: bytes, request: request).run(pool)
      }
    }
    return answers
  }

  /// Queries that pass over the catalogue together: enough to read it seldom, few enough for the keys that each puts
  /// aside.
  private func groupSize(_ wanted: Int) -> Int {
    let keys = RunningBest.room(wanted: wanted, items: count)
    return max(1, min(ItemIndex.largestGroup, (1 << 22) / max(1, keys)))
  }

  /// Twelve tiles of the product.
  static let largestGroup = 144
}

/// Queries that pass over the catalogue together.
struct RetrievalRequest {
  let wanted: Int
  let queries: Matrix
  /// One for each query, or none at all.
  let masks: [ItemMask]

  var rows: Int { queries.rows }

  /// The words of a query's mask from an item on, a multiple of sixteen; nil: all items are allowed.
  func mask(_ row: Int, from item: Int) -> UnsafePointer<UInt16>? {
    masks.isEmpty ? nil : UnsafePointer(masks[row].words) + item / 16
  }

  /// Some of the queries.
  func picking(_ rows: [Int]) -> RetrievalRequest {
    let picked = Matrix(rows: rows.count, columns: queries.columns)
    Embedding.forward(table: queries, ids: rows.map { Int32($0) }, into: picked.base)
    return RetrievalRequest(wanted: wanted, queries: picked, masks: masks.isEmpty ? [] : rows.map { masks[$0] })
  }
}
