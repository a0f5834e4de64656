import CProcessor

/// C (`rows` x `columns`) = A · B with B packed: the product of everything that is frozen, and of every score.
///
/// Each element of C is one sum over k = 0, 1, 2, ... of fused multiply-adds, whatever the number of rows, the tile, the
/// thread or the vector width. So a request has the same bits alone and in a batch, on one thread and on eight, and on
/// every CPU that fuses (DESIGN.md decision 4 asks for the same bits on one CPU type; OpenBLAS gives other bits for
/// other row counts). The blocking is that of Goto and van de Geijn, *Anatomy of high-performance matrix
/// multiplication* (2008): a tile of C stays in registers, a panel of B in the first-level cache, a block of A in the
/// second. A is read where it lies: tiles of a dozen rows are too low for a packed copy to pay for itself.
public enum Product {
  /// Terms of the sums that are added in one go: a panel of B has 24 KiB then.
  static let blockDepth = 384
  /// Tiles of rows that go over a panel of B one after another.
  static let blockTiles = 12

  /// What the sums of a product start from.
  public struct Start {
    let base: UnsafePointer<Float>?
    let stride: Int

    /// C = A · B.
    public static var zero: Start { Start(base: nil, stride: 0) }
    /// C = bias + A · B, one row for all rows of C.
    public static func bias(_ row: UnsafePointer<Float>) -> Start { Start(base: row, stride: 0) }
    /// C = D + A · B, rows of D `stride` floats apart; D may be C itself.
    public static func rows(_ base: UnsafePointer<Float>, stride: Int) -> Start { Start(base: base, stride: stride) }

    /// What the sums of a part of C start from: the part whose first element is C[rows, columns].
    func moved(rows: Int, columns: Int) -> Start {
      Start(base: base.map { $0 + rows * stride + columns }, stride: stride)
    }
  }

  /// Computes C = start + A · B.
  ///
  /// - Parameters:
  ///   - a: A[i, k] = a[i * rowStride + k * columnStride], `rows` x `b.depth`.
  ///   - c: C[i, j] = c[i * stride + j].
  ///   - finish: called for each part of C, while it is in the cache, once its sums are complete.
  public static func multiply(
    rows: Int, a: UnsafePointer<Float>, rowStride: Int, columnStride: Int = 1, b: PackedMatrix,
    into c: UnsafeMutablePointer<Float>, stride: Int, from start: Start = .zero,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    multiply(
      rows: rows, depth: b.depth, columns: b.columns, a: a, rowStride: rowStride, columnStride: columnStride,
      panels: b.panels.base, into: c, stride: stride, from: start, finish: finish)
  }

  /// Computes some panels of C = start + A · B alone, with the bits that they have in the whole product.
  ///
  /// - Parameters:
  ///   - a: `rows` x `b.depth`.
  ///   - panels: of `b.panelCount`; the first of their columns becomes the first of `c` and of `start`.
  ///   - c: C[i, j] = c[i * stride + j].
  ///   - finish: as above; columns count from the first of `c`.
  public static func multiply(
    rows: Int, a: UnsafePointer<Float>, rowStride: Int, b: PackedMatrix, panels: Range<Int>,
    into c: UnsafeMutablePointer<Float>, stride: Int, from start: Start = .zero,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    guard !panels.isEmpty else { return }
    let width = PackedMatrix.panelColumns
    multiply(
      rows: rows, depth: b.depth, columns: min(b.columns, panels.upperBound * width) - panels.lowerBound * width, a: a,
      rowStride: rowStride, columnStride: 1, panels: b.panels.row(panels.lowerBound), into: c, stride: stride,
      from: start, finish: finish)
  }

  /// The same for a whole matrix, its rows shared out over `pool`; C += A · B where `accumulate` is set.
  public static func multiply(
    _ a: Matrix, _ b: PackedMatrix, into c: Matrix, accumulate: Bool = false, pool: ThreadPool
  ) {
    precondition(a.columns == b.depth && c.columns == b.columns && a.rows == c.rows)
    let blockRows = blockTiles * MicroTile.rows
    pool.forEach((a.rows + blockRows - 1) / blockRows) { block, _ in
      let start = block * blockRows
      multiply(
        rows: min(blockRows, a.rows - start), a: a.row(start), rowStride: a.columns, b: b, into: c.row(start),
        stride: c.columns, from: accumulate ? .rows(c.row(start), stride: c.columns) : .zero)
    }
  }

  /// The product over panels that the caller has packed with `PackedMatrix.pack`.
  ///
  /// - Parameter packedDepth: the depth that the panels have room for; nil: `depth`.
  static func multiply(
    rows: Int, depth: Int, columns: Int, a: UnsafePointer<Float>, rowStride: Int, columnStride: Int,
    panels: UnsafePointer<Float>, packedDepth: Int? = nil, into c: UnsafeMutablePointer<Float>, stride: Int,
    from start: Start = .zero,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    let walk = PanelWalk(
      a: a, rowStride: rowStride, columnStride: columnStride, panels: panels, depth: depth,
      packedDepth: packedDepth ?? depth, columns: columns, c: c, stride: stride, cut: TileCut(rows: rows))
    for firstTile in Swift.stride(from: 0, to: walk.cut.count, by: blockTiles) {
      let tiles = firstTile..<min(walk.cut.count, firstTile + blockTiles)
      var depthStart = 0
      repeat {
        let terms = depthStart..<min(depth, depthStart + blockDepth)
        // The sums of later terms go on from those of earlier ones.
        let start = depthStart == 0 ? start : .rows(c, stride: stride)
        for panel in 0..<walk.panelCount {
          walk.multiply(panel: panel, tiles: tiles, terms: terms, from: start)
          if terms.upperBound == depth { finish?(walk.cut.rows(tiles), walk.columns(of: panel)) }
        }
        depthStart = terms.upperBound
      } while depthStart < depth
    }
  }
}

