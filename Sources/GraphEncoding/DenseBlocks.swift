import CProcessor
import Tensors

/// The dense parts of a graph as blocks of sixteen rows by thirty-two nodes, for processors that multiply matrices of bf16
/// in units of their own; all other edges as lists. Of MovieLens 1M, a fourth of all blocks has four fifths of the edges,
/// and a block costs as much as twenty edges.
///
/// Never written after `init`.
package final class DenseBlocks: @unchecked Sendable {
  /// The edges outside of blocks.
  let edges: EdgeLists
  /// Runs of panels, sixteen rows each, that cost about the same: the unit of work of a thread.
  let runs: [Range<Int>]
  private let emulatesUnits: Bool
  private let halves: NodeHalves
  /// Where each panel's rows begin, and the last one's end.
  private let rows: FixedArray<Int32>
  /// Where each panel's blocks begin, and the last one's end.
  private let starts: FixedArray<Int32>
  /// Which thirty-two nodes a block is over.
  private let places: FixedArray<Int32>
  /// Sixteen words a block: which of the thirty-two nodes each row has an edge to.
  private let bits: FixedArray<UInt32>

  /// A block must have as many edges as lists sum up in the same time.
  static let minimumEdges = 20
  /// The share of all edges that blocks must have to be worth it.
  private static let minimumShare = 0.3

  /// The blocks of a graph, or nil where they hold too few edges.
  ///
  /// - Parameter emulatesUnits: sums bit by bit, slowly, on any processor.
  package init?(_ graph: NormalizedGraph, emulatesUnits: Bool) {
    self.emulatesUnits = emulatesUnits
    halves = NodeHalves(graph)
    var parts = Parts(graph, halves)
    let bounds = halves.bounds(of: Int(GLTA_PANEL_ROWS))
    let panels = zip(bounds, bounds.dropFirst()).map { $0..<$1 }
    let covered = panels.reduce(0) { $0 + parts.densePlaces(of: $1).edges }
    guard covered > 0, Double(covered) >= DenseBlocks.minimumShare * Double(graph.nonZeros) else { return nil }
    for panel in panels { parts.append(panel) }
    runs = parts.runs(bounds)
    edges = EdgeLists(offsets: parts.offsets, neighbours: parts.neighbours)
    rows = FixedArray(bounds.map { Int32($0) })
    starts = FixedArray(parts.starts)
    places = FixedArray(parts.places)
    bits = FixedArray(parts.bits)
  }

  /// Thirty-two nodes at a time: how many of these there are.
  var placeCount: Int { halves.placeCount }

  /// The nodes of a place.
  func nodes(ofPlace place: Int) -> Range<Int> { halves.nodes(ofPlace: place) }

  /// The rows of some panels.
  func nodes(_ panels: Range<Int>) -> Range<Int> { Int(rows[panels.lowerBound])..<Int(rows[panels.upperBound]) }

  /// What the kernels are told of some panels.
  func kernel(_ panels: Range<Int>, pairs: UnsafePointer<UInt32>) -> glta_dense_panels {
    glta_dense_panels(
      count: panels.count, rows: rows.base + panels.lowerBound, starts: starts.base + panels.lowerBound,
      places: places.base, bits: bits.base, pairs: pairs, has_units: emulatesUnits ? 0 : 1)
  }

  /// Edges that are in no block.
  package var listedEdges: Int { edges.offsets[Int(rows[rows.count - 1])] }

  /// The neighbours of every node, those in blocks after those in lists.
  package func neighbours() -> [[Int32]] {
    var found: [[Int32]] = []
    for panel in 0..<rows.count - 1 {
      for (row, node) in nodes(panel..<panel + 1).enumerated() {
        var list = Array(UnsafeBufferPointer(start: edges.row(node), count: edges.degree(node)))
        for block in Int(starts[panel])..<Int(starts[panel + 1]) {
          let word = bits[Int(GLTA_PANEL_ROWS) * block + row]
          list += nodes(ofPlace: Int(places[block])).enumerated().filter { word >> UInt32($0.offset) & 1 == 1 }
            .map { Int32($0.element) }
        }
        found.append(list)
      }
    }
    return found
  }

  /// Everything but the runs while it grows.
  private struct Parts {
    let edges: EdgeLists
    let halves: NodeHalves
    var offsets = [0]
    var neighbours: [Int32] = []
    var starts: [Int32] = [0]
    var places: [Int32] = []
    var bits: [UInt32] = []
    /// Of each place, the edges that a panel's rows have there, and the panel's block; zeros and -1 between panels.
    private var counts: [Int]
    private var blocks: [Int]

    init(_ graph: NormalizedGraph, _ halves: NodeHalves) {
      edges = graph.edges
      self.halves = halves
      counts = [Int](repeating: 0, count: halves.placeCount)
      blocks = [Int](repeating: -1, count: halves.placeCount)
    }

    /// Where a panel's rows have edges enough for a block, in order, and how many edges these are.
    mutating func densePlaces(of panel: Range<Int>) -> (places: [Int], edges: Int) {
      var touched: [Int] = []
      for node in panel {
        forEachNeighbour(of: node) { neighbour in
          let place = halves.place(of: neighbour)
          if counts[place] == 0 { touched.append(place) }
          counts[place] += 1
        }
      }
      let dense = touched.filter { counts[$0] >= DenseBlocks.minimumEdges }.sorted()
      let edges = dense.reduce(0) { $0 + counts[$1] }
      for place in touched { counts[place] = 0 }
      return (dense, edges)
    }

    mutating func append(_ panel: Range<Int>) {
      let dense = densePlaces(of: panel).places
      for (index, place) in dense.enumerated() { blocks[place] = places.count + index }
      defer { for place in dense { blocks[place] = -1 } }
      places += dense.map { Int32($0) }
      bits += [UInt32](repeating: 0, count: dense.count * Int(GLTA_PANEL_ROWS))
      for (row, node) in panel.enumerated() {
        forEachNeighbour(of: node) { neighbour in
          let place = halves.place(of: neighbour)
          guard blocks[place] >= 0 else { return neighbours.append(Int32(neighbour)) }
          let bit = UInt32(1) << UInt32(neighbour - halves.nodes(ofPlace: place).lowerBound)
          bits[Int(GLTA_PANEL_ROWS) * blocks[place] + row] |= bit
        }
        offsets.append(neighbours.count)
      }
      starts.append(Int32(places.count))
    }

    private func forEachNeighbour(of node: Int, _ body: (Int) -> Void) {
      let row = edges.row(node)
      for position in 0..<edges.degree(node) { body(Int(row[position])) }
    }

    /// Panels whose blocks and lists cost about as much as `NormalizedGraph.edgesPerRun` edges.
    func runs(_ bounds: [Int]) -> [Range<Int>] {
      var runs: [Range<Int>] = []
      var (first, cost) = (0, 0)
      for panel in 0..<starts.count - 1 {
        let listed = offsets[bounds[panel + 1]] - offsets[bounds[panel]]
        cost += listed + DenseBlocks.minimumEdges * Int(starts[panel + 1] - starts[panel])
        guard cost >= NormalizedGraph.edgesPerRun / 2 || panel == starts.count - 2 else { continue }
        runs.append(first..<panel + 1)
        (first, cost) = (panel + 1, 0)
      }
      return runs
    }
  }
}

/// Users and items cut into pieces of a fixed size, none of which has some of both.
private struct NodeHalves: Sendable {
  let users: Int
  let nodes: Int
  private let userPlaces: Int

  private static let size = Int(GLTA_BLOCK_NODES)

  init(_ graph: NormalizedGraph) {
    users = graph.users
    nodes = graph.nodes
    userPlaces = (graph.users + NodeHalves.size - 1) / NodeHalves.size
  }

  var placeCount: Int { userPlaces + (nodes - users + NodeHalves.size - 1) / NodeHalves.size }

  func place(of node: Int) -> Int {
    node < users ? node / NodeHalves.size : userPlaces + (node - users) / NodeHalves.size
  }

  func nodes(ofPlace place: Int) -> Range<Int> {
    let (first, end) =
      place < userPlaces
      ? (place * NodeHalves.size, users) : (users + (place - userPlaces) * NodeHalves.size, nodes)
    return first..<min(end, first + NodeHalves.size)
  }

  /// Where pieces of `size` nodes begin, and the last one ends.
  func bounds(of size: Int) -> [Int] {
    Array(stride(from: 0, to: users, by: size)) + Array(stride(from: users, to: nodes, by: size)) + [nodes]
  }
}
