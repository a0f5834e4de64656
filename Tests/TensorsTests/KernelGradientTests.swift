import Foundation
import Tensors
import TestSupport
import Testing

/// Every kernel's backward against finite differences, and its forward against a naive twin in double precision.
struct KernelGradientTests {
  private let pool = ThreadPool(threads: 2)

  @Test(arguments: [5, 8, 27]) func layerNorm(columns: Int) {
    let (x, weight, bias) = (
      randomMatrix(3, columns), randomMatrix(1, columns, seed: 2), randomMatrix(1, columns, seed: 3)
    )
    let (out, mean, rstd) = (
      Matrix(rows: 3, columns: columns), Matrix(rows: 1, columns: 3), Matrix(rows: 1, columns: 3)
    )
    func forward() {
      LayerNorm.forward(
        rows: 3, columns: columns, x: x.base, weight: weight.base, bias: bias.base, epsilon: 1e-5, into: out.base,
        mean: mean.base, rstd: rstd.base)
    }
    forward()
    for row in 0..<3 {
      let values = (0..<columns).map { Double(x[row, $0]) }
      let average = values.reduce(0, +) / Double(columns)
      let variance = values.map { ($0 - average) * ($0 - average) }.reduce(0, +) / Double(columns)
      for column in 0..<columns {
        let expected =
          (values[column] - average) / (variance + 1e-5).squareRoot() * Double(weight[0, column])
          + Double(bias[0, column])
        #expect(abs(Double(out[row, column]) - expected) < 1e-5)
      }
    }
    let dout = randomMatrix(3, columns, seed: 4)
    let dx = Matrix(rows: 3, columns: columns)
    LayerNorm.backward(
      rows: 3, columns: columns, dout: dout.base, x: x.base, weight: weight.base, mean: mean.base, rstd: rstd.base,
      into: dx.base)
    let expected = finiteDifferences(of: x) {
      forward()
      return dot(out, dout)
    }
    #expect(relativeDifference(dx.elements, expected) < 5e-3)
  }

  @Test(arguments: [5, 8, 27]) func rmsNorm(columns: Int) {
    let (x, weight) = (randomMatrix(3, columns), randomMatrix(1, columns, seed: 2))
    let (out, rstd) = (Matrix(rows: 3, columns: columns), Matrix(rows: 1, columns: 3))
    func forward() {
      RMSNorm.forward(
        rows: 3, columns: columns, x: x.base, weight: weight.base, epsilon: 1e-5, into: out.base, rstd: rstd.base)
    }
    forward()
    for row in 0..<3 {
      let square = (0..<columns).reduce(0.0) { $0 + Double(x[row, $1]) * Double(x[row, $1]) } / Double(columns)
      for column in 0..<columns {
        let expected = Double(x[row, column]) / (square + 1e-5).squareRoot() * Double(weight[0, column])
        #expect(abs(Double(out[row, column]) - expected) < 1e-5)
      }
    }
    let dout = randomMatrix(3, columns, seed: 4)
    let dx = Matrix(rows: 3, columns: columns)
    RMSNorm.backward(
      rows: 3, columns: columns, dout: dout.base, x: x.base, weight: weight.base, rstd: rstd.base, into: dx.base)
    let residual = randomMatrix(3, columns, seed: 5)
    let sum = residual.copy()
    RMSNorm.backward(
      rows: 3, columns: columns, dout: dout.base, x: x.base, weight: weight.base, rstd: rstd.base, adding: sum.base,
      into: sum.base)
    #expect(sum.elements == zip(residual.elements, dx.elements).map { $0 + $1 })
    let expected = finiteDifferences(of: x) {
      forward()
      return dot(out, dout)
    }
    #expect(relativeDifference(dx.elements, expected) < 5e-3)
  }

