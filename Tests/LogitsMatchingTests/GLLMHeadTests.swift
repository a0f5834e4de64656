import LogitsMatching
import Tensors
import TestSupport
import Testing

/// The layer that turns hidden states into logits over the closed item set.
struct GLLMHeadTests {
  private static func random(_ rows: Int, _ columns: Int, _ purpose: String) -> Matrix {
    let matrix = Matrix(rows: rows, columns: columns)
    var numbers = Philox(seed: 3, purpose: purpose).sequence()
    for index in 0..<matrix.count { matrix.base[index] = 0.5 * numbers.normal() }
    return matrix
  }

  private let hidden = random(5, 12, "hidden")
  private let tokens = random(9, 12, "tokens")
  private let targets: [Int32] = [3, 0, 8, 3, 1]

  /// The loss in double precision, straight from the definition.
  private func loss(_ head: GLLMHead, hidden: Matrix, tokens: Matrix) -> Double {
    var total = 0.0
    for row in 0..<hidden.rows {
      var query = (0..<12).map { Double(hidden[row, $0]) }
      if head.kind == .tied {
        query = (0..<12).map { i in (0..<12).reduce(0) { $0 + Double(head.weight[i, $1]) * Double(hidden[row, $1]) } }
      }
      let items = head.kind == .tied ? tokens : head.weight
      let logits = (0..<9).map { item in
        (0..<12).reduce(Double(head.bias[0, item])) { $0 + query[$1] * Double(items[item, $1]) }
      }
      let highest = logits.max() ?? 0
      let sum = logits.reduce(0) { $0 + Double.exp($1 - highest) }
      total += highest + Double.log(sum) - logits[Int(targets[row])]
    }
    return total / 5
  }

  @Test(arguments: [HeadKind.free, .tied])
  func gradientsAgreeWithFiniteDifferences(kind: HeadKind) throws {
    let head = GLLMHead(
      kind: kind, weight: Self.random(kind == .free ? 9 : 12, 12, "weight"), bias: Self.random(1, 9, "bias"))
    let found = head.lossAndGradients(
      hidden: hidden, targets: targets, tokens: tokens, scale: 1.0 / 5, wantsTokenGradient: true,
      pool: ThreadPool(threads: 2))
    let mean = Double(found.losses.reduce(0, +)) / 5
    #expect(abs(mean - loss(head, hidden: hidden, tokens: tokens)) < 1e-5)
    func check(_ matrix: Matrix, _ gradient: Matrix) {
      for index in 0..<matrix.count {
        let (value, step) = (matrix.base[index], Float(1) / 1024)
        matrix.base[index] = value + step
        let above = loss(head, hidden: hidden, tokens: tokens)
        matrix.base[index] = value - step
        let below = loss(head, hidden: hidden, tokens: tokens)
        matrix.base[index] = value
        #expect(abs((above - below) / (2.0 / 1024) - Double(gradient.base[index])) < 1e-4)
      }
    }
    check(head.weight, found.weight)
    check(head.bias, found.bias)
    check(hidden, found.hidden)
    if kind == .tied { check(tokens, try #require(found.tokens)) }
  }

  @Test(arguments: [HeadKind.free, .tied])
  func aLogitHasTheSameBitsForARowAloneAndAnItemAmongFew(kind: HeadKind) {
    let head = GLLMHead(
      kind: kind, weight: Self.random(kind == .free ? 9 : 12, 12, "weight"), bias: Self.random(1, 9, "bias"))
    let frozen = FrozenHead(head, tokens: tokens)
    let all = frozen.logits(queries: frozen.queries(hidden))
    for row in 0..<hidden.rows {
      #expect(
        frozen.logits(queries: frozen.queries(hidden.slice(row..<row + 1))).elements
          == all.slice(row..<row + 1).elements)
    }
    // One item, some, all in another order: few are packed for the product, of many the product is picked from.
    for candidates: [Int32] in [[7], [8, 2], [8, 7, 6, 5, 4, 3, 2, 1, 0]] {
      let some = frozen.logits(queries: frozen.queries(hidden), candidates: candidates)
      for row in 0..<hidden.rows {
        for (column, item) in candidates.enumerated() { #expect(some[row, column] == all[row, Int(item)]) }
      }
    }
  }
}
