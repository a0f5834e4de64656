import CProcessor

/// The product of rows that are rounded to bytes on the way with panels of codes of eight bits or of four.
///
/// Rows have a scale for each 32 terms, and B's codes stay as they are: four bits cost no more memory here. Sums of 32 products are whole numbers, so that every element
/// of C has the same bits whatever the rows, the panels and the threads, and on processors without such instructions.
package enum ByteProduct {
  private static let vnni = glta_cpu_has_vnni()
  /// Rows of a tile.
  private static let tileRows = 12
  /// Rows that are rounded before their products.
  private static let blockRows = 144
  /// Units of the sums that are added in one go: a part of a panel has 16 KiB then.
  private static let blockUnits = 32

  /// Whether products are made with panels of such a form: a unit of 32 terms must have one scale.
  package static func takes(_ panels: QuantizedPanels) -> Bool { glta_form_is_bytes(panels.layout.form) != 0 }

  /// Computes some panels of C = start + round(A) · B.
  ///
  /// - Parameters:
  ///   - a: A[i, k] = a[i * rowStride + k], `rows` x `b.depth`.
  ///   - b: panels of which `takes` is true.
  ///   - panels: of `b.panelCount`; the first of their columns becomes the first of `c` and of `start`.
  ///   - c: C[i, j] = c[i * stride + j].
  ///   - finish: called for each part of C once its sums are complete; columns count from the first of `c`.
  package static func multiply(
    rows: Int, a: UnsafePointer<Float>, rowStride: Int, b: QuantizedPanels, panels: Range<Int>,
    into c: UnsafeMutablePointer<Float>, stride: Int, from start: Product.Start = .zero,
    finish: ((_ rows: Range<Int>, _ columns: Range<Int>) -> Void)? = nil
  ) {
    precondition(takes(b), "products of bytes are made with codes of eight bits or of four")
    precondition(panels.lowerBound >= 0 && panels.upperBound <= b.panelCount)
    for block in Blocks(count: rows, size: blockRows) {
      RoundedRows.with(
        rows: block.count, of: a + block.lowerBound * rowStride, rowStride: rowStride, depth: b.depth,
        nibbles: b.layout.form != GLTA_8
      ) {
        for units in Blocks(count: $0.units, size: blockUnits) {
          let isLast = units.upperBound == $0.units
          for panel in panels {
            let columns = b.columns(of: panel, from: panels.lowerBound)
            let target = c + block.lowerBound * stride + columns.lowerBound
            let first =
              units.lowerBound == 0
              ? start.moved(rows: block.lowerBound, columns: columns.lowerBound) : .rows(target, stride: stride)
            multiply(
              $0, b, panel: panel, units: units, columns: columns.count, into: target, stride: stride, from: first)
            if isLast { finish?(block, columns) }
          }
        }
      }
    }
  }

  /// A part of a panel against all rows of a block.
  private static func multiply(
    _ a: RoundedRows, _ b: QuantizedPanels, panel: Int, units: Range<Int>, columns: Int,
    into c: UnsafeMutablePointer<Float>, stride: Int, from start: Product.Start
  ) {
    let view = b.kernelView
    let base = view.first + panel * view.stride
    let tiles = (a.rows + tileRows - 1) / tileRows
    for tile in 0..<tiles {
      let rows = a.rows * tile / tiles..<a.rows * (tile + 1) / tiles
      let at = rows.lowerBound * a.units + units.lowerBound
      let product = glta_byte_product(
        form: view.form, first_unit: units.lowerBound, units: units.count, panel: base,
        codes: base + view.codes + units.lowerBound * glta_unit_bytes(Int32(view.form.rawValue)),
        scale_bytes: view.codes, ahead: tile == 0 ? glta_fetch_ahead(view.stride, 1) : 0, groups: view.groups,
        a: a.codes + at * PanelLayout.unit, row_stride: a.units * PanelLayout.unit, a_scales: a.scales + at,
        a_offsets: a.offsets + at, a_sums: a.sums + at, unit_stride: a.units,
        start: start.base.map { $0 + rows.lowerBound * start.stride }, start_stride: start.stride,
        c: c + rows.lowerBound * stride, stride: stride)
      if columns == PackedMatrix.panelColumns {
        withUnsafePointer(to: product) { glta_multiply_bytes(vnni, Int32(rows.count), $0) }
      } else {
        multiplyEdge(product, rows: rows.count, columns: columns)
      }
    }
  }

  /// A panel of which only some columns exist: a whole tile in memory of its own, of which these are copied.
  private static func multiplyEdge(_ product: glta_byte_product, rows: Int, columns: Int) {
    let width = PackedMatrix.panelColumns
    PanelScratch.with(floats: rows * width) { edge in
      edge.initialize(repeating: 0, count: rows * width)
      var whole = product
      if let start = product.start {
        for row in 0..<rows { (edge + row * width).update(from: start + row * product.start_stride, count: columns) }
      }
      (whole.start, whole.start_stride, whole.c, whole.stride) = (UnsafePointer(edge), width, edge, width)
      glta_multiply_bytes(vnni, Int32(rows), &whole)
      for row in 0..<rows { (product.c + row * product.stride).update(from: edge + row * width, count: columns) }
    }
  }
}

/// Rows of A as signed bytes, with a scale for each unit.
private struct RoundedRows {
  let rows: Int
  let units: Int
  let codes: UnsafeMutablePointer<Int8>
  let scales: UnsafeMutablePointer<Float>
  /// -128 times the sum of each unit's codes: bytes of B are stored 128 too high.
  let offsets: UnsafeMutablePointer<Int32>
  /// The sum of each unit's codes times their scale: what B's shifts are multiplied with.
  let sums: UnsafeMutablePointer<Float>

  static func with(
    rows: Int, of a: UnsafePointer<Float>, rowStride: Int, depth: Int, nibbles: Bool, _ body: (RoundedRows) -> Void
  ) {
    let units = (depth + PanelLayout.unit - 1) / PanelLayout.unit
    let (blocks, codeBytes) = (rows * units, rows * units * PanelLayout.unit)
    withUnsafeTemporaryAllocation(byteCount: codeBytes + 12 * blocks, alignment: Storage.alignment) { memory in
      guard let base = memory.baseAddress else { return }
      let rounded = RoundedRows(
        rows: rows, units: units, codes: base.assumingMemoryBound(to: Int8.self),
        scales: (base + codeBytes).assumingMemoryBound(to: Float.self),
        offsets: (base + codeBytes + 4 * blocks).assumingMemoryBound(to: Int32.self),
        sums: (base + codeBytes + 8 * blocks).assumingMemoryBound(to: Float.self))
      for row in 0..<rows {
        glta_round_to_bytes(
          a + row * rowStride, depth, nibbles ? 1 : 0, rounded.codes + row * units * PanelLayout.unit,
          rounded.scales + row * units, rounded.offsets + row * units, rounded.sums + row * units)
      }
      body(rounded)
    }
  }
}