  @Test(arguments: [1, 7, 8, 37]) func softmax(columns: Int) {
    let x = randomMatrix(4, columns)
    let scale: Float = 0.7
    let p = x.copy()
    Softmax.forward(rows: 4, columns: columns, x: p.base, stride: columns, scale: scale)
    for row in 0..<4 {
      let exponentials = (0..<columns).map { exp(Double(scale * x[row, $0])) }
      for column in 0..<columns {
        #expect(abs(Double(p[row, column]) - exponentials[column] / exponentials.reduce(0, +)) < 1e-6)
      }
      #expect(
        abs(
          Double(Softmax.logSumExp(columns, x.row(row)))
            - log((0..<columns).reduce(0.0) { $0 + exp(Double(x[row, $1])) }))
          < 1e-5)
    }
    let dout = randomMatrix(4, columns, seed: 2)
    let dx = dout.copy()
    Softmax.backward(rows: 4, columns: columns, p: p.base, dp: dx.base, stride: columns, scale: scale)
    let expected = finiteDifferences(of: x) {
      let p = x.copy()
      Softmax.forward(rows: 4, columns: columns, x: p.base, stride: columns, scale: scale)
      return dot(p, dout)
    }
    #expect(absoluteDifference(dx.elements, expected) < 1e-3)
  }

  @Test func softmaxOfHugeScoresIsFinite() {
    let x = Matrix([1e30, -1e30, 1e30, 80, 0, 0, 0, 0, 3], rows: 1, columns: 9)
    Softmax.forward(rows: 1, columns: 9, x: x.base, stride: 9)
    #expect(x.isFinite)
    #expect(abs(x[0, 0] - 0.5) < 1e-6)
  }

  @Test(arguments: [GELU.Form.erf, .tanh]) func gelu(form: GELU.Form) {
    // Every quarter from -8 to 8 and a tail that is no multiple of eight.
    let x = Matrix((0..<67).map { Float($0) * 0.25 - 8 }, rows: 1, columns: 67)
    let out = Matrix(rows: 1, columns: 67)
    func forward() { GELU.forward(form, columns: 67, x: x.base, into: out.base) }
    forward()
    for index in 0..<67 {
      let value = Double(x.base[index])
      let expected =
        form == .erf
        ? value * 0.5 * (1 + erf(value / 2.0.squareRoot()))
        : value * 0.5 * (1 + tanh((2 / Double.pi).squareRoot() * (value + 0.044715 * value * value * value)))
      #expect(abs(Double(out.base[index]) - expected) < 2e-6)
    }
    let dout = randomMatrix(1, 67, seed: 2)
    let dx = Matrix(rows: 1, columns: 67)
    let (again, slope) = (Matrix(rows: 1, columns: 67), x.copy())
    GELU.forward(form, columns: 67, x: slope.base, into: again.base, slope: slope.base)
    #expect(again.elements == out.elements)
    GELU.backward(columns: 67, dout: dout.base, slope: slope.base, into: dx.base)
    let expected = finiteDifferences(of: x) {
      forward()
      return dot(out, dout)
    }
    #expect(absoluteDifference(dx.elements, expected) < 2e-3)
  }

  @Test(arguments: [1, 3]) func swiGLU(rows: Int) {
    // Columns that are no multiple of eight, of rows that are wider.
    let (columns, stride) = (19, 24)
    let (gate, up) = (randomMatrix(rows, stride), randomMatrix(rows, stride, seed: 2))
    let out = Matrix(rows: rows, columns: stride)
    func forward() {
      SwiGLU.forward(rows: rows, columns: columns, stride: stride, gate: gate.base, up: up.base, into: out.base)
    }
    forward()
    for row in 0..<rows {
      for column in 0..<stride {
        let x = Double(gate[row, column])
        let expected = column < columns ? x / (1 + exp(-x)) * Double(up[row, column]) : 0
        #expect(abs(Double(out[row, column]) - expected) < 2e-6)
      }
    }
    let dout = randomMatrix(rows, stride, seed: 3)
    let (dgate, dup) = (dout.copy(), up.copy())
    SwiGLU.backward(
      rows: rows, columns: columns, stride: stride, dout: dgate.base, gate: gate.base, up: dup.base, dgate: dgate.base,
      dup: dup.base)
    for (x, gradient) in [(gate, dgate), (up, dup)] {
      let expected = finiteDifferences(of: x) {
        forward()
        return dot(out, dout)
      }
      for row in 0..<rows {
        for column in 0..<columns {
          #expect(abs(gradient[row, column] - expected[row * stride + column]) < 2e-3)
        }
      }
    }
  }

  @Test(arguments: [4, 20, 64]) func rotaryEmbedding(columns: Int) {
    let (heads, half) = (3, columns / 2)
    let x = randomMatrix(1, heads * columns)
    let angles = Matrix(rows: 1, columns: columns)
    for pair in 0..<half {
      // Scaled, as YaRN's are.
      angles[0, pair] = 1.1 * cosf(Float(pair) + 0.3)
      angles[0, half + pair] = 1.1 * sinf(Float(pair) + 0.3)
    }
    func forward() -> Matrix {
      let out = x.copy()
      RotaryEmbedding.forward(heads: heads, headColumns: columns, angles: angles.base, x: out.base)
      return out
    }
    let out = forward()
    for head in 0..<heads {
      for pair in 0..<half {
        let (first, second) = (head * columns + pair, head * columns + half + pair)
        let (cosine, sine) = (angles[0, pair], angles[0, half + pair])
        #expect(abs(out[0, first] - (x[0, first] * cosine - x[0, second] * sine)) < 1e-5)
        #expect(abs(out[0, second] - (x[0, second] * cosine + x[0, first] * sine)) < 1e-5)
      }
    }
    let dout = randomMatrix(1, heads * columns, seed: 2)
    let dx = dout.copy()
    RotaryEmbedding.backward(heads: heads, headColumns: columns, angles: angles.base, dx: dx.base)
    #expect(absoluteDifference(dx.elements, finiteDifferences(of: x) { dot(forward(), dout) }) < 3e-3)
  }

  @Test func silu() {
    let x = Matrix((0..<67).map { Float($0) * 0.25 - 8 }, rows: 1, columns: 67)
    let out = Matrix(rows: 1, columns: 67)
    func forward() { SiLU.forward(count: 67, x: x.base, into: out.base) }
    forward()
    for index in 0..<67 {
      let value = Double(x.base[index])
      #expect(abs(Double(out.base[index]) - value / (1 + exp(-value))) < 2e-6)
    }
    let dout = randomMatrix(1, 67, seed: 2)
    let dx = Matrix(rows: 1, columns: 67)
    SiLU.backward(count: 67, dout: dout.base, x: x.base, into: dx.base)
    let expected = finiteDifferences(of: x) {
      forward()
      return dot(out, dout)
    }
    #expect(absoluteDifference(dx.elements, expected) < 2e-3)
  }

  @Test(arguments: [(5, 8, 5), (19, 12, 19), (19, 16, 3)]) func attention(length: Int, columns: Int, queries: Int) {
    let attention = Attention(length: length, headColumns: columns)
    let (q, k, v) = (
      randomMatrix(queries, columns), randomMatrix(length, columns, seed: 2), randomMatrix(length, columns, seed: 3)
    )
    let (p, out) = (Matrix(rows: queries, columns: length), Matrix(rows: queries, columns: columns))
    let scratch = Matrix(rows: 1, columns: attention.scratchCount)
    func forward() {
      attention.forward(
        queries: queries, q: q.base, qStride: columns, k: k.base, v: v.base, kvStride: columns, p: p.base,
        into: out.base, scratch: scratch.base)
    }
    forward()
    #expect(relativeDifference(out.elements, naiveAttention(q, k, v)) < 1e-5)

    let dout = randomMatrix(queries, columns, seed: 4)
    let (dq, dk, dv) = (q.copy(), k.copy(), v.copy())
    attention.backward(
      queries: queries, dout: dout.base, p: p.base, q: q.base, qStride: columns, k: k.base, v: v.base,
      kvStride: columns, dq: dq.base, dk: dk.base, dv: dv.base, scratch: scratch.base)
    for (gradient, x) in [(dq, q), (dk, k), (dv, v)] {
      let expected = finiteDifferences(of: x) {
        forward()
        return dot(out, dout)
      }
      #expect(relativeDifference(gradient.elements, expected) < 5e-3)
    }
  }

  private func naiveAttention(_ q: Matrix, _ k: Matrix, _ v: Matrix) -> [Float] {
    (0..<q.rows).flatMap { query -> [Float] in
      let scores = (0..<k.rows).map { key in
        exp(
          (0..<q.columns).reduce(0.0) { $0 + Double(q[query, $1]) * Double(k[key, $1]) }
            / Double(q.columns).squareRoot())
      }
      let total = scores.reduce(0, +)
      return (0..<v.columns).map { column in
        Float((0..<k.rows).reduce(0.0) { $0 + scores[$1] / total * Double(v[$1, column]) })
      }
    }
  }

  @Test func crossEntropyOverManyItems() {
    let logits = randomMatrix(3, 1_003)
    let targets: [Int32] = [0, 500, 1_002]
    let losses = CrossEntropy.forward(logits: logits, targets: targets)
    for row in 0..<3 {
      let total = log((0..<1_003).reduce(0.0) { $0 + exp(Double(logits[row, $1])) })
      #expect(abs(Double(losses[row]) - (total - Double(logits[row, Int(targets[row])]))) < 1e-5)
    }
    let gradient = logits.copy()
    let again = CrossEntropy.forwardBackward(logits: gradient, targets: targets, scale: 0.5, pool: pool)
    #expect(again == losses)
    for (row, column) in [(0, 0), (0, 7), (1, 500), (1, 499), (2, 1_002)] {
      let value = logits[row, column]
      logits[row, column] = value + 0.01
      let above = CrossEntropy.forward(logits: logits, targets: targets).map(Double.init).reduce(0, +)
      logits[row, column] = value - 0.01
      let below = CrossEntropy.forward(logits: logits, targets: targets).map(Double.init).reduce(0, +)
      logits[row, column] = value
      #expect(abs(Double(gradient[row, column]) - 0.5 * (above - below) / 0.02) < 2e-4)
    }
  }

  @Test func embeddingGathersAndScatters() {
    let table = randomMatrix(6, 10)
    let ids: [Int32] = [3, 0, 3]
    let out = Matrix(rows: 3, columns: 10)
    Embedding.forward(table: table, ids: ids, into: out.base)
    for (row, id) in ids.enumerated() { for column in 0..<10 { #expect(out[row, column] == table[Int(id), column]) } }
    let gradient = Matrix(rows: 6, columns: 10)
    Embedding.backward(dout: out.base, ids: ids, into: gradient)
    for column in 0..<10 {
      #expect(gradient[3, column] == out[0, column] + out[2, column])
      #expect(gradient[1, column] == 0)
    }
  }
}
