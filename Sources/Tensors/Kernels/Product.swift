import CProcessor

/// C (`rows` x `columns`) = A · B with B packed: the product of everything that is frozen, and of every score.
///
/// Each element of C is one sum over k = 0, 1, 2, ... of fused multiply-adds, whatever the number of rows, the tile, the
/// thread or the vector width. So a request has the same bits alone and in a batch, on one thread and on eight, and on
/// every CPU that fuses (DESIGN.md decision 4 asks for the same bits on one CPU type; OpenBLAS gives other bits for
/// other row counts). The blocking is that of Goto and van de Geijn, *Anatomy of high-performance matrix
/// multiplication* (2008): a tile of C stays in registers, a panel of B in the first-level cache, a block of A in the
/// second.
public enum Product {
  /// Depth of a block of A and of a panel of B that are used together.
  static let blockDepth = 384
  /// Rows of A that are packed together: a multiple of both tile heights.
  static let blockRows = 96

  /// Floats of scratch memory that one product needs.
  public static let scratchCount = blockDepth * blockRows + 2 * MicroTile.maximumRows * PackedMatrix.panelColumns

  /// Computes C = A · B, or C += A · B.
  ///
  /// - Parameters:
  ///   - a: A[i, k] = a[i * rowStride + k * columnStride], `rows` x `b.depth`.
  ///   - c: C[i, j] = c[i * stride + j].
  ///   - accumulate: whether C keeps what it holds; a bias is added by filling C with it first.
  ///   - scratch: `scratchCount` floats.
  public static func multiply(
    rows: Int, a: UnsafePointer<Float>, rowStride: Int, columnStride: Int = 1, b: PackedMatrix,
    into c: UnsafeMutablePointer<Float>, stride: Int, accumulate: Bool = false,
    scratch: UnsafeMutablePointer<Float>
  ) {
    multiply(
      rows: rows, depth: b.depth, columns: b.columns, a: a, rowStride: rowStride, columnStride: columnStride,
      panels: b.panels.base, into: c, stride: stride, accumulate: accumulate, scratch: scratch)
  }

  /// The same for a whole matrix, its rows shared out over `pool`.
  public static func multiply(
    _ a: Matrix, _ b: PackedMatrix, into c: Matrix, accumulate: Bool = false, pool: ThreadPool
  ) {
    precondition(a.columns == b.depth && c.columns == b.columns && a.rows == c.rows)
    let scratch = Matrix(rows: pool.threads, columns: scratchCount)
    pool.forEach((a.rows + blockRows - 1) / blockRows) { block, worker in
      let start = block * blockRows
      multiply(
        rows: min(blockRows, a.rows - start), a: a.row(start), rowStride: a.columns, b: b, into: c.row(start),
        stride: c.columns, accumulate: accumulate, scratch: scratch.row(worker))
    }
  }

  /// The product over panels that the caller has packed with `PackedMatrix.pack`.
  static func multiply(
    rows: Int, depth: Int, columns: Int, a: UnsafePointer<Float>, rowStride: Int, columnStride: Int,
    panels: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>, stride: Int, accumulate: Bool,
    scratch: UnsafeMutablePointer<Float>
  ) {
    guard depth > 0 else {
      if !accumulate { for row in 0..<rows { (c + row * stride).update(repeating: 0, count: columns) } }
      return
    }
    let width = PackedMatrix.panelColumns
    let packed = scratch
    let edge = scratch + blockDepth * blockRows
    var rowStart = 0
    while rowStart < rows {
      let blockRows = min(Product.blockRows, rows - rowStart)
      var depthStart = 0
      while depthStart < depth {
        let blockDepth = min(Product.blockDepth, depth - depthStart)
        packRows(
          blockRows, depth: blockDepth, a: a + rowStart * rowStride + depthStart * columnStride,
          rowStride: rowStride, columnStride: columnStride, into: packed)
        let adds = accumulate || depthStart > 0
        var column = 0
        var panel = panels + depthStart * width
        while column < columns {
          multiplyPanel(
            rows: blockRows, depth: blockDepth, columns: min(width, columns - column), packed: packed, panel: panel,
            into: c + rowStart * stride + column, stride: stride, adds: adds, edge: edge)
          panel += depth * width
          column += width
        }
        depthStart += blockDepth
      }
      rowStart += blockRows
    }
  }

