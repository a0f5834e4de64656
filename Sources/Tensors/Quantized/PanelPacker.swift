import CProcessor

/// Making panels of matrices as files have them.
extension QuantizedPanels {
  /// Packs B = the transpose of `matrix`, number for number.
  ///
  /// - Parameter matrix: `[outputs, inputs]`, of any format but f32.
  /// - Throws: `GLTAError.invalidFile` where a scale is no finite number.
  package init(_ matrix: BlockMatrix, pool: ThreadPool = .serial) throws(GLTAError) {
    precondition(matrix.format != .f32, "what is f32 is packed as a PackedMatrix")
    let layout = PanelLayout(matrix.format.form, depth: matrix.columns)
    self.init(depth: matrix.columns, columns: matrix.rows, layout: layout)
    let failures = FirstFailure()
    let panels = self
    pool.forEach(panelCount) { index, _ in
      let packer = PanelPacker(
        matrix: matrix, scales: panels.panel(index), codes: panels.panel(index) + layout.scaleBytes)
      let rows = panels.columns(of: index)
      for row in rows where !packer.pack(row: row, lane: row - rows.lowerBound) {
        failures.record(GLTAError(.invalidFile, "row \(row) has a scale that is no finite number"), at: row)
      }
    }
    try failures.rethrow()
  }

  /// Packs B = the transpose of `matrix`, its numbers rounded to bf16.
  package init(roundingToBF16 matrix: BlockMatrix, pool: ThreadPool = .serial) {
    let layout = PanelLayout(GLTA_BF16, depth: matrix.columns)
    self.init(depth: matrix.columns, columns: matrix.rows, layout: layout)
    let panels = self
    pool.forEach(panelCount) { index, _ in
      let rows = panels.columns(of: index)
      let target = panels.panel(index)
      PanelScratch.with(floats: matrix.columns) { row in
        for (lane, index) in rows.enumerated() {
          matrix.copyRow(index, into: row)
          for k in 0..<matrix.columns {
            target.storeBytes(of: BFloat16(row[k]).bits, toByteOffset: 32 * k + 2 * lane, as: UInt16.self)
          }
        }
      }
    }
  }

  /// Packs B = the transpose of `matrix`, its numbers rounded to signed bytes with a scale for each 32 inputs.
  ///
  /// - Throws: `GLTAError.invalidFile` where a number is not finite or beyond what such a scale can say.
  package init(roundingToBytes matrix: BlockMatrix, pool: ThreadPool = .serial) throws(GLTAError) {
    if matrix.format == .q8_0 {
      try self.init(matrix, pool: pool)
      return
    }
    let layout = PanelLayout(GLTA_8, depth: matrix.columns)
    self.init(depth: matrix.columns, columns: matrix.rows, layout: layout)
    let failures = FirstFailure()
    let panels = self
    pool.forEach(panelCount) { index, _ in
      let rows = panels.columns(of: index)
      let codes = panels.panel(index) + layout.scaleBytes
      PanelScratch.with(floats: matrix.columns) { row in
        for (lane, output) in rows.enumerated() {
          matrix.copyRow(output, into: row)
          let rounding = ByteRounding(row: row, count: matrix.columns, lane: lane)
          guard rounding.store(scales: panels.panel(index), codes: codes) else {
            failures.record(GLTAError(.invalidFile, "row \(output) has a number too large for bytes"), at: output)
            return
          }
        }
      }
    }
    try failures.rethrow()
  }

  private func columns(of panel: Int) -> Range<Int> {
    panel * PackedMatrix.panelColumns..<min(columns, (panel + 1) * PackedMatrix.panelColumns)
  }
}

extension BlockFormat {
  /// The form of panels that keeps every bit.
  fileprivate var form: glta_form {
    switch self {
    case .f32, .bf16: GLTA_BF16
    case .f16: GLTA_F16
    case .q4_0: GLTA_4
    case .q4_1: GLTA_4_SHIFT
    case .q5_0: GLTA_5
    case .q5_1: GLTA_5_SHIFT
    case .q8_0: GLTA_8
    case .q4_K: GLTA_4_SUPER
    case .q5_K: GLTA_5_SUPER
    case .q6_K: GLTA_6_SUPER
    }
  }
}

/// Puts the blocks of a row into a lane of a panel.
private struct PanelPacker {
  let matrix: BlockMatrix
  let scales: UnsafeMutableRawPointer
  let codes: UnsafeMutableRawPointer

