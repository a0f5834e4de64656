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

@inline(__always)
func load4(_ pointer: UnsafePointer<Float>) -> SIMD4<Float> {
  UnsafeRawPointer(pointer).loadUnaligned(as: SIMD4<Float>.self)
}

@inline(__always)
func store4(_ pointer: UnsafeMutablePointer<Float>, _ vector: SIMD4<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: vector, as: SIMD4<Float>.self)
}

/// The first `lanes` floats, zeros after them: the end of a row that is no multiple of eight.
@inlinable @inline(__always)
func load8(_ pointer: UnsafePointer<Float>, _ lanes: Int) -> SIMD8<Float> {
  lanes == 8 ? load8(pointer) : loadTail8(pointer, lanes)
}

@inlinable @inline(__always)
func load8(_ pointer: UnsafeMutablePointer<Float>, _ lanes: Int) -> SIMD8<Float> {
  load8(UnsafePointer(pointer), lanes)
}

@inlinable @inline(__always)
func store8(_ pointer: UnsafeMutablePointer<Float>, _ vector: SIMD8<Float>, _ lanes: Int) {
  if lanes == 8 { store8(pointer, vector) } else { storeTail8(pointer, vector, lanes) }
}

/// The tails are calls: beside code that takes lanes one by one, LLVM tears whole vectors apart, too.
@usableFromInline @inline(never)
func loadTail8(_ pointer: UnsafePointer<Float>, _ lanes: Int) -> SIMD8<Float> {
  var vector = SIMD8<Float>.zero
  for lane in 0..<lanes { vector[lane] = pointer[lane] }
  return vector
}

@usableFromInline @inline(never)
func storeTail8(_ pointer: UnsafeMutablePointer<Float>, _ vector: SIMD8<Float>, _ lanes: Int) {
  for lane in 0..<lanes { pointer[lane] = vector[lane] }
}

/// The first `lanes` lanes, zeros after them.
@inlinable @inline(__always)
func keep8(_ vector: SIMD8<Float>, _ lanes: Int) -> SIMD8<Float> {
  lanes == 8 ? vector : keepTail8(vector, lanes)
}

@usableFromInline @inline(never)
func keepTail8(_ vector: SIMD8<Float>, _ lanes: Int) -> SIMD8<Float> {
  var vector = vector
  for lane in lanes..<8 { vector[lane] = 0 }
  return vector
}

/// Calls `body` with the offset and the lanes of each vector in a range; only the last may have fewer than eight.
@inlinable @inline(__always)
func forEachVector(from start: Int = 0, to end: Int, _ body: (_ offset: Int, _ lanes: Int) -> Void) {
  var offset = start
  // One call of the body: with a second one for the tail, large bodies are not inlined and cost a call a vector.
  while offset < end {
    body(offset, min(8, end - offset))
    offset += 8
  }
}