  /// One panel of B against all tiles of a packed block of A.
  @inline(__always)
  private static func multiplyPanel(
    rows: Int, depth: Int, columns: Int, packed: UnsafePointer<Float>, panel: UnsafePointer<Float>,
    into c: UnsafeMutablePointer<Float>, stride: Int, adds: Bool, edge: UnsafeMutablePointer<Float>
  ) {
    let width = PackedMatrix.panelColumns
    let height = MicroTile.rows
    var row = 0
    while row < rows {
      let tileRows = min(height, rows - row)
      let target = c + row * stride
      if tileRows == height && columns == width {
        MicroTile.multiply(depth, packed + row * depth, panel, target, stride, adds)
      } else {
        // The edge of C: a whole tile in scratch memory, of which the part that exists is copied.
        if adds { copyTile(tileRows, columns, from: target, stride, to: edge, width) }
        MicroTile.multiply(depth, packed + row * depth, panel, edge, width, adds)
        copyTile(tileRows, columns, from: edge, width, to: target, stride)
      }
      row += height
    }
  }

  private static func copyTile(
    _ rows: Int, _ columns: Int, from source: UnsafePointer<Float>, _ sourceStride: Int,
    to target: UnsafeMutablePointer<Float>, _ targetStride: Int
  ) {
    for row in 0..<rows {
      (target + row * targetStride).update(from: source + row * sourceStride, count: columns)
    }
  }

  /// Interleaves the rows of a block of A, a tile's height at a time, zeros below the last row.
  private static func packRows(
    _ rows: Int, depth: Int, a: UnsafePointer<Float>, rowStride: Int, columnStride: Int,
    into packed: UnsafeMutablePointer<Float>
  ) {
    let height = MicroTile.rows
    var target = packed
    var row = 0
    while row < rows {
      let source = a + row * rowStride
      if row + height <= rows && height == 6 {
        let (s0, s1, s2) = (source, source + rowStride, source + 2 * rowStride)
        let (s3, s4, s5) = (source + 3 * rowStride, source + 4 * rowStride, source + 5 * rowStride)
        var at = 0
        for _ in 0..<depth {
          target[0] = s0[at]
          target[1] = s1[at]
          target[2] = s2[at]
          target[3] = s3[at]
          target[4] = s4[at]
          target[5] = s5[at]
          target += 6
          at += columnStride
        }
      } else {
        let used = min(height, rows - row)
        for k in 0..<depth {
          for i in 0..<used { target[i] = source[i * rowStride + k * columnStride] }
          for i in used..<height { target[i] = 0 }
          target += height
        }
      }
      row += height
    }
  }
}

/// The tile of C that stays in registers, and the loop over k that fills it.
///
/// Six rows of two 8-lane vectors fill the sixteen registers of AVX2; twelve rows of one 16-lane vector suit AVX-512.
enum MicroTile {
  static let maximumRows = 12

  @inline(__always) static var rows: Int { glta_build_uses_avx512() != 0 ? 12 : 6 }

  @inline(__always)
  static func multiply(
    _ depth: Int, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
    _ stride: Int, _ adds: Bool
  ) {
    if glta_build_uses_avx512() != 0 {
      multiply12x16(depth, a, b, c, stride, adds)
    } else {
      multiply6x16(depth, a, b, c, stride, adds)
    }
  }

