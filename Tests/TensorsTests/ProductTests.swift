import CProcessor
import Tensors
import TestSupport
import Testing

/// The product of frozen weights and of scores.
struct ProductTests {
  private static let shapes = [
    (1, 1, 1), (1, 16, 1), (6, 16, 8), (7, 17, 9), (5, 33, 400), (97, 40, 385), (130, 70, 800), (13, 1, 64),
  ]

  private func naive(_ a: Matrix, _ b: Matrix) -> [Float] {
    (0..<a.rows).flatMap { row in
      (0..<b.columns).map { column in
        Float((0..<a.columns).reduce(0.0) { $0 + Double(a[row, $1]) * Double(b[$1, column]) })
      }
    }
  }

  @Test(arguments: shapes) func agreesWithTheNaiveProduct(rows: Int, columns: Int, depth: Int) {
    let (a, b) = (randomMatrix(rows, depth), randomMatrix(depth, columns, seed: 2))
    let c = Matrix(rows: rows, columns: columns)
    Product.multiply(a, PackedMatrix(b), into: c, pool: ThreadPool(threads: 2))
    #expect(relativeDifference(c.elements, naive(a, b)) < 2e-6)
  }

  @Test func packsTransposesAndAccumulates() {
    let (a, b) = (randomMatrix(9, 21), randomMatrix(18, 21, seed: 2))
    let transposed = Matrix(rows: 21, columns: 18)
    for row in 0..<18 { for column in 0..<21 { transposed[column, row] = b[row, column] } }
    let start = randomMatrix(9, 18, seed: 3)
    let c = start.copy()
    Product.multiply(a, PackedMatrix(transposing: b), into: c, accumulate: true, pool: ThreadPool(threads: 1))
    let expected = zip(naive(a, transposed), start.elements).map(+)
    #expect(relativeDifference(c.elements, expected) < 2e-6)
  }

  /// DESIGN.md decision 4: a row has the same bits alone, in a batch, and on any number of threads.
  @Test func aRowHasTheSameBitsInAnyBatchAndOnAnyNumberOfThreads() {
    let (a, b) = (randomMatrix(130, 500), PackedMatrix(randomMatrix(500, 50, seed: 2)))
    let together = Matrix(rows: 130, columns: 50)
    Product.multiply(a, b, into: together, pool: ThreadPool(threads: 3))
    for row in [0, 5, 95, 96, 129] {
      let alone = Matrix(rows: 1, columns: 50)
      Product.multiply(a.slice(row..<row + 1), b, into: alone, pool: ThreadPool(threads: 1))
      #expect(alone.elements == together.slice(row..<row + 1).elements)
    }
  }

