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
      var (codes, scales) = ([Int](repeating: 0, count: units * 32), [Float](repeating: 0, count: units))
      for unit in 0..<units {
        let run = 32 * unit..<min(b.depth, 32 * unit + 32)
        let largest = run.map { abs(a[row, $0]) }.max() ?? 0
        scales[unit] = largest / 127
        for k in run where largest > 0 {
          codes[k] = Int((12_582_912 as Float).addingProduct(a[row, k], 127 / largest) - 12_582_912)
        }
      }
      for column in 0..<b.columns {
        var sum = start(row, column)
        for unit in 0..<units {
          let scale = scale(of: b, column: column, unit: unit)
          var whole = 0
          for k in 32 * unit..<min(b.depth, 32 * unit + 32) where scale != 0 {
            whole += codes[k] * Int((weights[column, k] / scale).rounded())
          }
          sum = sum.addingProduct(Float(whole), scale * scales[unit])
        }
        result.append(sum)
      }
    }
    return result
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
  @Test(arguments: 1...12) func portableTilesGiveTheSameBits(rows: Int) throws {
    let b = try QuantizedPanels(roundingToBytes: BlockMatrix(randomMatrix(16, 96, seed: 2).tensor))
    var random = Philox(seed: 9, purpose: "codes").sequence()
    let codes = (0..<rows * 96).map { _ in Int8(random.index(below: 255) - 127) }
    let scales = (0..<rows * 3).map { _ in random.normal() }
    let offsets = (0..<rows * 3).map { block in -128 * codes[32 * block..<32 * block + 32].reduce(0) { $0 + Int32($1) }
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
              units: 3, scales: view.first, codes: view.first + view.codes, a: codes, row_stride: 96,
              a_scales: scales, a_offsets: offsets, unit_stride: 3, start: nil, start_stride: 0, c: c.base, stride: 16)
            glta_multiply_bytes(vnni, Int32(rows), &product)
          }
        }
      }
      return c.elements
    }
    #expect(results[0] == results[1])
    withExtendedLifetime(b) {}
  }
}
