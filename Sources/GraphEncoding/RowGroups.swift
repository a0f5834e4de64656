import CProcessor

/// Groups of up to four rows of a graph that follow one another, with their neighbours listed by which of the four have
/// them: a sum over a group reads each neighbour once. In fours because four rows of sums fit in a processor's registers.
///
/// Never written after `init`.
final class RowGroups: @unchecked Sendable {
  /// Runs of groups with about the same number of reads: the unit of work of a thread.
  let runs: [Range<Int>]
  /// Where each group's rows begin, and the last one's end.
  private let rows: FixedArray<Int32>
  /// Where each group's neighbours begin.
  private let starts: FixedArray<Int>
  /// Neighbours by the set of rows that have them, sixteen counts for each group.
  private let counts: FixedArray<Int32>
  private let neighbours: FixedArray<UInt16>

  /// The share of reads that must fall away: shorter loops cost what a sixth of them does.
  private static let largestShare = 0.8

  /// The groups of a graph, or nil where its rows share too little, or where it has more nodes than sixteen bits can
  /// number: large graphs are not put in an order to share much, either.
  ///
  /// - Parameter precision: in fixed point neighbours of a set are filled up to fours by the row after the last node's,
  ///   which must be zeros.
  init?(_ graph: NormalizedGraph, precision: LayerPrecision) {
    guard graph.nodes <= UInt16.max else { return nil }
    let bounds = RowGroups.bounds(graph)
    var lists = Lists(graph, multiple: precision == .int16 ? Int(GLTA_FIXED_ROWS) : 1)
    for (start, end) in zip(bounds, bounds.dropFirst()) { lists.append(start..<end) }
    guard Double(lists.neighbours.count) <= RowGroups.largestShare * Double(graph.nonZeros) else { return nil }
    runs = lists.runs()
    rows = FixedArray(bounds.map { Int32($0) })
    starts = FixedArray(lists.starts)
    counts = FixedArray(lists.counts)
    neighbours = FixedArray(lists.neighbours + [UInt16](repeating: 0, count: EdgeLists.ahead))
  }

  /// The rows of some groups.
  func nodes(_ groups: Range<Int>) -> Range<Int> { Int(rows[groups.lowerBound])..<Int(rows[groups.upperBound]) }

  /// What the kernels are told of some groups.
  func kernel(_ groups: Range<Int>) -> glta_row_groups {
    glta_row_groups(
      count: groups.count, rows: rows.base + groups.lowerBound, counts: counts.base + 16 * groups.lowerBound,
      neighbours: neighbours.base + starts[groups.lowerBound])
  }

  /// Fours of users, fours of items; the last ones of each may be fewer.
  private static func bounds(_ graph: NormalizedGraph) -> [Int] {
    Array(stride(from: 0, to: graph.users, by: 4)) + Array(stride(from: graph.users, to: graph.nodes, by: 4))
      + [graph.nodes]
  }

  /// The lists while they grow.
  private struct Lists {
    let edges: EdgeLists
    /// Which rows of the group at hand have a node.
    var sets: [UInt8]
    var starts = [0]
    var counts: [Int32] = []
    var neighbours: [UInt16] = []
    private let multiple: Int
    private let filler: UInt16

    init(_ graph: NormalizedGraph, multiple: Int) {
      edges = graph.edges
      sets = [UInt8](repeating: 0, count: graph.nodes)
      self.multiple = multiple
      filler = UInt16(graph.nodes)
    }

    mutating func append(_ group: Range<Int>) {
      var union: [Int32] = []
      for (bit, node) in group.enumerated() {
        let row = edges.row(node)
        for position in 0..<edges.degree(node) {
          let neighbour = Int(row[position])
          if sets[neighbour] == 0 { union.append(row[position]) }
          sets[neighbour] |= 1 << UInt8(bit)
        }
      }
      union.sort { (sets[Int($0)], $0) < (sets[Int($1)], $1) }
      let first = counts.count
      counts += [Int32](repeating: 0, count: 16)
      for (index, neighbour) in union.enumerated() {
        let set = sets[Int(neighbour)]
        sets[Int(neighbour)] = 0
        neighbours.append(UInt16(neighbour))
        counts[first + Int(set)] += 1
        guard index == union.count - 1 || sets[Int(union[index + 1])] != set else { continue }
        let missing = -Int(counts[first + Int(set)]) & (multiple - 1)
        neighbours += repeatElement(filler, count: missing)
        counts[first + Int(set)] += Int32(missing)
      }
      starts.append(neighbours.count)
    }

    func runs() -> [Range<Int>] {
      var runs: [Range<Int>] = []
      var first = 0
      for group in 0..<starts.count - 1
      where starts[group + 1] - starts[first] >= NormalizedGraph.edgesPerRun || group == starts.count - 2 {
        runs.append(first..<group + 1)
        first = group + 1
      }
      return runs
    }
  }
}