  /// What makes the property above hold: every element is one sum in order of k.
  @Test func anElementIsTheDotProductInOrder() {
    let (a, b) = (randomMatrix(7, 900), randomMatrix(20, 900, seed: 2))
    let c = Matrix(rows: 7, columns: 20)
    Product.multiply(a, PackedMatrix(transposing: b), into: c, pool: ThreadPool(threads: 1))
    for row in 0..<7 {
      for column in 0..<20 { #expect(c[row, column] == Accumulate.dotInOrder(900, a.row(row), b.row(column))) }
    }
  }

  /// Every height of tile, with and without an edge on the right, one block of terms and two, A as it is and transposed,
  /// and every start: each element is the sum in order, to the bit.
  @Test(arguments: [(16, 40), (21, 385)]) func allTilesAndStartsSumInOrder(columns: Int, depth: Int) {
    let b = randomMatrix(columns, depth, seed: 2)
    let (packed, bias) = (PackedMatrix(transposing: b), randomMatrix(1, columns, seed: 3))
    for rows in Array(1...14) + [144, 146] {
      let (a, added) = (randomMatrix(rows, depth), randomMatrix(rows, columns, seed: 4))
      let transposed = Matrix(rows: depth, columns: rows)
      for row in 0..<rows { for k in 0..<depth { transposed[k, row] = a[row, k] } }
      func check(_ start: Product.Start, _ first: (Int, Int) -> Float) {
        let (c, d) = (Matrix(rows: rows, columns: columns), added.copy())
        Product.multiply(rows: rows, a: a.base, rowStride: depth, b: packed, into: c.base, stride: columns, from: start)
        var same = true
        for row in 0..<rows {
          for column in 0..<columns {
            var sum = first(row, column)
            for k in 0..<depth { sum = sum.addingProduct(a[row, k], b[column, k]) }
            same = same && c[row, column] == sum
          }
        }
        #expect(same)
        Product.multiply(
          rows: rows, a: transposed.base, rowStride: 1, columnStride: rows, b: packed, into: d.base, stride: columns,
          from: start)
        #expect(c.elements == d.elements)
      }
      check(.zero) { _, _ in 0 }
      check(.bias(bias.base)) { bias[0, $1] }
      check(.rows(added.base, stride: columns)) { added[$0, $1] }
    }
  }

  /// The tile of processors without AVX-512, on any processor.
  @Test(arguments: 1...6) func aPortableTileSumsInOrder(rows: Int) {
    let (a, b, c) = (randomMatrix(rows, 33), randomMatrix(33, 16, seed: 2), randomMatrix(rows, 20, seed: 3))
    let start = c.copy()
    var tile = glta_tile(
      depth: 33, a: a.base, row_stride: 33, column_stride: 1, b: b.base, start: start.base, start_stride: 20, c: c.base,
      stride: 20, next: b.base, next_step: 2)
    glta_multiply_tile(Int32(rows), &tile)
    for row in 0..<rows {
      for column in 0..<20 {
        var sum = start[row, column]
        if column < 16 { for k in 0..<33 { sum = sum.addingProduct(a[row, k], b[k, column]) } }
        #expect(c[row, column] == sum)
      }
    }
  }

  @Test func finishesEachElementOnceItsSumIsComplete() {
    let (a, b) = (randomMatrix(200, 500), PackedMatrix(randomMatrix(500, 50, seed: 2)))
    let (plain, doubled) = (Matrix(rows: 200, columns: 50), Matrix(rows: 200, columns: 50))
    Product.multiply(rows: 200, a: a.base, rowStride: 500, b: b, into: plain.base, stride: 50)
    Product.multiply(rows: 200, a: a.base, rowStride: 500, b: b, into: doubled.base, stride: 50) { rows, columns in
      for row in rows { for column in columns { doubled[row, column] *= 2 } }
    }
    #expect(doubled.elements == plain.elements.map { 2 * $0 })
  }

  @Test func matmulOverBLASAgreesInAllTranspositions() {
    let pool = ThreadPool(threads: 2)
    let (a, b) = (randomMatrix(300, 33), randomMatrix(33, 19, seed: 2))
    let expected = naive(a, b)
    func transpose(_ x: Matrix) -> Matrix {
      let result = Matrix(rows: x.columns, columns: x.rows)
      for row in 0..<x.rows { for column in 0..<x.columns { result[column, row] = x[row, column] } }
      return result
    }
    for (transposingA, transposingB) in [(false, false), (true, false), (false, true), (true, true)] {
      let c = Matrix(rows: 300, columns: 19)
      Matmul.multiply(
        transposingA ? transpose(a) : a, transposingA: transposingA, transposingB ? transpose(b) : b,
        transposingB: transposingB, into: c, pool: pool)
      #expect(relativeDifference(c.elements, expected) < 2e-6)
    }
  }

  @Test func matmulHasTheSameBitsOnOneThreadAndOnTwo() {
    let (a, b) = (randomMatrix(700, 65), randomMatrix(65, 120, seed: 2))
    let results = [1, 2].map { threads in
      let c = Matrix(rows: 700, columns: 120)
      Matmul.multiply(a, b, into: c, pool: ThreadPool(threads: threads))
      return c.elements
    }
    #expect(results[0] == results[1])
  }
}
