public import Interactions
public import Tensors

/// The bipartite graph with symmetrically normalised edges, weight 1 / sqrt(d_u d_i), users before items (He et al., 2020,
/// equation 8). In compressed rows both ways; nothing of size users x items exists.
public struct NormalizedGraph: Sendable {
  /// Users, with edges or without; they are the nodes `0..<users`.
  public let users: Int
  /// Items, with edges or without; item i is the node `users + i`.
  public let items: Int
  /// (users + items) rows of neighbours, as nodes.
  private let offsets: [Int]
  private let neighbours: [Int32]
  /// 1 / sqrt(degree) of each node; 0 without edges.
  public let scale: [Float]
  /// Rows cut into runs of about the same number of edges, by the graph alone: the unit of work of a thread.
  private let runs: [Range<Int>]

  static let edgesPerRun = 8_192

  /// The graph of training interactions, users x items. Each entry is one edge; ratings do not count.
  public init(_ train: CSRMatrix) {
    users = train.rows
    items = train.columns
    let back = train.transposed()
    var offsets = train.offsets
    offsets += back.offsets.dropFirst().map { $0 + train.count }
    self.offsets = offsets
    neighbours = train.indices.map { $0 + Int32(train.rows) } + back.indices
    let nodes = train.rows + train.columns
    scale = (0..<nodes).map { node in
      let degree = offsets[node + 1] - offsets[node]
      return degree == 0 ? 0 : 1 / Float(degree).squareRoot()
    }
    var runs: [Range<Int>] = []
    var start = 0
    for node in 0..<nodes where offsets[node + 1] - offsets[start] >= NormalizedGraph.edgesPerRun || node == nodes - 1 {
      runs.append(start..<node + 1)
      start = node + 1
    }
    self.runs = runs
  }

  /// The nodes in all: the rows of every matrix that is propagated.
  public var nodes: Int { users + items }

  /// out = x0 + A x, row by row: one layer of propagation, or one step of Horner's scheme over layers.
  ///
  /// - Parameters:
  ///   - x: nodes x d.
  ///   - adding: nodes x d or nil.
  ///   - out: nodes x d, not x.
  public func propagate(_ x: Matrix, adding x0: Matrix?, into out: Matrix, pool: ThreadPool) {
    precondition(x.rows == nodes && out.rows == nodes && x.columns == out.columns)
    let columns = x.columns
    offsets.withUnsafeBufferPointer { offsets in
      neighbours.withUnsafeBufferPointer { neighbours in
        scale.withUnsafeBufferPointer { scale in
          pool.forEach(runs.count) { run, _ in
            for node in runs[run] {
              let row = UnsafeBufferPointer(rebasing: neighbours[offsets[node]..<offsets[node + 1]])
              if columns == 64 {
                NormalizedGraph.gather64(row, scale, scale[node], x.base, x0?.row(node), out.row(node))
              } else {
                NormalizedGraph.gather(row, scale, scale[node], x.base, x0?.row(node), out.row(node), columns)
              }
            }
          }
        }
      }
    }
  }

  /// One row of 64 columns, which stays in registers while its neighbours are summed.
  private static func gather64(
    _ row: UnsafeBufferPointer<Int32>, _ scale: UnsafeBufferPointer<Float>, _ own: Float,
    _ x: UnsafePointer<Float>, _ x0: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>
  ) {
    // Eight vectors of eight lanes: wider types become scalar code.
    typealias Lanes = SIMD8<Float>
    @inline(__always) func load(_ pointer: UnsafePointer<Float>, _ part: Int) -> Lanes {
      UnsafeRawPointer(pointer).loadUnaligned(fromByteOffset: part * 32, as: Lanes.self)
    }
    var (s0, s1, s2, s3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    var (s4, s5, s6, s7) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    for node in row {
      let source = x + Int(node) * 64
      let weight = Lanes(repeating: scale[Int(node)])
      s0 = s0.addingProduct(load(source, 0), weight)
      s1 = s1.addingProduct(load(source, 1), weight)
      s2 = s2.addingProduct(load(source, 2), weight)
      s3 = s3.addingProduct(load(source, 3), weight)
      s4 = s4.addingProduct(load(source, 4), weight)
      s5 = s5.addingProduct(load(source, 5), weight)
      s6 = s6.addingProduct(load(source, 6), weight)
      s7 = s7.addingProduct(load(source, 7), weight)
    }
    let factor = Lanes(repeating: own)
    @inline(__always) func store(_ sum: Lanes, _ part: Int) {
      let value = x0.map { load($0, part).addingProduct(sum, factor) } ?? sum * factor
      UnsafeMutableRawPointer(out).storeBytes(of: value, toByteOffset: part * 32, as: Lanes.self)
    }
    store(s0, 0)
    store(s1, 1)
    store(s2, 2)
    store(s3, 3)
    store(s4, 4)
    store(s5, 5)
    store(s6, 6)
    store(s7, 7)
  }

  private static func gather(
    _ row: UnsafeBufferPointer<Int32>, _ scale: UnsafeBufferPointer<Float>, _ own: Float,
    _ x: UnsafePointer<Float>, _ x0: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>, _ columns: Int
  ) {
    out.update(repeating: 0, count: columns)
    for node in row {
      Accumulate.add(columns, x + Int(node) * columns, scaledBy: scale[Int(node)], to: out)
    }
    Accumulate.scale(columns, out, by: own)
    if let x0 { Accumulate.add(columns, x0, to: out) }
  }
}
