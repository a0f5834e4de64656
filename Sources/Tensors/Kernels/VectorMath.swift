// Transcendental functions on eight lanes, written so that every step is one vector instruction.

/// e^x to within 2 units in the last place; x below -87.3 gives about 1e-38, x above 88.3 about 2e38.
///
/// Cody and Waite's reduction x = n ln 2 + r, a polynomial in r, and n added to the exponent. Adding 1.5 * 2^23 rounds
/// to the nearest integer and leaves it in the low bits: `rounded()` and conversions would become scalar code.
@inlinable @inline(__always)
func exp8(_ x: SIMD8<Float>) -> SIMD8<Float> {
  let lowest = SIMD8<Float>(repeating: -87.3)
  let highest = SIMD8<Float>(repeating: 88.3)
  var x = x.replacing(with: lowest, where: x .< lowest)
  x = x.replacing(with: highest, where: x .> highest)
  let magic = SIMD8<Float>(repeating: 12_582_912)
  let shifted = magic.addingProduct(x, SIMD8(repeating: 1.442_695_04))
  let n = shifted - magic
  var r = x.addingProduct(n, SIMD8(repeating: -0.693_359_375))
  r = r.addingProduct(n, SIMD8(repeating: 2.121_944_4e-4))
  var p = SIMD8<Float>(repeating: 1.987_569_15e-4)
  p = SIMD8(repeating: 1.398_199_95e-3).addingProduct(p, r)
  p = SIMD8(repeating: 8.333_451_9e-3).addingProduct(p, r)
  p = SIMD8(repeating: 4.166_579_6e-2).addingProduct(p, r)
  p = SIMD8(repeating: 1.666_666_55e-1).addingProduct(p, r)
  p = SIMD8(repeating: 5.000_000_1e-1).addingProduct(p, r)
  p = (r + SIMD8(repeating: 1)).addingProduct(p, r * r)
  let exponent = unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &<< SIMD8(repeating: 23)
  return unsafeBitCast(unsafeBitCast(p, to: SIMD8<UInt32>.self) &+ exponent, to: SIMD8<Float>.self)
}

/// erf(x) to within 4e-7 absolute: an odd rational function on |x| <= 4, beyond which it is 1 to float precision.
@inlinable @inline(__always)
func erf8(_ x: SIMD8<Float>) -> SIMD8<Float> {
  let bound = SIMD8<Float>(repeating: 4)
  var x = x.replacing(with: bound, where: x .> bound)
  x = x.replacing(with: -bound, where: x .< -bound)
  let s = x * x
  var p = SIMD8<Float>(repeating: -2.726_142_258_013_06e-10)
  p = SIMD8(repeating: 2.770_681_424_959_02e-08).addingProduct(p, s)
  p = SIMD8(repeating: -2.101_024_020_825_08e-06).addingProduct(p, s)
  p = SIMD8(repeating: -5.692_506_394_623_46e-05).addingProduct(p, s)
  p = SIMD8(repeating: -7.349_906_303_268_55e-04).addingProduct(p, s)
  p = SIMD8(repeating: -2.954_599_808_540_25e-03).addingProduct(p, s)
  p = SIMD8(repeating: -1.609_603_332_624_15e-02).addingProduct(p, s)
  var q = SIMD8<Float>(repeating: -1.456_607_184_649_96e-05)
  q = SIMD8(repeating: -2.133_740_552_789_05e-04).addingProduct(q, s)
  q = SIMD8(repeating: -1.682_826_974_382_03e-03).addingProduct(q, s)
  q = SIMD8(repeating: -7.373_329_167_204_68e-03).addingProduct(q, s)
  q = SIMD8(repeating: -1.426_473_905_141_89e-02).addingProduct(q, s)
  return x * p / q
}

/// tanh(x) = 1 - 2 / (e^2x + 1).
@inlinable @inline(__always)
func tanh8(_ x: SIMD8<Float>) -> SIMD8<Float> {
  SIMD8(repeating: 1) - SIMD8(repeating: 2) / (exp8(x + x) + SIMD8(repeating: 1))
}

/// 1 / (1 + e^-x).
@inlinable @inline(__always)
func sigmoid8(_ x: SIMD8<Float>) -> SIMD8<Float> {
  let one = SIMD8<Float>(repeating: 1)
  return one / (one + exp8(-x))
}

/// The sum of a fixed number of lanes in a fixed order.
@inlinable @inline(__always)
func sum8(_ x: SIMD8<Float>) -> Float {
  let halves = x.lowHalf + x.highHalf
  let quarters = halves.lowHalf + halves.highHalf
  return quarters.x + quarters.y
}
