import CProcessor
import Tensors
import TestSupport
import Testing

/// Products of rows and weights that are rounded to bytes.
struct ByteProductTests {
  /// What the kernel promises, number by number: whole sums of 32 products, then scales, in order.
  private func naive(_ a: Matrix, _ b: QuantizedPanels, start: (Int, Int) -> Float) throws -> [Float] {
    let (units, weights) = ((b.depth + 31) / 32, b.floats())
    var result: [Float] = []
    for row in 0..<a.rows {
      let rounded = Rounded(a, row: row)
      for column in 0..<b.columns {
        var sum = start(row, column)
        for unit in 0..<units {
          let scale = scale(of: b, column: column, unit: unit)
          var whole = 0
          for k in 32 * unit..<min(b.depth, 32 * unit + 32) where scale != 0 {
            whole += rounded.codes[k] * Int((weights[column, k] / scale).rounded())
          }
          sum = sum.addingProduct(Float(whole), scale * rounded.scales[unit])
        }
        result.append(sum)
      }
    }
    return result
  }

  /// A row as bytes with a scale for each 32.
  private struct Rounded {
    var codes: [Int]
    var scales: [Float]

    init(_ a: Matrix, row: Int) {
      let units = (a.columns + 31) / 32
      (codes, scales) = ([Int](repeating: 0, count: units * 32), [Float](repeating: 0, count: units))
      for unit in 0..<units {
        let run = 32 * unit..<min(a.columns, 32 * unit + 32)
        let largest = run.map { abs(a[row, $0]) }.max() ?? 0
        scales[unit] = largest / 127
        for k in run where largest > 0 {
          codes[k] = Int((12_582_912 as Float).addingProduct(a[row, k], 127 / largest) - 12_582_912)
        }
      }
    }
  }

  /// Scales of bytes stand first in a panel: sixteen f16 a unit.
  private func scale(of b: QuantizedPanels, column: Int, unit: Int) -> Float {
    let view = b.kernelView
    let panel = UnsafeRawPointer(view.first) + column / 16 * view.stride
    return Float(panel.load(fromByteOffset: 32 * unit + 2 * (column % 16), as: Float16.self))
  }

  private static let shapes = [(1, 16, 32), (5, 33, 70), (14, 20, 100), (150, 40, 1100)]

  @Test(arguments: shapes) func sumsWholeNumbersThenScales(rows: Int, columns: Int, depth: Int) throws {
    let (a, floats) = (randomMatrix(rows, depth), randomMatrix(columns, depth, seed: 2))
    if depth > 64 { for k in 32..<64 { (a[0, k], floats[3, k]) = (0, 0) } }
    let b = try QuantizedPanels(roundingToBytes: BlockMatrix(floats.tensor))
    let (c, bias) = (randomMatrix(rows, columns, seed: 3), randomMatrix(1, columns, seed: 4))
    let added = c.copy()
    func multiply(_ start: Product.Start) {
      var finished = 0
      ByteProduct.multiply(
        rows: rows, a: a.base, rowStride: depth, b: b, panels: 0..<b.panelCount, into: c.base, stride: columns,
        from: start
      ) { finished += $0.count * $1.count }
      #expect(finished == rows * columns)
    }
    multiply(.rows(c.base, stride: columns))
    #expect(try c.elements == naive(a, b) { added[$0, $1] })
    multiply(.bias(bias.base))
    #expect(try c.elements == naive(a, b) { bias[0, $1] })
    multiply(.zero)
    #expect(try c.elements == naive(a, b) { _, _ in 0 })
  }

  @Test func isCloseToTheProductOfTheFloats() throws {
    let (a, floats) = (randomMatrix(40, 576), randomMatrix(70, 576, seed: 2))
    let b = try QuantizedPanels(roundingToBytes: BlockMatrix(floats.tensor))
    let (c, exact) = (Matrix(rows: 40, columns: 70), Matrix(rows: 40, columns: 70))
    ByteProduct.multiply(rows: 40, a: a.base, rowStride: 576, b: b, panels: 0..<5, into: c.base, stride: 70)
    Product.multiply(a, PackedMatrix(transposing: floats), into: exact, pool: .serial)
    #expect(relativeDifference(c.elements, exact.elements) < 1e-2)
  }

  @Test func aRowHasTheSameBitsAloneAndInParts() throws {
    let a = randomMatrix(150, 1500)
    let b = try QuantizedPanels(roundingToBytes: BlockMatrix(randomMatrix(50, 1500, seed: 2).tensor))
    let (together, alone) = (Matrix(rows: 150, columns: 50), Matrix(rows: 1, columns: 50))
    ByteProduct.multiply(rows: 150, a: a.base, rowStride: 1500, b: b, panels: 0..<4, into: together.base, stride: 50)
    for row in [0, 7, 143, 144, 149] {
      for panels in [0..<1, 1..<3, 3..<4] {
        ByteProduct.multiply(
          rows: 1, a: a.row(row), rowStride: 1500, b: b, panels: panels, into: alone.base + 16 * panels.lowerBound,
          stride: 50)
      }
      #expect(alone.elements == together.slice(row..<row + 1).elements)
    }
  }