  private static let lanes = PackedMatrix.panelColumns

  /// False where a scale is not finite.
  func pack(row: Int, lane: Int) -> Bool {
    let source = matrix.row(row)
    let format = matrix.format
    if format.isFloat {
      for k in 0..<matrix.columns {
        codes.storeBytes(of: source.word16(2 * k), toByteOffset: 2 * (k * PanelPacker.lanes + lane), as: UInt16.self)
      }
      return true
    }
    var isFinite = true
    for index in 0..<matrix.columns / format.blockSize {
      let block = source + index * format.blockBytes
      switch format {
      case .q4_K, .q5_K: isFinite = packScaledAndShifted(block, index, lane) && isFinite
      case .q6_K: isFinite = packSixBits(block, index, lane) && isFinite
      default: isFinite = packUnit(block, index, lane) && isFinite
      }
    }
    return isFinite
  }

  /// A block of 32: one unit.
  private func packUnit(_ block: UnsafeRawPointer, _ index: Int, _ lane: Int) -> Bool {
    let (first, second) = (block.word16(0), block.word16(2))
    switch matrix.format {
    case .q4_0:
      storeScale(first, 32 * index, lane)
      storeNibbles(block + 2, unit: index, unitBytes: 256, lane)
    case .q4_1:
      storeScale(first, 64 * index, lane)
      storeScale(second, 64 * index + 32, lane)
      storeNibbles(block + 4, unit: index, unitBytes: 256, lane)
      return isFinite(first) && isFinite(second)
    case .q5_0:
      storeScale(first, 32 * index, lane)
      storeNibbles(block + 6, unit: index, unitBytes: 320, lane)
      storeWord(block.word32(2), 320 * index + 256, lane)
    case .q5_1:
      storeScale(first, 64 * index, lane)
      storeScale(second, 64 * index + 32, lane)
      storeNibbles(block + 8, unit: index, unitBytes: 320, lane)
      storeWord(block.word32(4), 320 * index + 256, lane)
      return isFinite(first) && isFinite(second)
    default:
      storeScale(first, 32 * index, lane)
      for word in 0..<8 {
        // Signed bytes, 128 higher.
        storeWord(block.word32(2 + 4 * word) ^ 0x8080_8080, 512 * index + 64 * word, lane)
      }
    }
    return isFinite(first)
  }

  /// A block of 32 of which number j is in the lower half of byte j, and number j + 16 in the upper.
  private func storeNibbles(_ bytes: UnsafeRawPointer, unit: Int, unitBytes: Int, _ lane: Int) {
    let (first, second) = (bytes.word64(0), bytes.word64(8))
    let at = unit * unitBytes
    storeWord(gather4(first), at, lane)
    storeWord(gather4(second), at + 64, lane)
    storeWord(gather4(first >> 4), at + 128, lane)
    storeWord(gather4(second >> 4), at + 192, lane)
  }

  /// A block of 256 with a scale and a shift for each 32.
  private func packScaledAndShifted(_ block: UnsafeRawPointer, _ index: Int, _ lane: Int) -> Bool {
    let hasFifth = matrix.format == .q5_K
    let (first, second) = (block.word16(0), block.word16(2))
    storeScale(first, 320 * index, lane)
    storeScale(second, 320 * index + 32, lane)
    for run in 0..<8 {
      let (factor, shiftFactor) = BlockFormat.factors(block + 4, run: run)
      let at = 320 * index + 64 + 32 * run + lane
      scales.storeBytes(of: factor, toByteOffset: at, as: UInt8.self)
      scales.storeBytes(of: shiftFactor, toByteOffset: at + 16, as: UInt8.self)
      let bytes = block + (hasFifth ? 48 : 16) + 32 * (run / 2)
      let unit = (8 * index + run) * (hasFifth ? 320 : 256)
      for word in 0..<4 {
        storeWord(gather4(bytes.word64(8 * word) >> UInt64(4 * (run % 2))), unit + 64 * word, lane)
      }
      if hasFifth {
        var fifth: UInt32 = 0
        for word in 0..<4 { fifth |= gather1(block.word64(16 + 8 * word) >> UInt64(run)) << UInt32(8 * word) }
        storeWord(fifth, unit + 256, lane)
      }
    }
    return isFinite(first) && isFinite(second)
  }

