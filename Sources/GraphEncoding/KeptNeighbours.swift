import CProcessor

/// The neighbours of some rows, one row after the other, so that rows which are needed soon can be fetched from afar across
/// the ends of lists. Scratch memory of one thread.
final class KeptNeighbours {
  let neighbours: UnsafeMutablePointer<Int32>
  /// Where each row begins, and the last one ends.
  let offsets: UnsafeMutablePointer<Int>
  private var rows = 0

  /// Room for any run of a graph's rows.
  init(_ graph: NormalizedGraph) {
    let room = NormalizedGraph.edgesPerRun + graph.edges.maximumDegree + EdgeLists.ahead
    neighbours = .allocate(capacity: room)
    // What kernels read beyond the end is a row, if only an old one.
    neighbours.initialize(repeating: 0, count: room)
    let rows = max(graph.nodes, 1)
    offsets = .allocate(capacity: rows + 1)
    offsets.initialize(repeating: 0, count: rows + 1)
  }

  deinit {
    neighbours.deallocate()
    offsets.deallocate()
  }

  func removeAll() { rows = 0 }

  /// Appends a row with all neighbours of a node.
  @inline(__always)
  func append(all node: Int, _ edges: EdgeLists) {
    let start = offsets[rows]
    (neighbours + start).update(from: edges.row(node), count: edges.degree(node))
    finishRow(start + edges.degree(node))
  }

  /// Appends a row with those neighbours of a node that are marked; none without marks.
  @inline(__always)
  func append(of node: Int, _ edges: EdgeLists, where marks: UnsafeMutablePointer<UInt8>?) {
    let start = offsets[rows]
    let count = marks.map { glta_keep_marked(edges.row(node), edges.degree(node), $0, neighbours + start) } ?? 0
    finishRow(start + count)
  }

  @inline(__always)
  private func finishRow(_ end: Int) {
    rows += 1
    offsets[rows] = end
  }

  @inline(__always) func row(_ index: Int) -> UnsafePointer<Int32> { UnsafePointer(neighbours + offsets[index]) }
  @inline(__always) func count(_ index: Int) -> Int { offsets[index + 1] - offsets[index] }
}
