import CProcessor
import Tensors

/// How the sums of a whole layer are taken: row by row from lists, or over what dense graphs have in common.
enum WholeLayers: Sendable {
  case lists
  /// Four rows at a time, with the neighbours that they share.
  case groups(RowGroups)
  /// Sixteen rows at a time, with blocks for matrix units.
  case blocks(DenseBlocks)

  /// What a kernel is told of some rows beyond their lists.
  enum Part {
    case lists
    case groups(glta_row_groups)
    /// Panels, and the lists of what is in none of their blocks.
    case panels(glta_dense_panels, EdgeLists)
  }

  /// The fastest way for a graph on this processor.
  ///
  /// - Parameter emulatesUnits: takes blocks on any processor; slow, for tests.
  init(_ graph: NormalizedGraph, precision: LayerPrecision, emulatesUnits: Bool = false) {
    if precision == .bf16, emulatesUnits || Processor.hasMatrixUnits,
      let blocks = DenseBlocks(graph, emulatesUnits: emulatesUnits)
    {
      self = .blocks(blocks)
    } else if let groups = RowGroups(graph) {
      self = .groups(groups)
    } else {
      self = .lists
    }
  }

  /// Whether a whole layer takes about the time of the lists of half its edges.
  var isShared: Bool { if case .lists = self { false } else { true } }

  /// How many nodes' rows matrix units need in pairs.
  var pairedNodes: Int { if case .blocks(let blocks) = self { blocks.placeCount * Int(GLTA_BLOCK_NODES) } else { 0 } }

  /// Every row once, in runs that are shared out over the threads; or in pieces of them, of `pieceRows` rows at most.
  ///
  /// - Parameter pairs: the source layer as blocks need it.
  func forEachRun(
    of graph: NormalizedGraph, inPieces isCut: Bool = false, pairs: UnsafePointer<UInt32>, pool: ThreadPool,
    _ body: (_ nodes: Range<Int>, _ part: Part, _ worker: Int) -> Void
  ) {
    switch self {
    case .lists:
      pool.forEach(graph.runs.count) { run, worker in
        WholeLayers.cut(graph.runs[run], by: isCut ? WholeLayers.pieceRows : nil) { body($0, .lists, worker) }
      }
    case .groups(let groups):
      pool.forEach(groups.runs.count) { run, worker in
        WholeLayers.cut(groups.runs[run], by: isCut ? WholeLayers.pieceRows / 4 : nil) {
          body(groups.nodes($0), .groups(groups.kernel($0)), worker)
        }
      }
    case .blocks(let blocks):
      pool.forEach(blocks.runs.count) { run, worker in
        WholeLayers.cut(blocks.runs[run], by: isCut ? 1 : nil) {
          body(blocks.nodes($0), .panels(blocks.kernel($0, pairs: pairs), blocks.edges), worker)
        }
      }
    }
  }

  private static func cut(_ range: Range<Int>, by size: Int?, _ body: (Range<Int>) -> Void) {
    guard let size else { return body(range) }
    for start in stride(from: range.lowerBound, to: range.upperBound, by: size) {
      body(start..<min(range.upperBound, start + size))
    }
  }

  /// Rows whose gradients and moments stay in a processor's first cache; a panel of blocks.
  static let pieceRows = Int(GLTA_PANEL_ROWS)
}
