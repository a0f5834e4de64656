import Foundation
import Tensors
import TestSupport
import Testing

/// Causal attention against a naive twin in double precision, and its backward pass against finite differences.
@Suite struct CausalAttentionTests {
  /// Heads of queries that share two heads of keys, over some positions.
  private struct Case {
    let attention: CausalAttention
    let columns: Int
    let heads = 4
    let keyHeads = 2
    let length: Int
    let positions: [Int32]
    let q: Matrix
    let k: Matrix
    let v: Matrix

    init(columns: Int, length: Int, window: Int? = nil, positions: [Int32]? = nil) {
      self.columns = columns
      self.length = length
      self.positions = positions ?? (0..<Int32(length)).map { $0 }
      attention = CausalAttention(headColumns: columns, window: window)
      q = randomMatrix(self.positions.count, heads * columns, seed: 1)
      k = randomMatrix(length, keyHeads * columns, seed: 2)
      v = randomMatrix(length, keyHeads * columns, seed: 3)
    }

    private func scorePanels(_ x: Matrix) -> ScorePanels {
      let count = ScorePanels.count(heads: keyHeads, headColumns: columns, positions: length)
      let panels = ScorePanels(
        heads: keyHeads, headColumns: columns, memory: Matrix(rows: 1, columns: count))
      // In two parts that end within a panel, as a cache is filled.
      let cut = length / 3
      for head in 0..<keyHeads {
        panels.pack(head: head, from: x.base + head * columns, stride: x.columns, positions: 0..<cut)
        panels.pack(
          head: head, from: x.base + cut * x.columns + head * columns, stride: x.columns, positions: cut..<length)
      }
      return panels
    }

    private func sumPanels(_ x: Matrix) -> SumPanels {
      let count = SumPanels.count(heads: keyHeads, headColumns: columns, positions: length)
      let panels = SumPanels(heads: keyHeads, headColumns: columns, memory: Matrix(rows: 1, columns: count))
      for head in 0..<keyHeads {
        panels.pack(head: head, from: x.base + head * columns, stride: x.columns, positions: 0..<length)
      }
      return panels
    }

    /// The heads' results and the log-sums, in blocks of `block` rows.
    func forward(block: Int = CausalAttention.queryBlock) -> (out: Matrix, logSums: Matrix) {
      let out = Matrix(rows: q.rows, columns: q.columns)
      let logSums = Matrix(rows: heads, columns: q.rows)
      let (keys, values) = (scorePanels(k), sumPanels(v))
      let scratch = Matrix(rows: 1, columns: attention.scratchCount)
      positions.withUnsafeBufferPointer { positions in
        guard let positions = positions.baseAddress else { return }
        for head in 0..<heads {
          for first in stride(from: 0, to: q.rows, by: block) {
            let offset = first * q.columns + head * columns
            attention.forward(
              CausalAttention.Rows(
                q.base + offset, stride: q.columns, count: min(block, q.rows - first), positions: positions + first),
              keys: keys, values: values, head: head / 2, into: out.base + offset,
              logSums: logSums.row(head) + first, scratch: scratch.base)
          }
        }
      }
      return (out, logSums)
    }

    func backward(_ dout: Matrix, firstKey: Int = 0) -> (dq: Matrix, dk: Matrix, dv: Matrix) {
      let (out, logSums) = forward()
      let dq = Matrix(rows: q.rows, columns: q.columns)
      // One column of heads for each head of queries, summed below.
      let dk = Matrix(rows: length - firstKey, columns: heads * columns)
      let dv = Matrix(rows: length - firstKey, columns: heads * columns)
      let panels = CausalAttention.BackwardPanels(keys: scorePanels(k), keySums: sumPanels(k), values: scorePanels(v))
      let scratch = Matrix(rows: 1, columns: attention.scratchCount)
      positions.withUnsafeBufferPointer { positions in
        guard let positions = positions.baseAddress else { return }
        for head in 0..<heads {
          for first in stride(from: 0, to: q.rows, by: CausalAttention.queryBlock) {
            let offset = first * q.columns + head * columns
            attention.backward(
              CausalAttention.Rows(
                q.base + offset, stride: q.columns, count: min(CausalAttention.queryBlock, q.rows - first),
                positions: positions + first),
              out: out.base + offset, dout: dout.base + offset, logSums: logSums.row(head) + first, panels: panels,
              head: head / 2, into: dq.base + offset, firstKey: firstKey, dk: dk.base + head * columns,
              dv: dv.base + head * columns, kvStride: heads * columns, scratch: scratch.base)
          }
        }
      }
      return (dq, sumHeads(dk), sumHeads(dv))
    }

    private func sumHeads(_ x: Matrix) -> Matrix {
      let sum = Matrix(rows: x.rows, columns: keyHeads * columns)
      for row in 0..<x.rows {
        for column in 0..<sum.columns {
          let (head, inner) = (column / columns, column % columns)
          sum[row, column] = x[row, 2 * head * columns + inner] + x[row, (2 * head + 1) * columns + inner]
        }
      }
      return sum
    }

    /// The definition, in double precision.
    func naive() -> [Float] {
      var result = Array(repeating: Float(0), count: q.count)
      for row in 0..<q.rows {
        let end = Int(positions[row]) + 1
        let seen = max(0, end - (attention.window ?? end))..<end
        for head in 0..<heads {
          func column(_ inner: Int) -> Int { head / 2 * columns + inner }
          let scores = seen.map { key in
            (0..<columns).reduce(0.0) { $0 + Double(q[row, head * columns + $1]) * Double(k[key, column($1)]) }
              / Double(columns).squareRoot()
          }
          let highest = scores.max() ?? 0
          let weights = scores.map { exp($0 - highest) }
          let total = weights.reduce(0, +)
          for inner in 0..<columns {
            let sum = zip(seen, weights).reduce(0.0) { $0 + $1.1 * Double(v[$1.0, column(inner)]) }
            result[row * q.columns + head * columns + inner] = Float(sum / total)
          }
        }
      }
      return result
    }
  }