  private func packSixBits(_ block: UnsafeRawPointer, _ index: Int, _ lane: Int) -> Bool {
    let scale = block.word16(208)
    storeScale(scale, 288 * index, lane)
    for run in 0..<16 {
      let at = 288 * index + 32 + 16 * run + lane
      scales.storeBytes(of: block.byte(192 + run), toByteOffset: at, as: UInt8.self)
    }
    for run in 0..<8 {
      let unit = (8 * index + run) * 384
      let (lower, upper) = (block + 64 * (run / 4) + 32 * (run % 2), block + 128 + 32 * (run / 4))
      for word in 0..<4 {
        storeWord(gather4(lower.word64(8 * word) >> UInt64(4 * (run % 4 / 2))), unit + 64 * word, lane)
      }
      for word in 0..<2 {
        let first = gather2(upper.word64(16 * word) >> UInt64(2 * (run % 4)))
        let second = gather2(upper.word64(16 * word + 8) >> UInt64(2 * (run % 4)))
        storeWord(first | second << 16, unit + 256 + 64 * word, lane)
      }
    }
    return isFinite(scale)
  }

  @inline(__always) private func storeWord(_ word: UInt32, _ offset: Int, _ lane: Int) {
    codes.storeBytes(of: word, toByteOffset: offset + 4 * lane, as: UInt32.self)
  }

  @inline(__always) private func storeScale(_ bits: UInt16, _ offset: Int, _ lane: Int) {
    scales.storeBytes(of: bits, toByteOffset: offset + 2 * lane, as: UInt16.self)
  }

  @inline(__always) private func isFinite(_ half: UInt16) -> Bool { half & 0x7C00 != 0x7C00 }

  /// The lower four bits of eight bytes, side by side.
  @inline(__always) private func gather4(_ bytes: UInt64) -> UInt32 {
    var bits = bytes & 0x0F0F_0F0F_0F0F_0F0F
    bits = (bits | bits >> 4) & 0x00FF_00FF_00FF_00FF
    bits = (bits | bits >> 8) & 0x0000_FFFF_0000_FFFF
    return UInt32(truncatingIfNeeded: bits | bits >> 16)
  }

  /// The lower two bits of eight bytes, side by side.
  @inline(__always) private func gather2(_ bytes: UInt64) -> UInt32 {
    var bits = bytes & 0x0303_0303_0303_0303
    bits = (bits | bits >> 6) & 0x000F_000F_000F_000F
    bits = (bits | bits >> 12) & 0x0000_00FF_0000_00FF
    return UInt32(truncatingIfNeeded: (bits | bits >> 24) & 0xFFFF)
  }

  /// The lowest bits of eight bytes, side by side.
  @inline(__always) private func gather1(_ bytes: UInt64) -> UInt32 {
    var bits = bytes & 0x0101_0101_0101_0101
    bits = (bits | bits >> 7) & 0x0003_0003_0003_0003
    bits = (bits | bits >> 14) & 0x0000_000F_0000_000F
    return UInt32(truncatingIfNeeded: (bits | bits >> 28) & 0xFF)
  }
}

/// A row of floats as bytes of a lane, a scale for each unit.
private struct ByteRounding {
  let row: UnsafePointer<Float>
  let count: Int
  let lane: Int

  /// False where a number is not finite, or needs a scale that is not.
  func store(scales: UnsafeMutableRawPointer, codes: UnsafeMutableRawPointer) -> Bool {
    for unit in Blocks(count: count, size: PanelLayout.unit) {
      var largest: Float = 0
      var isFinite = true
      for k in unit {
        largest = max(largest, abs(row[k]))
        isFinite = isFinite && row[k].isFinite
      }
      let scale = Float16(largest / 127)
      guard isFinite, scale.isFinite else { return false }
      let index = unit.lowerBound / PanelLayout.unit
      scales.storeBytes(of: scale.bitPattern, toByteOffset: 32 * index + 2 * lane, as: UInt16.self)
      let inverse = scale == 0 ? 0 : 1 / Float(scale)
      for k in unit.lowerBound..<unit.lowerBound + PanelLayout.unit {
        // 1.5 * 2^23 leaves no bits for fractions: a float is rounded to even by adding it.
        let value = k < unit.upperBound ? max(-127, min(127, row[k] * inverse)) : 0
        let code = Int((value + 12_582_912) - 12_582_912)
        let place = k - unit.lowerBound
        codes.storeBytes(
          of: UInt8(truncatingIfNeeded: code + 128),
          toByteOffset: 512 * index + 64 * (place / 4) + 4 * lane + place % 4, as: UInt8.self)
      }
    }
    return true
  }
}
