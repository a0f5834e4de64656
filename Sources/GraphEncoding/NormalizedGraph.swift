import CProcessor
public import Interactions
public import Tensors

/// The bipartite graph with symmetrically normalised edges, weight 1 / sqrt(d_u d_i), users before items (He et al., 2020,
/// equation 8). In compressed rows both ways; nothing of size users x items exists.
public struct NormalizedGraph: Sendable {
  /// Users, with edges or without; they are the nodes `0..<users`.
  public let users: Int
  /// Items, with edges or without; item i is the node `users + i`.
  public let items: Int
  /// 1 / sqrt(degree) of each node; 0 without edges.
  public var scale: [Float] { (0..<nodes).map { edges.scale[$0] } }
  /// Rows cut into runs of about the same number of edges, by the graph alone: the unit of work of a thread.
  let runs: [Range<Int>]
  /// Neighbours as nodes, row after row.
  let edges: EdgeLists

  static let edgesPerRun = 8_192

  /// The graph of training interactions, users x items. Each entry is one edge; ratings do not count.
  public init(_ train: CSRMatrix) {
    users = train.rows
    items = train.columns
    let back = train.transposed()
    edges = EdgeLists(
      offsets: train.offsets + back.offsets.dropFirst().map { $0 + train.count },
      neighbours: train.indices.map { $0 + Int32(train.rows) } + back.indices)
    let nodes = train.rows + train.columns
    var runs: [Range<Int>] = []
    var start = 0
    for node in 0..<nodes
    where edges.offsets[node + 1] - edges.offsets[start] >= NormalizedGraph.edgesPerRun || node == nodes - 1 {
      runs.append(start..<node + 1)
      start = node + 1
    }
    self.runs = runs
  }

  /// The nodes in all: the rows of every matrix that is propagated.
  public var nodes: Int { users + items }

  /// Edges counted from both ends, the non-zeros of A.
  public var nonZeros: Int { edges.offsets[nodes] }

  /// Bytes that the graph takes in memory.
  public var byteCount: Int { (nodes + 1) * 8 + nodes * 4 + nonZeros * 4 }

  /// out = x0 + A x, row by row: one layer of propagation, or one step of Horner's scheme over layers.
  ///
  /// - Parameters:
  ///   - x: nodes x d.
  ///   - adding: nodes x d or nil.
  ///   - out: nodes x d, not x.
  public func propagate(_ x: Matrix, adding x0: Matrix?, into out: Matrix, pool: ThreadPool) {
    precondition(x.rows == nodes && out.rows == nodes && x.columns == out.columns)
    let columns = x.columns
    let scale = edges.scale
    pool.forEach(runs.count) { run, _ in
      for node in runs[run] {
        let sums = out.row(node)
        if columns % 16 == 0 {
          glta_gather_f32(edges.row(node), edges.degree(node), x.base, columns, scale, sums)
        } else {
          sums.update(repeating: 0, count: columns)
          for position in edges.offsets[node]..<edges.offsets[node + 1] {
            let neighbour = Int(edges.neighbours[position])
            Accumulate.add(columns, x.row(neighbour), scaledBy: scale[neighbour], to: sums)
          }
        }
        Accumulate.scale(columns, sums, by: scale[node])
        if let x0 { Accumulate.add(columns, x0.row(node), to: sums) }
      }
    }
  }
}

/// Adjacency lists at fixed addresses, so that inner loops pay neither checks nor reference counts. Never written after
/// `init`.
final class EdgeLists: @unchecked Sendable {
  /// nodes + 1 offsets into `neighbours`.
  let offsets: UnsafeMutablePointer<Int>
  /// The neighbours, row after row, followed by as many zeros as the kernels read ahead.
  let neighbours: UnsafeMutablePointer<Int32>
  /// 1 / sqrt(degree) of each node; 0 without edges.
  let scale: UnsafeMutablePointer<Float>
  /// The longest row.
  let maximumDegree: Int

  init(offsets: [Int], neighbours: [Int32]) {
    self.offsets = .allocate(capacity: offsets.count)
    self.neighbours = .allocate(capacity: neighbours.count + EdgeLists.ahead)
    self.neighbours.initialize(repeating: 0, count: neighbours.count + EdgeLists.ahead)
    for (index, offset) in offsets.enumerated() { self.offsets[index] = offset }
    for (index, neighbour) in neighbours.enumerated() { self.neighbours[index] = neighbour }
    scale = .allocate(capacity: offsets.count)
    for node in 0..<offsets.count - 1 {
      let degree = offsets[node + 1] - offsets[node]
      scale[node] = degree == 0 ? 0 : 1 / Float(degree).squareRoot()
    }
    maximumDegree = zip(offsets, offsets.dropFirst()).reduce(0) { max($0, $1.1 - $1.0) }
  }

  deinit {
    offsets.deallocate()
    neighbours.deallocate()
    scale.deallocate()
  }

  /// How far the kernels read beyond a row.
  static let ahead = Int(GLTA_GATHER_AHEAD)

  @inline(__always) func degree(_ node: Int) -> Int { offsets[node + 1] - offsets[node] }
  @inline(__always) func row(_ node: Int) -> UnsafeMutablePointer<Int32> { neighbours + offsets[node] }
}