  /// The path without VNNI, on any processor.
  @Test(arguments: 1...12, [BlockFormat.q8_0, .q4_0, .q4_1, .q4_K])
  func portableTilesGiveTheSameBits(rows: Int, format: BlockFormat) throws {
    let b = try QuantizedPanels(QuantizedPanelTests.blocks(format, rows: 16, columns: 256))
    var random = Philox(seed: 9, purpose: "codes").sequence()
    let codes = (0..<rows * 256).map { _ in Int8(random.index(below: 255) - 127) }
    let scales = (0..<rows * 8).map { _ in random.normal() }
    let offsets = (0..<rows * 8).map { block in -128 * codes[32 * block..<32 * block + 32].reduce(0) { $0 + Int32($1) }
    }
    let view = b.kernelView
    let results = [Int32(0), glta_cpu_has_vnni()].map { vnni in
      let c = Matrix(rows: rows, columns: 16)
      codes.withUnsafeBufferPointer { codes in
        scales.withUnsafeBufferPointer { scales in
          offsets.withUnsafeBufferPointer { offsets in
            guard let codes = codes.baseAddress, let scales = scales.baseAddress, let offsets = offsets.baseAddress
            else { return }
            var product = glta_byte_product(
              form: view.form, first_unit: 0, units: 8, panel: view.first, codes: view.first + view.codes,
              scale_bytes: view.codes, ahead: glta_fetch_ahead(view.stride, 1), groups: nil, a: codes, row_stride: 256,
              a_scales: scales, a_offsets: offsets, a_sums: scales, unit_stride: 8, start: nil,
              start_stride: 0, c: c.base, stride: 16)
            glta_multiply_bytes(vnni, Int32(rows), &product)
          }
        }
      }
      return c.elements
    }
    #expect(results[0] == results[1])
    withExtendedLifetime(b) {}
  }

  /// Codes of four bits stay exact: what differs from the product of floats is the rounding of the rows alone.
  @Test(arguments: [BlockFormat.q4_0, .q4_1, .q4_K], [1, 7, 150])
  func multipliesCodesOfFourBits(format: BlockFormat, rows: Int) throws {
    let b = try QuantizedPanels(QuantizedPanelTests.blocks(format, rows: 37, columns: 1536))
    try expectProductOfRoundedRows(b, rows: rows)
  }

  @Test(arguments: [1, 5]) func multipliesGroupsOfFourBits(rows: Int) throws {
    var random = Philox(seed: 4, purpose: "groups").sequence()
    let codes = (0..<11 * 40).map { _ in
      Int32(truncatingIfNeeded: random.index(below: 1 << 16) << 16 | random.index(below: 1 << 16))
    }
    let weight = try GroupedCodes(
      codes: Tensor(codes, shape: [11, 40]), scales: (0..<120).map { _ in Float16(random.normal()).bitPattern },
      zeros: (0..<120).map { _ in UInt8(random.index(below: 17)) }, groups: (0..<88).map { Int32($0 / 32) },
      inputs: 88, outputs: 40)
    try expectProductOfRoundedRows(QuantizedPanels(weight), rows: rows)
    let scattered = try GroupedCodes(
      codes: weight.codes, scales: weight.scales, zeros: weight.zeros, groups: weight.groups.reversed(), inputs: 88,
      outputs: 40)
    #expect(!ByteProduct.takes(QuantizedPanels(scattered)))
  }

  private func expectProductOfRoundedRows(_ b: QuantizedPanels, rows: Int) throws {
    let (a, rounded) = (randomMatrix(rows, b.depth), Matrix(rows: rows, columns: b.depth))
    for row in 0..<rows {
      let bytes = Rounded(a, row: row)
      for k in 0..<b.depth { rounded[row, k] = Float(bytes.codes[k]) * bytes.scales[k / 32] }
    }
    let (c, exact) = (Matrix(rows: rows, columns: b.columns), Matrix(rows: rows, columns: b.columns))
    ByteProduct.multiply(
      rows: rows, a: a.base, rowStride: b.depth, b: b, panels: 0..<b.panelCount, into: c.base, stride: b.columns)
    Product.multiply(rounded, PackedMatrix(transposing: b.floats()), into: exact, pool: .serial)
    #expect(relativeDifference(c.elements, exact.elements) < 2e-5)
  }
}
