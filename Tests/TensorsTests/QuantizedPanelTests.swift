import CProcessor
import Tensors
import TestSupport
import Testing

/// Weights in few bits: what the codes stand for, and products that do not write it down.
struct QuantizedPanelTests {
  static let formats = BlockFormat.allCases.filter { $0 != .f32 }

  /// Random bytes in which no f16 at an even address is infinite: bit 14 is zero in each.
  static func blocks(_ format: BlockFormat, rows: Int, columns: Int, seed: UInt64 = 7) throws -> BlockMatrix {
    let bytes = try #require(format.rowBytes(columns)) * rows
    let storage = Storage(byteCount: bytes)
    var random = Philox(seed: seed, purpose: "blocks").sequence()
    for index in 0..<bytes {
      let byte = UInt8(random.index(below: 256))
      storage.base.storeBytes(of: index % 2 == 1 ? byte & 0xBF : byte, toByteOffset: index, as: UInt8.self)
    }
    return try BlockMatrix(format, rows: rows, columns: columns, storage: storage, byteOffset: 0)
  }

  @Test(arguments: formats) func panelsStandForTheNumbersOfTheBlocks(format: BlockFormat) throws {
    for rows in [1, 16, 37] {
      let blocks = try Self.blocks(format, rows: rows, columns: 512)
      let panels = try QuantizedPanels(blocks, pool: ThreadPool(threads: 2))
      #expect(panels.floats().elements == blocks.floats().elements)
    }
  }

  /// Numbers of two bytes need not fill units.
  @Test(arguments: [BlockFormat.f16, .bf16], [1, 31, 33, 70]) func rowsNeedNotFillUnits(
    format: BlockFormat, columns: Int
  )
    throws
  {
    let blocks = try Self.blocks(format, rows: 18, columns: columns)
    let panels = try QuantizedPanels(blocks)
    #expect(panels.floats().elements == blocks.floats().elements)
    try expectProductsOfFloats(panels, blocks.floats(), rows: [1, 5])
  }

  @Test(arguments: formats) func bothProductsHaveTheBitsOfTheFloats(format: BlockFormat) throws {
    let blocks = try Self.blocks(format, rows: 418, columns: 512)
    try expectProductsOfFloats(QuantizedPanels(blocks), blocks.floats(), rows: [1, 2, 7, 150])
  }

  /// The path without AVX-512, on any processor.
  @Test(arguments: formats) func portableKernelsGiveTheSameBits(format: BlockFormat) throws {
    let blocks = try Self.blocks(format, rows: 64, columns: 512)
    let panels = try QuantizedPanels(blocks)
    let (row, start) = (randomMatrix(1, 512), randomMatrix(1, 64, seed: 2))
    var view = panels.kernelView
    let (terms, sums, one) = (
      Matrix(rows: 512, columns: 16), Matrix(rows: 1, columns: 64), Matrix(rows: 1, columns: 16)
    )
    let expected = Matrix(rows: 1, columns: 64)
    panels.multiply(
      rows: 1, a: row.base, rowStride: 512, panels: 0..<4, into: expected.base, stride: 64,
      from: .rows(start.base, stride: 64))
    glta_multiply_panels(0, 1, &view, 0, row.base, start.base, sums.base)
    #expect(sums.elements == expected.elements)
    for panel in 0..<4 {
      glta_multiply_panels(0, 0, &view, panel, row.base, start.base + 16 * panel, one.base)
      #expect(one.elements == Array(expected.elements[16 * panel..<16 * panel + 16]))
      glta_widen_panel(0, &view, panel, 0, 512, terms.base)
      let floats = blocks.floats()
      #expect((0..<512).allSatisfy { k in (0..<16).allSatisfy { terms[k, $0] == floats[16 * panel + $0, k] } })
    }
    withExtendedLifetime(panels) {}
  }

  @Test func aPartOfThePanelsHasTheBitsOfTheWhole() throws {
    let panels = try QuantizedPanels(Self.blocks(.q4_0, rows: 130, columns: 64))
    for rows in [1, 3] {
      let a = randomMatrix(rows, 64)
      let (whole, part) = (Matrix(rows: rows, columns: 130), Matrix(rows: rows, columns: 130))
      panels.multiply(rows: rows, a: a.base, rowStride: 64, panels: 0..<9, into: whole.base, stride: 130)
      for range in [0..<1, 1..<4, 4..<9] {
        var seen: Set<Int> = []
        panels.multiply(
          rows: rows, a: a.base, rowStride: 64, panels: range, into: part.base + 16 * range.lowerBound, stride: 130
        ) { _, columns in seen.formUnion(columns) }
        #expect(seen == Set(0..<min(130, 16 * range.upperBound) - 16 * range.lowerBound))
      }
      #expect(part.elements == whole.elements)
    }
  }

