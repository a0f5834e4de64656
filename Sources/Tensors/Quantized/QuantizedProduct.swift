import CProcessor

/// The products of quantised panels.
extension QuantizedPanels {
  /// Computes some panels of C = start + A · B, with the bits of `Product.multiply` of the same numbers in f32.
  ///
  /// One row reads B once and keeps nothing of it. For more, a part of a panel becomes floats in the first-level cache and
  /// all rows go over it.
  ///
  /// - Parameters:
  ///   - a: A[i, k] = a[i * rowStride + k], `rows` x `depth`.
  ///   - panels: of `panelCount`; the first of their columns becomes the first of `c` and of `start`.
  ///   - c: C[i, j] = c[i * stride + j].
  ///   - finish: called for each part of C once its sums are complete; columns count from the first of `c`.
  package func multiply(
    rows: Int, a: UnsafePointer<Float>, rowStride: Int, panels: Range<Int>, into c: UnsafeMutablePointer<Float>,
    stride: Int, from start: Product.Start = .zero,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    precondition(panels.lowerBound >= 0 && panels.upperBound <= panelCount)
    if rows == 1 { return multiplyRow(a, panels: panels, into: c, from: start, finish: finish) }
    let blockRows = Product.blockTiles * MicroTile.rows
    let panelFloats = Product.blockDepth * PackedMatrix.panelColumns
    PanelScratch.with(floats: panelFloats + RowBlock.floats(rows: min(rows, blockRows))) { scratch in
      for first in Swift.stride(from: 0, to: rows, by: blockRows) {
        let block = first..<min(rows, first + blockRows)
        multiplyBlock(
          block, a: a, rowStride: rowStride, panels: panels, into: c, stride: stride, from: start, scratch: scratch,
          finish: finish)
      }
    }
  }

  /// Computes C = start + A · Bᵀ: the gradient of x where B = Wᵀ.
  ///
  /// - Parameters:
  ///   - a: A[i, k] = a[i * rowStride + k], `rows` x `columns`.
  ///   - c: `rows` x `depth`, C[i, j] = c[i * stride + j].
  package func multiplyTransposed(
    rows: Int, a: UnsafePointer<Float>, rowStride: Int, into c: UnsafeMutablePointer<Float>, stride: Int,
    from start: Product.Start = .zero, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    let blockRows = Product.blockTiles * MicroTile.rows
    let (unit, width) = (PanelLayout.unit, PackedMatrix.panelColumns)
    let panelFloats = unit * (Product.blockDepth + width)
    PanelScratch.with(floats: panelFloats + RowBlock.floats(rows: min(rows, blockRows))) { scratch in
      for first in Swift.stride(from: 0, to: rows, by: blockRows) {
        let block = first..<min(rows, first + blockRows)
        for terms in Blocks(count: columns, size: Product.blockDepth) {
          let part = RowBlock(a + block.lowerBound * rowStride + terms.lowerBound, rowStride, block.count, terms.count)
            .copied(into: scratch + panelFloats, forUses: depth / unit)
          for outputs in Blocks(count: depth, size: unit) {
            let tile = scratch + unit * width
            packTransposed(outputs, terms: terms, widened: scratch, into: tile)
            Product.multiply(
              rows: block.count, depth: terms.count, columns: outputs.count, a: part.base, rowStride: part.stride,
              columnStride: 1, panels: tile, into: c + block.lowerBound * stride + outputs.lowerBound, stride: stride,
              from: terms.lowerBound == 0
                ? start.moved(rows: block.lowerBound, columns: outputs.lowerBound)
                : .rows(c + block.lowerBound * stride + outputs.lowerBound, stride: stride))
            if terms.upperBound == columns { finish?(block, outputs) }
          }
        }
      }
    }
  }

  private func multiplyBlock(
    _ rows: Range<Int>, a: UnsafePointer<Float>, rowStride: Int, panels: Range<Int>,
    into c: UnsafeMutablePointer<Float>, stride: Int, from start: Product.Start,
    scratch: UnsafeMutablePointer<Float>, finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    let view = kernelView
    for terms in Blocks(count: depth, size: Product.blockDepth) {
      let part = RowBlock(a + rows.lowerBound * rowStride + terms.lowerBound, rowStride, rows.count, terms.count)
        .copied(into: scratch + Product.blockDepth * PackedMatrix.panelColumns, forUses: panels.count)
      for panel in panels {
        let existing = columns(of: panel, from: panels.lowerBound)
        let target = c + rows.lowerBound * stride + existing.lowerBound
        PanelKernel.widen(view, panel: panel, terms: terms, into: scratch)
        Product.multiply(
          rows: rows.count, depth: terms.count, columns: existing.count, a: part.base, rowStride: part.stride,
          columnStride: 1, panels: scratch, into: target, stride: stride,
          from: terms.lowerBound == 0
            ? start.moved(rows: rows.lowerBound, columns: existing.lowerBound) : .rows(target, stride: stride))
        if terms.upperBound == depth { finish?(rows, existing) }
      }
    }
  }

