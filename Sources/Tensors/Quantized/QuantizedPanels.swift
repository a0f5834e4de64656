package import CProcessor

/// The right-hand side B (`depth` x `columns`) of a product in few bits a number, laid out as `PackedMatrix` is: panels
/// of sixteen columns, in each of which numbers follow one another in the order of the sums.
///
/// Both products, with B and with its transpose, read this one copy, which takes about as many bytes as the file did. They
/// have the bits that the products of `floats` have (see QuantizedPanel.h).
package struct QuantizedPanels: Sendable {
  /// Rows of B: the length of the sums.
  package let depth: Int
  /// Columns of B.
  package let columns: Int
  let layout: PanelLayout
  let storage: Storage
  /// The group of each unit or term, where scales belong to groups.
  let groups: Storage?

  /// Memory for panels, all zeros.
  init(depth: Int, columns: Int, layout: PanelLayout, groups: [Int32]? = nil) {
    self.depth = depth
    self.columns = columns
    self.layout = layout
    let panels = (columns + PackedMatrix.panelColumns - 1) / PackedMatrix.panelColumns
    storage = Storage(byteCount: panels * layout.panelBytes)
    self.groups = groups.map { groups in
      let storage = Storage(byteCount: groups.count * MemoryLayout<Int32>.stride)
      groups.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress { storage.base.copyMemory(from: base, byteCount: bytes.count) }
      }
      return storage
    }
  }

  /// The panels that B is cut into.
  package var panelCount: Int { (columns + PackedMatrix.panelColumns - 1) / PackedMatrix.panelColumns }
  /// The memory that B takes.
  package var byteCount: Int { storage.byteCount }

  func panel(_ index: Int) -> UnsafeMutableRawPointer { storage.base + index * layout.panelBytes }

  /// What the kernels are told. Valid while the panels live.
  package var kernelView: glta_panels {
    glta_panels(
      form: layout.form, depth: depth, first: storage.base.assumingMemoryBound(to: UInt8.self),
      stride: layout.panelBytes, codes: layout.scaleBytes,
      groups: groups.map { UnsafePointer($0.base.assumingMemoryBound(to: Int32.self)) })
  }

  /// The transpose of B, `columns` x `depth`, in f32: the numbers that products are made with.
  package func floats() -> Matrix {
    let result = Matrix(rows: columns, columns: depth)
    let width = PackedMatrix.panelColumns
    let terms = Matrix(rows: depth, columns: width)
    for panel in 0..<panelCount {
      PanelKernel.widen(kernelView, panel: panel, terms: 0..<depth, into: terms.base)
      for column in panel * width..<min(columns, (panel + 1) * width) {
        for k in 0..<depth { result.row(column)[k] = terms.base[k * width + column % width] }
      }
    }
    return result
  }
}

/// Where scales and codes lie in a panel.
struct PanelLayout: Sendable {
  /// Terms that codes are stored in.
  static let unit = Int(GLTA_UNIT)

  let form: glta_form
  /// Bytes of the scales, which come first; whole cache lines.
  let scaleBytes: Int
  /// Bytes of a panel.
  let panelBytes: Int

  /// - Parameter groups: the groups of a form that has them.
  init(_ form: glta_form, depth: Int, groups: Int = 0) {
    self.form = form
    let units = (depth + PanelLayout.unit - 1) / PanelLayout.unit
    let bytes =
      switch form {
      case GLTA_BF16, GLTA_F16: 0
      case GLTA_4, GLTA_5, GLTA_8: 32 * units
      case GLTA_4_SHIFT, GLTA_5_SHIFT: 64 * units
      case GLTA_4_SUPER, GLTA_5_SUPER: 320 * ((units + 7) / 8)
      case GLTA_6_SUPER: 288 * ((units + 7) / 8)
      default: 48 * groups
      }
    scaleBytes = (bytes + 63) / 64 * 64
    panelBytes = scaleBytes + units * glta_unit_bytes(Int32(form.rawValue))
  }
}

/// The kernels of QuantizedPanel.h, for the vectors that this processor has.
enum PanelKernel {
  private static let wide = glta_cpu_has_avx512()

  /// Some terms of a panel as floats, terms.count x 16; the first is the first of a unit.
  static func widen(_ panels: glta_panels, panel: Int, terms: Range<Int>, into out: UnsafeMutablePointer<Float>) {
    withUnsafePointer(to: panels) { glta_widen_panel(wide, $0, panel, terms.lowerBound, terms.count, out) }
  }

  /// One row times one panel, or four.
  static func multiplyRow(
    _ panels: glta_panels, panel: Int, four: Bool, row: UnsafePointer<Float>, start: UnsafePointer<Float>?,
    into out: UnsafeMutablePointer<Float>
  ) {
    withUnsafePointer(to: panels) { glta_multiply_panels(wide, four ? 1 : 0, $0, panel, row, start, out) }
  }
}