/// Rows cut into tiles as even as they can be: a low tile at the end would take as long as a high one.
private struct TileCut {
  private let rowCount: Int
  let count: Int

  init(rows: Int) {
    rowCount = rows
    count = (rows + MicroTile.rows - 1) / MicroTile.rows
  }

  func start(_ tile: Int) -> Int { rowCount * tile / count }
  func rows(_ tiles: Range<Int>) -> Range<Int> { start(tiles.lowerBound)..<start(tiles.upperBound) }
}

/// The operands of one product, and the steps that its loops are made of.
private struct PanelWalk {
  let a: UnsafePointer<Float>
  let rowStride: Int
  let columnStride: Int
  let panels: UnsafePointer<Float>
  let depth: Int
  let packedDepth: Int
  let columns: Int
  let c: UnsafeMutablePointer<Float>
  let stride: Int
  let cut: TileCut

  private var width: Int { PackedMatrix.panelColumns }
  var panelCount: Int { (columns + width - 1) / width }
  func columns(of panel: Int) -> Range<Int> { panel * width..<min(columns, (panel + 1) * width) }
  private func panel(_ panel: Int, from term: Int) -> UnsafePointer<Float> {
    panels + (panel * packedDepth + term) * width
  }

  /// One panel of B against a block of tiles, some terms of the sums.
  func multiply(panel: Int, tiles: Range<Int>, terms: Range<Int>, from start: Product.Start) {
    let existing = columns(of: panel)
    let (b, next) = (self.panel(panel, from: terms.lowerBound), nextPart(panel, terms))
    // Together, the tiles fetch the next part of B: 4 % of a forward pass went by waiting for it.
    let step = (width + tiles.count - 1) / tiles.count
    for tile in tiles {
      let row = cut.start(tile)
      MicroTile.multiply(
        rows: cut.start(tile + 1) - row, columns: existing.count,
        glta_tile(
          depth: terms.count, a: a + row * rowStride + terms.lowerBound * columnStride, row_stride: rowStride,
          column_stride: columnStride, b: b,
          start: start.base.map { $0 + row * start.stride + existing.lowerBound }, start_stride: start.stride,
          c: c + row * stride + existing.lowerBound, stride: stride,
          next: next + (tile - tiles.lowerBound) * step * terms.count, next_step: step))
    }
  }

  /// The part of B that the walk reads after some terms of a panel. Past the end, whatever: a prefetch never traps.
  private func nextPart(_ panel: Int, _ terms: Range<Int>) -> UnsafePointer<Float> {
    if panel + 1 < panelCount { return self.panel(panel + 1, from: terms.lowerBound) }
    return terms.upperBound < depth ? self.panel(0, from: terms.upperBound) : panels
  }
}

/// The tile of C that stays in registers. The loop over k that fills it is C: see MicroTile.h.
enum MicroTile {
  private static let hasWideVectors = glta_cpu_has_avx512() != 0
  /// Tiles are this high at the most: one register a row on AVX-512, more registers a row elsewhere.
  static let rows = hasWideVectors ? 12 : 6

  static func multiply(rows: Int, columns: Int, _ tile: glta_tile) {
    if columns < PackedMatrix.panelColumns { return multiplyEdge(rows: rows, columns: columns, tile) }
    withUnsafePointer(to: tile) {
      hasWideVectors ? glta_multiply_wide_tile(Int32(rows), $0) : glta_multiply_tile(Int32(rows), $0)
    }
  }

  /// The right edge of C: a whole tile in memory of its own, of which the columns that exist are copied.
  private static func multiplyEdge(rows: Int, columns: Int, _ tile: glta_tile) {
    let width = PackedMatrix.panelColumns
    withUnsafeTemporaryAllocation(of: Float.self, capacity: rows * width) { edge in
      guard let base = edge.baseAddress else { return }
      edge.initialize(repeating: 0)
      var whole = tile
      (whole.c, whole.stride) = (base, width)
      if let start = tile.start {
        copy(rows, columns, from: start, tile.start_stride, to: base, width)
        (whole.start, whole.start_stride) = (UnsafePointer(base), width)
      }
      multiply(rows: rows, columns: width, whole)
      copy(rows, columns, from: base, width, to: tile.c, tile.stride)
    }
  }

  private static func copy(
    _ rows: Int, _ columns: Int, from source: UnsafePointer<Float>, _ sourceStride: Int,
    to target: UnsafeMutablePointer<Float>, _ targetStride: Int
  ) {
    for row in 0..<rows {
      (target + row * targetStride).update(from: source + row * sourceStride, count: columns)
    }
  }
}
