import Interactions
import Tensors

/// An order of the graph's users and items in which rows that share neighbours are near one another, so that what one row
/// of a sparse product fetched is still in the cache when the next ones ask for it.
///
/// Small dense graphs have the rows with most neighbours in common in fours, for `RowGroups`. In large graphs, items are
/// ordered by recursive bisection (Dhulipala et al., *Compressing Graphs and Indexes with Recursive Graph
/// Bisection*, KDD 2016), users by the middle one of their items. Only the sums of floats change by it: whoever stands
/// outside sees the given order.
struct NodeOrder: Sendable {
  /// The user at each place, and the item.
  let users: [Int32]
  let items: [Int32]
  /// The place of each user, and of each item.
  let placeOfUser: [Int32]
  let placeOfItem: [Int32]
  /// Whether every node is in the place of its own number.
  let isIdentity: Bool

  /// Layers of fewer bytes stay in a processor's second cache in any order.
  static let minimumLayerBytes = 4 << 20

  /// Graphs of fewer edges for a pair of user and item have few neighbours in common.
  static let minimumDensity = 0.005

  /// The order for layers of `columns` floats a row: the given one where layers are small and the graph is not dense.
  init(_ train: CSRMatrix, columns: Int) {
    let isSmall = (train.rows + train.columns) * columns * 4 < NodeOrder.minimumLayerBytes
    let pairs = Double(train.rows) * Double(train.columns)
    isIdentity = isSmall && (columns == 0 || Double(train.count) < NodeOrder.minimumDensity * pairs)
    if isIdentity {
      users = (0..<Int32(train.rows)).map { $0 }
      items = (0..<Int32(train.columns)).map { $0 }
    } else if isSmall {
      users = NodeOrder.byOverlap(train)
      items = NodeOrder.byOverlap(train.transposed())
    } else {
      items = GraphBisection(train).order()
      users = NodeOrder.byMiddle(train, places: NodeOrder.inverse(items))
    }
    (placeOfUser, placeOfItem) = (NodeOrder.inverse(users), NodeOrder.inverse(items))
  }

  private static func inverse(_ order: [Int32]) -> [Int32] {
    var places = [Int32](repeating: 0, count: order.count)
    for (place, index) in order.enumerated() { places[Int(index)] = Int32(place) }
    return places
  }

  /// Users by the median place of their items; those without items come last.
  private static func byMiddle(_ train: CSRMatrix, places: [Int32]) -> [Int32] {
    let middles = (0..<train.rows).map { user in
      let row = train[user].map { places[Int($0)] }.sorted()
      return row.isEmpty ? Int32.max : row[row.count / 2]
    }
    return (0..<Int32(train.rows)).sorted { (middles[Int($0)], $0) < (middles[Int($1)], $1) }
  }

  /// Fours of rows, each begun by the longest row that is left and filled up by those of the next longest 512 that have
  /// most in common with it, by the cosine of one with the union of the others.
  private static func byOverlap(_ rows: CSRMatrix) -> [Int32] {
    var left = (0..<Int32(rows.rows)).sorted { (rows.degree(Int($1)), $0) < (rows.degree(Int($0)), $1) }
    left.reverse()
    var order: [Int32] = []
    var marks = [UInt8](repeating: 0, count: rows.columns)
    rows.indices.withUnsafeBufferPointer { indices in
      func entries(_ row: Int32) -> UnsafeBufferPointer<Int32> {
        UnsafeBufferPointer(rebasing: indices[rows.offsets[Int(row)]..<rows.offsets[Int(row) + 1]])
      }
      marks.withUnsafeMutableBufferPointer { marks in
        while let first = left.popLast() {
          let group = order.count
          order.append(first)
          for entry in entries(first) { marks[Int(entry)] = 1 }
          while order.count < group + 4, !left.isEmpty {
            let window = left.indices.suffix(512)
            let shares = window.map { place in
              let row = entries(left[place])
              return Float(row.reduce(0) { $0 + Int(marks[Int($1)]) }) / Float(row.count + 1).squareRoot()
            }
            guard let best = zip(shares, window).max(by: { $0 < $1 }) else { break }
            let next = left.remove(at: best.1)
            order.append(next)
            for entry in entries(next) { marks[Int(entry)] = 1 }
          }
          for row in order[group...] { for entry in entries(row) { marks[Int(entry)] = 0 } }
        }
      }
    }
    return order
  }

  /// Interactions with rows and columns in this order.
  func arranged(_ train: CSRMatrix) -> CSRMatrix {
    if isIdentity { return train }
    var offsets = [0]
    var indices: [Int32] = []
    offsets.reserveCapacity(train.rows + 1)
    indices.reserveCapacity(train.count)
    for user in users {
      indices += train[Int(user)].map { placeOfItem[Int($0)] }.sorted()
      offsets.append(indices.count)
    }
    return CSRMatrix(rows: train.rows, columns: train.columns, offsets: offsets, indices: indices)
  }

  /// Triples in this order.
  func arranged(_ triples: ArraySlice<Triple>) -> ArraySlice<Triple> {
    if isIdentity { return triples }
    return triples.map { triple in
      Triple(
        user: placeOfUser[Int(triple.user)], positive: placeOfItem[Int(triple.positive)],
        negative: triple.negative < 0 ? -1 : placeOfItem[Int(triple.negative)])
    }[...]
  }

  /// Rows of nodes, or of items alone, in this order: the same matrix where nothing moves.
  func arranged(_ rows: Matrix) -> Matrix {
    move(rows, isToPlaces: true, rows.rows == items.count ? [items] : [users, items])
  }

  /// Rows of users in this order.
  func arranged(users rows: Matrix) -> Matrix { move(rows, isToPlaces: true, [users]) }

  /// Texts and profiles of nodes in this order.
  func arranged(_ text: TextInputs) -> TextInputs {
    TextInputs(
      items: arranged(text.items),
      profiles: text.profiles.map { NodeProfiles(users: arranged(users: $0.users), items: arranged($0.items)) })
  }

  /// Rows of nodes, or of items alone, back in the given order.
  func restored(_ rows: Matrix) -> Matrix {
    move(rows, isToPlaces: false, rows.rows == items.count ? [items] : [users, items])
  }

  /// Rows of users back in the given order.
  func restored(users rows: Matrix) -> Matrix { move(rows, isToPlaces: false, [users]) }

  private func move(_ rows: Matrix, isToPlaces: Bool, _ sides: [[Int32]]) -> Matrix {
    if isIdentity { return rows }
    precondition(rows.rows == sides.reduce(0) { $0 + $1.count })
    let result = Matrix(rows: rows.rows, columns: rows.columns)
    var first = 0
    for side in sides {
      for (index, given) in side.enumerated() {
        let (here, there) = (first + Int(given), first + index)
        result.row(isToPlaces ? there : here).update(from: rows.row(isToPlaces ? here : there), count: rows.columns)
      }
      first += side.count
    }
    return result
  }
}
