import Interactions
import Tensors

/// An order of the graph's users and items in which rows that share neighbours are near one another, so that what one row
/// of a sparse product fetched is still in the cache when the next ones ask for it.
///
/// Items are ordered by recursive bisection (Dhulipala et al., *Compressing Graphs and Indexes with Recursive Graph
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

  /// The order for layers of `columns` floats a row: the given one where layers are small.
  init(_ train: CSRMatrix, columns: Int) {
    isIdentity = (train.rows + train.columns) * columns * 4 < NodeOrder.minimumLayerBytes
    if isIdentity {
      users = (0..<Int32(train.rows)).map { $0 }
      items = (0..<Int32(train.columns)).map { $0 }
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