  @Test func roundsToBF16() throws {
    let floats = randomMatrix(19, 70)
    let panels = QuantizedPanels(roundingToBF16: try BlockMatrix(floats.tensor))
    #expect(panels.floats().elements == floats.elements.map { BFloat16($0).float })
  }

  @Test func roundsToBytesWithinHalfAStep() throws {
    let floats = randomMatrix(19, 70)
    let panels = try QuantizedPanels(roundingToBytes: BlockMatrix(floats.tensor))
    let rounded = panels.floats()
    for row in 0..<19 {
      for start in stride(from: 0, to: 70, by: 32) {
        let run = start..<min(70, start + 32)
        let step = (run.map { abs(floats[row, $0]) }.max() ?? 0) / 127
        #expect(run.allSatisfy { abs(floats[row, $0] - rounded[row, $0]) <= 0.502 * step })
      }
    }
  }

  @Test func bytesOfAFileStayWhatTheyAre() throws {
    let blocks = try Self.blocks(.q8_0, rows: 5, columns: 64)
    #expect(try QuantizedPanels(roundingToBytes: blocks).floats().elements == blocks.floats().elements)
  }

  @Test(arguments: [BlockFormat.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q5_K, .q6_K])
  func refusesScalesThatAreNotFinite(format: BlockFormat) throws {
    let blocks = try Self.blocks(format, rows: 3, columns: 512)
    let scale = format == .q6_K ? 208 : 0
    let bytes = UnsafeMutableRawPointer(mutating: blocks.row(2))
    bytes.storeBytes(of: UInt16(0x7C00), toByteOffset: scale, as: UInt16.self)
    let error = #expect(throws: GLTAError.self) { try QuantizedPanels(blocks) }
    #expect(error?.code == .invalidFile)
    #expect(error?.message.contains("row 2") == true)
  }

  @Test func refusesNumbersTooLargeForBytes() throws {
    let floats = randomMatrix(3, 40)
    floats[1, 35] = .infinity
    #expect(throws: GLTAError.self) { try QuantizedPanels(roundingToBytes: BlockMatrix(floats.tensor)) }
    floats[1, 35] = 1e20
    #expect(throws: GLTAError.self) { try QuantizedPanels(roundingToBytes: BlockMatrix(floats.tensor)) }
  }

  @Test func refusesRowsBeyondTheFile() throws {
    let storage = Storage(byteCount: 100)
    for (rows, columns, offset) in [(2, 64, 0), (1, 33, 0), (1, 64, 70), (Int.max, 64, 0), (1, 64, Int.max)] {
      #expect(throws: GLTAError.self) {
        try BlockMatrix(.q8_0, rows: rows, columns: columns, storage: storage, byteOffset: offset)
      }
    }
  }

  /// A · B and A · Bᵀ from every start, against packed floats, to the bit.
  private func expectProductsOfFloats(_ panels: QuantizedPanels, _ floats: Matrix, rows: [Int]) throws {
    let (outputs, inputs) = (floats.rows, floats.columns)
    let (forward, backward) = (PackedMatrix(transposing: floats), PackedMatrix(floats))
    let bias = randomMatrix(1, outputs, seed: 5)
    for count in rows {
      let (a, dout) = (randomMatrix(count, inputs), randomMatrix(count, outputs, seed: 3))
      let (x, y) = (randomMatrix(count, outputs, seed: 4), randomMatrix(count, outputs, seed: 4))
      let (dx, dy) = (randomMatrix(count, inputs, seed: 4), randomMatrix(count, inputs, seed: 4))
      for kind in 0..<3 {
        func start(_ c: Matrix) -> Product.Start {
          kind == 0 ? .zero : kind == 1 ? .bias(bias.base) : .rows(c.base, stride: outputs)
        }
        var finished = 0
        panels.multiply(
          rows: count, a: a.base, rowStride: inputs, panels: 0..<panels.panelCount, into: x.base, stride: outputs,
          from: start(x)
        ) { finished += $0.count * $1.count }
        #expect(finished == count * outputs)
        Product.multiply(
          rows: count, a: a.base, rowStride: inputs, b: forward, into: y.base, stride: outputs, from: start(y))
        #expect(x.elements == y.elements)
      }
      for kind in 0..<2 {
        func start(_ c: Matrix) -> Product.Start { kind == 0 ? .zero : .rows(c.base, stride: inputs) }
        var finished = 0
        panels.multiplyTransposed(
          rows: count, a: dout.base, rowStride: outputs, into: dx.base, stride: inputs, from: start(dx)
        ) { finished += $0.count * $1.count }
        #expect(finished == count * inputs)
        Product.multiply(
          rows: count, a: dout.base, rowStride: outputs, b: backward, into: dy.base, stride: inputs, from: start(dy))
        #expect(dx.elements == dy.elements)
      }
    }
  }
}
