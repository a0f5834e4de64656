/// Rows of heads, one row a position, packed as the right-hand side of scores q · rowᵀ.
///
/// Positions are columns: sixteen of them make a panel, so keys of new positions are added without moving others.
public struct ScorePanels: Sendable {
  /// Heads that lie side by side in a row.
  public let heads: Int
  /// Floats of a head.
  public let headColumns: Int
  private let storage: Matrix

  /// Floats that panels for `positions` take.
  public static func count(heads: Int, headColumns: Int, positions: Int) -> Int {
    heads * headColumns * CausalAttention.capacity(positions)
  }

  /// Panels in memory of the caller's, `count` floats in one row.
  public init(heads: Int, headColumns: Int, memory: Matrix) {
    self.heads = heads
    self.headColumns = headColumns
    storage = memory
  }

  private var capacity: Int { storage.count / (heads * headColumns) }

  /// Packs one head of some rows.
  ///
  /// - Parameters:
  ///   - source: where the head's columns of the first row lie; rows are `stride` floats apart.
  ///   - positions: those of the rows.
  public func pack(head: Int, from source: UnsafePointer<Float>, stride: Int, positions: Range<Int>) {
    precondition(head >= 0 && head < heads && positions.upperBound <= capacity)
    let width = PackedMatrix.panelColumns
    var position = positions.lowerBound
    while position < positions.upperBound {
      let end = min(positions.upperBound, (position / width + 1) * width)
      let row = source + (position - positions.lowerBound) * stride
      let panel = panel(head: head, of: position)
      if end - position == width {
        PackedMatrix.pack(
          depth: headColumns, columns: width, source: row, rowStride: 1, columnStride: stride, into: panel)
      } else {
        for index in 0..<end - position {
          let target = panel + (position + index) % width
          for column in 0..<headColumns { target[column * width] = row[index * stride + column] }
        }
      }
      position = end
    }
  }

  /// The head's columns of a row that was packed.
  public func copyRow(head: Int, position: Int, into out: UnsafeMutablePointer<Float>) {
    let width = PackedMatrix.panelColumns
    let source = panel(head: head, of: position) + position % width
    for column in 0..<headColumns { out[column] = source[column * width] }
  }

  /// Copies one head of the first positions of other panels.
  public func copy(_ other: ScorePanels, head: Int, positions: Int) {
    let count = (positions + PackedMatrix.panelColumns - 1) / PackedMatrix.panelColumns * PackedMatrix.panelColumns
    panel(head: head, of: 0).update(from: other.panel(head: head, of: 0), count: count * headColumns)
  }

  /// The panel of a position.
  func panel(head: Int, of position: Int) -> UnsafeMutablePointer<Float> {
    let width = PackedMatrix.panelColumns
    return storage.base + (head * capacity + position / width * width) * headColumns
  }
}

/// Rows of heads, one row a position, packed as the right-hand side of sums p · rows.
///
/// Positions are the terms of the sums: a block holds those of one step of `CausalAttention`, and new ones are added to it
/// without moving others.
public struct SumPanels: Sendable {
  /// Heads that lie side by side in a row.
  public let heads: Int
  /// Floats of a head.
  public let headColumns: Int
  private let storage: Matrix

  /// Floats that panels for `positions` take.
  public static func count(heads: Int, headColumns: Int, positions: Int) -> Int {
    heads * PackedMatrix.packedCount(depth: CausalAttention.capacity(positions), columns: headColumns)
  }

  /// Panels in memory of the caller's, `count` floats in one row.
  public init(heads: Int, headColumns: Int, memory: Matrix) {
    self.heads = heads
    self.headColumns = headColumns
    storage = memory
  }

  private var panelCount: Int { (headColumns + PackedMatrix.panelColumns - 1) / PackedMatrix.panelColumns }
  /// Floats of a position.
  private var width: Int { panelCount * PackedMatrix.panelColumns }
  private var capacity: Int { storage.count / (heads * width) }

  /// Packs one head of some rows; see `ScorePanels.pack`.
  public func pack(head: Int, from source: UnsafePointer<Float>, stride: Int, positions: Range<Int>) {
    precondition(head >= 0 && head < heads && positions.upperBound <= capacity)
    let panelColumns = PackedMatrix.panelColumns
    for position in positions {
      let row = source + (position - positions.lowerBound) * stride
      let target = self.row(head: head, position: position)
      for panel in 0..<panelCount {
        let first = panel * panelColumns
        (target + panel * CausalAttention.keyBlock * panelColumns).update(
          from: row + first, count: min(panelColumns, headColumns - first))
      }
    }
  }

  /// The head's columns of a row that was packed.
  public func copyRow(head: Int, position: Int, into out: UnsafeMutablePointer<Float>) {
    let panelColumns = PackedMatrix.panelColumns
    let source = row(head: head, position: position)
    for panel in 0..<panelCount {
      let first = panel * panelColumns
      (out + first).update(
        from: source + panel * CausalAttention.keyBlock * panelColumns, count: min(panelColumns, headColumns - first))
    }
  }

  /// Copies one head of the first positions of other panels.
  public func copy(_ other: SumPanels, head: Int, positions: Int) {
    block(head: head, of: 0).update(
      from: other.block(head: head, of: 0), count: CausalAttention.capacity(positions) * width)
  }

  /// The block that a position stands in.
  func block(head: Int, of position: Int) -> UnsafeMutablePointer<Float> {
    let block = CausalAttention.keyBlock
    return storage.base + (head * capacity + position / block * block) * width
  }

  /// A position's floats in the first panel of its block.
  private func row(head: Int, position: Int) -> UnsafeMutablePointer<Float> {
    block(head: head, of: position) + position % CausalAttention.keyBlock * PackedMatrix.panelColumns
  }
}