  private func multiplyRow(
    _ row: UnsafePointer<Float>, panels: Range<Int>, into c: UnsafeMutablePointer<Float>, from start: Product.Start,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    let (view, width) = (kernelView, PackedMatrix.panelColumns)
    var panel = panels.lowerBound
    while panel < panels.upperBound {
      let existing = columns(of: panel, from: panels.lowerBound)
      let (first, target) = (start.base.map { $0 + existing.lowerBound }, c + existing.lowerBound)
      let four = panel + 4 <= panels.upperBound && (panel + 4) * width <= columns
      if four || existing.count == width {
        PanelKernel.multiplyRow(view, panel: panel, four: four, row: row, start: first, into: target)
      } else {
        multiplyEdge(view, panel: panel, count: existing.count, row: row, start: first, into: target)
      }
      finish?(0..<1, existing.lowerBound..<existing.lowerBound + (four ? 4 * width : existing.count))
      panel += four ? 4 : 1
    }
  }

  /// A panel of which only some columns exist.
  private func multiplyEdge(
    _ view: glta_panels, panel: Int, count: Int, row: UnsafePointer<Float>, start: UnsafePointer<Float>?,
    into out: UnsafeMutablePointer<Float>
  ) {
    PanelScratch.with(floats: PackedMatrix.panelColumns) { edge in
      edge.initialize(repeating: 0, count: PackedMatrix.panelColumns)
      if let start { edge.update(from: start, count: count) }
      PanelKernel.multiplyRow(view, panel: panel, four: false, row: row, start: edge, into: edge)
      out.update(from: edge, count: count)
    }
  }

  func columns(of panel: Int, from first: Int) -> Range<Int> {
    let width = PackedMatrix.panelColumns
    return (panel - first) * width..<min(columns, (panel + 1) * width) - first * width
  }

  /// Panels of Bᵀ for one unit of its columns: terms.count x 16, then the same of the second half.
  private func packTransposed(
    _ outputs: Range<Int>, terms: Range<Int>, widened: UnsafeMutablePointer<Float>,
    into tile: UnsafeMutablePointer<Float>
  ) {
    let (view, width) = (kernelView, PackedMatrix.panelColumns)
    for first in Swift.stride(from: terms.lowerBound, to: terms.upperBound, by: width) {
      PanelKernel.widen(view, panel: first / width, terms: outputs, into: widened)
      for half in 0..<(outputs.count + width - 1) / width {
        let target = tile + (half * terms.count + first - terms.lowerBound) * width
        let (source, left) = (widened + half * width * width, terms.upperBound - first)
        if left >= width {
          glta_transpose_16(source, target, width)
        } else {
          for term in 0..<left { for j in 0..<width { target[term * width + j] = source[j * width + term] } }
        }
      }
    }
  }
}

/// Some terms of some rows of A.
private struct RowBlock {
  /// Rows are not a power of two apart: such rows take each other's place in the cache.
  private static let copyStride = Product.blockDepth + 16
  /// A copy pays for itself when it is read so often.
  private static let leastUses = 8

  let base: UnsafePointer<Float>
  let stride: Int
  let rows: Int
  let terms: Int

  init(_ base: UnsafePointer<Float>, _ stride: Int, _ rows: Int, _ terms: Int) {
    self.base = base
    self.stride = stride
    self.rows = rows
    self.terms = terms
  }

  static func floats(rows: Int) -> Int { rows * copyStride }

  func copied(into memory: UnsafeMutablePointer<Float>, forUses uses: Int) -> RowBlock {
    guard uses >= RowBlock.leastUses else { return self }
    for row in 0..<rows { (memory + row * RowBlock.copyStride).update(from: base + row * stride, count: terms) }
    return RowBlock(memory, RowBlock.copyStride, rows, terms)
  }
}

/// Memory for parts of a product: one allocation for each, or the stack.
enum PanelScratch {
  static func with(floats count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: count * MemoryLayout<Float>.stride, alignment: Storage.alignment) {
      guard let base = $0.baseAddress else { return }
      body(base.assumingMemoryBound(to: Float.self))
    }
  }
}

/// A range cut into blocks of one size, the last of which may be smaller.
struct Blocks: Sequence, IteratorProtocol {
  let count: Int
  let size: Int
  private var first = 0

  init(count: Int, size: Int) {
    self.count = count
    self.size = size
  }

  mutating func next() -> Range<Int>? {
    guard first < count else { return nil }
    defer { first += size }
    return first..<Swift.min(count, first + size)
  }
}
