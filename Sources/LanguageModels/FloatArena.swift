import Tensors

/// Matrices cut one after another out of one run of floats that is kept between sequences: a pass allocates nothing
/// once it has seen its longest sequence.
struct FloatArena {
  private var storage = Storage(byteCount: 0)
  private var used = 0

  /// Bytes that an arena takes at the most for `count` floats, or fewer before.
  static func byteCount(_ count: Int) -> Int { count * MemoryLayout<Float>.stride * 5 / 4 }

  /// Bytes that it has taken.
  var byteCount: Int { storage.byteCount }

  /// Forgets what was taken and makes room for `count` floats.
  mutating func reset(count: Int) {
    if storage.byteCount < count * MemoryLayout<Float>.stride {
      // First the old memory goes, where nobody looks at it any more.
      storage = Storage(byteCount: 0)
      storage = Storage(byteCount: FloatArena.byteCount(count))
    }
    used = 0
  }

  /// The next `rows` x `columns` floats, at the start of a cache line. Their values are left over.
  mutating func take(_ rows: Int, _ columns: Int) -> Matrix {
    let matrix = Matrix(storage: storage, byteOffset: used, rows: rows, columns: columns)
    used +=
      (rows * columns * MemoryLayout<Float>.stride + Storage.alignment - 1) / Storage.alignment * Storage.alignment
    return matrix
  }
}