  private static let shapes: [(columns: Int, length: Int, window: Int?)] = [
    (8, 1, nil), (16, 17, nil), (20, 130, nil), (64, 300, nil), (16, 300, 19), (8, 290, 128), (16, 40, 1),
  ]

  @Test(arguments: shapes) func agreesWithItsDefinition(columns: Int, length: Int, window: Int?) {
    let example = Case(columns: columns, length: length, window: window)
    #expect(absoluteDifference(example.forward().out.elements, example.naive()) < 3e-6)
  }

  @Test func someRowsOfQueriesAgreeWithTheDefinition() {
    for window in [nil, 100] {
      let example = Case(columns: 16, length: 280, window: window, positions: [0, 3, 127, 128, 129, 254, 255, 279])
      #expect(absoluteDifference(example.forward().out.elements, example.naive()) < 3e-6)
    }
  }

  @Test(arguments: shapes) func aRowHasTheSameBitsInAnyBlock(columns: Int, length: Int, window: Int?) {
    let example = Case(columns: columns, length: length, window: window)
    let expected = example.forward()
    for block in [1, 5, 31] {
      let found = example.forward(block: block)
      #expect(found.out.elements == expected.out.elements)
      #expect(found.logSums.elements == expected.logSums.elements)
    }
  }

  @Test func hugeScoresAreFinite() {
    let example = Case(columns: 16, length: 140)
    for index in 0..<example.q.count { example.q.base[index] *= 1e10 }
    #expect(example.forward().out.isFinite)
    #expect(absoluteDifference(example.forward().out.elements, example.naive()) < 3e-6)
  }

  @Test(arguments: [nil, 5] as [Int?]) func backwardAgreesWithFiniteDifferences(window: Int?) {
    let example = Case(columns: 4, length: 19, window: window)
    let dout = randomMatrix(example.q.rows, example.q.columns, seed: 5)
    let (dq, dk, dv) = example.backward(dout)
    for (x, gradient) in [(example.q, dq), (example.k, dk), (example.v, dv)] {
      let expected = finiteDifferences(of: x) { dot(example.forward().out, dout) }
      #expect(absoluteDifference(gradient.elements, expected) < 3e-3)
    }
  }

  /// Beyond one block of keys, against the sums of the definition's derivatives.
  @Test(arguments: [nil, 100] as [Int?]) func backwardOfSeveralBlocksAgreesWithFiniteDifferences(window: Int?) {
    let example = Case(columns: 2, length: 150, window: window, positions: [2, 90, 127, 128, 149])
    let dout = randomMatrix(example.q.rows, example.q.columns, seed: 5)
    let (dq, dk, dv) = example.backward(dout)
    for (x, gradient) in [(example.q, dq), (example.k, dk), (example.v, dv)] {
      let expected = finiteDifferences(of: x) { dot(example.forward().out, dout) }
      #expect(absoluteDifference(gradient.elements, expected) < 3e-3)
    }
  }

  @Test func keysBeforeTheFirstGetNoGradientAndOthersTheSame() {
    let example = Case(columns: 16, length: 150)
    let dout = randomMatrix(example.q.rows, example.q.columns, seed: 5)
    let whole = example.backward(dout)
    for first in [1, 64, 128, 140] {
      let part = example.backward(dout, firstKey: first)
      #expect(part.dq.elements == whole.dq.elements)
      #expect(part.dk.elements == whole.dk.slice(first..<150).elements)
      #expect(part.dv.elements == whole.dv.slice(first..<150).elements)
    }
  }

  @Test func panelsGiveBackTheirRowsAndCopies() {
    let (heads, columns, length) = (2, 20, 150)
    let x = randomMatrix(length, heads * columns)
    let scores = ScorePanels(
      heads: heads, headColumns: columns,
      memory: Matrix(rows: 1, columns: ScorePanels.count(heads: heads, headColumns: columns, positions: length)))
    let larger = ScorePanels(
      heads: heads, headColumns: columns,
      memory: Matrix(rows: 1, columns: ScorePanels.count(heads: heads, headColumns: columns, positions: 400)))
    let sums = SumPanels(
      heads: heads, headColumns: columns,
      memory: Matrix(rows: 1, columns: SumPanels.count(heads: heads, headColumns: columns, positions: length)))
    let longer = SumPanels(
      heads: heads, headColumns: columns,
      memory: Matrix(rows: 1, columns: SumPanels.count(heads: heads, headColumns: columns, positions: 400)))
    let row = Matrix(rows: 1, columns: columns)
    for head in 0..<heads {
      let source = x.base + head * columns
      scores.pack(head: head, from: source, stride: x.columns, positions: 0..<length)
      sums.pack(head: head, from: source, stride: x.columns, positions: 0..<length)
      larger.copy(scores, head: head, positions: length)
      longer.copy(sums, head: head, positions: length)
    }
    for head in 0..<heads {
      for position in [0, 15, 16, 127, 128, 149] {
        let expected = (0..<columns).map { x[position, head * columns + $0] }
        for panels in [scores, larger] {
          panels.copyRow(head: head, position: position, into: row.base)
          #expect(row.elements == expected)
        }
        for panels in [sums, longer] {
          panels.copyRow(head: head, position: position, into: row.base)
          #expect(row.elements == expected)
        }
      }
    }
  }
}
