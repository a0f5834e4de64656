import CProcessor
import Tensors

/// How the sums of a whole layer are taken: row by row from lists, or over what rows of dense graphs have in common.
enum WholeLayers: Sendable {
  case lists
  /// Four rows at a time, with the neighbours that they share.
  case groups(RowGroups)

  /// What a kernel is told of some rows beyond their lists.
  enum Part {
    case lists
    case groups(glta_row_groups)
  }

  /// The faster way for a graph.
  init(_ graph: NormalizedGraph, precision: LayerPrecision) {
    self = RowGroups(graph, precision: precision).map { .groups($0) } ?? .lists
  }

  /// Whether a whole layer takes about the time of the lists of half its edges.
  var isShared: Bool { if case .lists = self { false } else { true } }

  /// Every row once, in runs that are shared out over the threads; or in pieces of them, of `pieceRows` rows at most.
  func forEachRun(
    of graph: NormalizedGraph, inPieces isCut: Bool = false, pool: ThreadPool,
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
    }
  }

  private static func cut(_ range: Range<Int>, by size: Int?, _ body: (Range<Int>) -> Void) {
    guard let size else { return body(range) }
    for start in stride(from: range.lowerBound, to: range.upperBound, by: size) {
      body(start..<min(range.upperBound, start + size))
    }
  }

  /// Rows whose gradients and moments stay in a processor's first cache.
  static let pieceRows = 16
}
