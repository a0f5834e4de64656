import Tensors

/// A sparse 0/1 matrix in compressed rows: row u holds the items of user u, ascending.
///
/// Built from an edge list by counting sort in O(rows + edges); nothing of size rows x columns ever exists.
public struct CSRMatrix: Sendable, Equatable {
  /// The users, in a matrix of interactions.
  public let rows: Int
  /// The items, in a matrix of interactions.
  public let columns: Int
  /// `rows + 1` offsets into `indices`.
  public let offsets: [Int]
  /// The column indices, row after row, ascending and without repeats within a row.
  public let indices: [Int32]

  /// - Precondition: offsets and indices obey the rules above. Readers of files check them first.
  public init(rows: Int, columns: Int, offsets: [Int], indices: [Int32]) {
    precondition(offsets.count == rows + 1 && offsets[rows] == indices.count)
    self.rows = rows
    self.columns = columns
    self.offsets = offsets
    self.indices = indices
  }

  /// The matrix with an entry for every edge; repeated edges count once.
  public init(rows: Int, columns: Int, edges: (rows: [Int32], columns: [Int32])) {
    precondition(edges.rows.count == edges.columns.count)
    // Two stable counting sorts, by column and then by row, leave each row ascending.
    let byColumn = CSRMatrix.countingSort(keys: edges.columns, bound: columns, order: nil).order
    let byRow = CSRMatrix.countingSort(keys: edges.rows, bound: rows, order: byColumn)
    var offsets = [0]
    offsets.reserveCapacity(rows + 1)
    var indices: [Int32] = []
    indices.reserveCapacity(edges.rows.count)
    for row in 0..<rows {
      let start = indices.count
      for position in byRow.offsets[row]..<byRow.offsets[row + 1] {
        let column = edges.columns[byRow.order[position]]
        if indices.count == start || indices[indices.count - 1] != column { indices.append(column) }
      }
      offsets.append(indices.count)
    }
    self.init(rows: rows, columns: columns, offsets: offsets, indices: indices)
  }

  /// The matrix whose rows are these lists.
  public init(rowLists: [[Int32]], columns: Int) {
    var rows: [Int32] = []
    for (row, list) in rowLists.enumerated() { rows += [Int32](repeating: Int32(row), count: list.count) }
    self.init(rows: rowLists.count, columns: columns, edges: (rows, rowLists.flatMap { $0 }))
  }

  /// The entries in all.
  public var count: Int { indices.count }

  /// The columns of one row, ascending.
  public subscript(row: Int) -> ArraySlice<Int32> { indices[offsets[row]..<offsets[row + 1]] }

  /// The entries of one row.
  public func degree(_ row: Int) -> Int { offsets[row + 1] - offsets[row] }

  /// Whether an entry exists, by binary search.
  public func contains(row: Int, column: Int32) -> Bool {
    var (low, high) = (offsets[row], offsets[row + 1])
    while low < high {
      let middle = (low + high) / 2
      if indices[middle] < column { low = middle + 1 } else { high = middle }
    }
    return low < offsets[row + 1] && indices[low] == column
  }

  /// Rows and columns exchanged: the users of each item.
  public func transposed() -> CSRMatrix {
    var rowOfEntry: [Int32] = []
    rowOfEntry.reserveCapacity(count)
    for row in 0..<rows { rowOfEntry += repeatElement(Int32(row), count: degree(row)) }
    return CSRMatrix(rows: columns, columns: rows, edges: (indices, rowOfEntry))
  }

  private static func countingSort(
    keys: [Int32], bound: Int, order: [Int]?
  ) -> (order: [Int], offsets: [Int]) {
    var offsets = [Int](repeating: 0, count: bound + 1)
    for key in keys { offsets[Int(key) + 1] += 1 }
    for key in 0..<bound { offsets[key + 1] += offsets[key] }
    var cursors = offsets
    var sorted = [Int](repeating: 0, count: keys.count)
    for position in 0..<keys.count {
      let edge = order?[position] ?? position
      let key = Int(keys[edge])
      sorted[cursors[key]] = edge
      cursors[key] += 1
    }
    return (sorted, offsets)
  }
}

/// The three parts of a data set, each users x items.
public struct InteractionSplit: Sendable, Equatable {
  /// What models learn from.
  public var train: CSRMatrix
  /// What settings and weights are chosen by.
  public var validation: CSRMatrix
  /// What is only ever measured on.
  public var test: CSRMatrix

  /// A split of three matrices of one shape.
  public init(train: CSRMatrix, validation: CSRMatrix, test: CSRMatrix) {
    self.train = train
    self.validation = validation
    self.test = test
  }
}