  @inline(never)
  static func multiply6x16(
    _ depth: Int, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
    _ stride: Int, _ adds: Bool
  ) {
    var (c00, c01, c10, c11) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    var (c20, c21, c30, c31) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    var (c40, c41, c50, c51) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    let (r1, r2, r3, r4, r5) = (c + stride, c + 2 * stride, c + 3 * stride, c + 4 * stride, c + 5 * stride)
    if adds {
      (c00, c01, c10, c11) = (load8(c), load8(c + 8), load8(r1), load8(r1 + 8))
      (c20, c21, c30, c31) = (load8(r2), load8(r2 + 8), load8(r3), load8(r3 + 8))
      (c40, c41, c50, c51) = (load8(r4), load8(r4 + 8), load8(r5), load8(r5 + 8))
    }
    var (a, b) = (a, b)
    for _ in 0..<depth {
      let (b0, b1) = (load8(b), load8(b + 8))
      let a0 = Vector(repeating: a[0])
      c00 = c00.addingProduct(a0, b0)
      c01 = c01.addingProduct(a0, b1)
      let a1 = Vector(repeating: a[1])
      c10 = c10.addingProduct(a1, b0)
      c11 = c11.addingProduct(a1, b1)
      let a2 = Vector(repeating: a[2])
      c20 = c20.addingProduct(a2, b0)
      c21 = c21.addingProduct(a2, b1)
      let a3 = Vector(repeating: a[3])
      c30 = c30.addingProduct(a3, b0)
      c31 = c31.addingProduct(a3, b1)
      let a4 = Vector(repeating: a[4])
      c40 = c40.addingProduct(a4, b0)
      c41 = c41.addingProduct(a4, b1)
      let a5 = Vector(repeating: a[5])
      c50 = c50.addingProduct(a5, b0)
      c51 = c51.addingProduct(a5, b1)
      a += 6
      b += 16
    }
    store8(c, c00)
    store8(c + 8, c01)
    store8(r1, c10)
    store8(r1 + 8, c11)
    store8(r2, c20)
    store8(r2 + 8, c21)
    store8(r3, c30)
    store8(r3 + 8, c31)
    store8(r4, c40)
    store8(r4 + 8, c41)
    store8(r5, c50)
    store8(r5 + 8, c51)
  }

  @inline(never)
  static func multiply12x16(
    _ depth: Int, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
    _ stride: Int, _ adds: Bool
  ) {
    typealias Wide = SIMD16<Float>
    @inline(__always) func load(_ row: Int) -> Wide {
      adds ? UnsafeRawPointer(c + row * stride).loadUnaligned(as: Wide.self) : .zero
    }
    @inline(__always) func store(_ row: Int, _ value: Wide) {
      UnsafeMutableRawPointer(c + row * stride).storeBytes(of: value, as: Wide.self)
    }
    var (c0, c1, c2, c3) = (load(0), load(1), load(2), load(3))
    var (c4, c5, c6, c7) = (load(4), load(5), load(6), load(7))
    var (c8, c9, c10, c11) = (load(8), load(9), load(10), load(11))
    var (a, b) = (a, b)
    for _ in 0..<depth {
      let row = UnsafeRawPointer(b).loadUnaligned(as: Wide.self)
      c0 = c0.addingProduct(Wide(repeating: a[0]), row)
      c1 = c1.addingProduct(Wide(repeating: a[1]), row)
      c2 = c2.addingProduct(Wide(repeating: a[2]), row)
      c3 = c3.addingProduct(Wide(repeating: a[3]), row)
      c4 = c4.addingProduct(Wide(repeating: a[4]), row)
      c5 = c5.addingProduct(Wide(repeating: a[5]), row)
      c6 = c6.addingProduct(Wide(repeating: a[6]), row)
      c7 = c7.addingProduct(Wide(repeating: a[7]), row)
      c8 = c8.addingProduct(Wide(repeating: a[8]), row)
      c9 = c9.addingProduct(Wide(repeating: a[9]), row)
      c10 = c10.addingProduct(Wide(repeating: a[10]), row)
      c11 = c11.addingProduct(Wide(repeating: a[11]), row)
      a += 12
      b += 16
    }
    store(0, c0)
    store(1, c1)
    store(2, c2)
    store(3, c3)
    store(4, c4)
    store(5, c5)
    store(6, c6)
    store(7, c7)
    store(8, c8)
    store(9, c9)
    store(10, c10)
    store(11, c11)
  }
}
