// Loads, stores and loops over vectors of eight floats: the vocabulary that the kernels are written in.
//
// Swift vectorises what is written as vectors. Eight lanes are one AVX register, or two of NEON.

@usableFromInline typealias Vector = SIMD8<Float>

@inlinable @inline(__always)
func load8(_ pointer: UnsafePointer<Float>) -> SIMD8<Float> {
  UnsafeRawPointer(pointer).loadUnaligned(as: SIMD8<Float>.self)
}

@inlinable @inline(__always)
func load8(_ pointer: UnsafeMutablePointer<Float>) -> SIMD8<Float> { load8(UnsafePointer(pointer)) }

@inlinable @inline(__always)
func store8(_ pointer: UnsafeMutablePointer<Float>, _ vector: SIMD8<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: vector, as: SIMD8<Float>.self)
}

/// The first `lanes` floats, zeros after them: the end of a row that is no multiple of eight.
@inlinable @inline(__always)
func load8(_ pointer: UnsafePointer<Float>, _ lanes: Int) -> SIMD8<Float> {
  if lanes == 8 { return load8(pointer) }
  var vector = SIMD8<Float>.zero
  for lane in 0..<lanes { vector[lane] = pointer[lane] }
  return vector
}

@inlinable @inline(__always)
func load8(_ pointer: UnsafeMutablePointer<Float>, _ lanes: Int) -> SIMD8<Float> {
  load8(UnsafePointer(pointer), lanes)
}

@inlinable @inline(__always)
func store8(_ pointer: UnsafeMutablePointer<Float>, _ vector: SIMD8<Float>, _ lanes: Int) {
  if lanes == 8 { return store8(pointer, vector) }
  for lane in 0..<lanes { pointer[lane] = vector[lane] }
}

/// Calls `body` with the offset and the lanes of each vector in a range; only the last may have fewer than eight.
@inlinable @inline(__always)
func forEachVector(from start: Int = 0, to end: Int, _ body: (_ offset: Int, _ lanes: Int) -> Void) {
  var offset = start
  while offset + 8 <= end {
    body(offset, 8)
    offset += 8
  }
  if offset < end { body(offset, end - offset) }
}
