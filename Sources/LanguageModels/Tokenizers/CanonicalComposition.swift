import Foundation

/// Normalisation form C (Unicode Standard Annex #15), in time linear in the text but for long runs of marks, as
/// `CanonicalDecomposition`; the judge is the same.
enum CanonicalComposition {
  /// No scalar below takes part in a composition as its second half, and none of them changes.
  private static let firstMark: UInt32 = 0x300

  static func compose(_ scalars: inout [Unicode.Scalar]) {
    guard scalars.contains(where: { $0.value >= firstMark }) else { return }
    var decomposed: [Unicode.Scalar] = []
    decomposed.reserveCapacity(scalars.count)
    for scalar in scalars { CanonicalDecomposition.append(scalar, to: &decomposed) }
    CanonicalDecomposition.order(&decomposed)
    composeOrdered(&decomposed)
    scalars = decomposed
  }

  /// Joins every mark to the last starter before it that it is not blocked from (the Unicode Standard, D117).
  private static func composeOrdered(_ scalars: inout [Unicode.Scalar]) {
    var kept = 0
    var starter: Int?
    var lastClass: UInt8 = 0
    for index in scalars.indices {
      let scalar = scalars[index]
      let combiningClass = CanonicalDecomposition.combiningClass(scalar)
      if let at = starter, lastClass == 0 ? kept == at + 1 : lastClass < combiningClass,
        let joined = pair(scalars[at], scalar)
      {
        scalars[at] = joined
        continue
      }
      if combiningClass == 0 { starter = kept }
      lastClass = combiningClass
      scalars[kept] = scalar
      kept += 1
    }
    scalars.removeSubrange(kept...)
  }

  private static func pair(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
    guard second.value >= firstMark else { return nil }
    return hangul(first.value, second.value) ?? table[UInt64(first.value) << 32 | UInt64(second.value)]
  }

  /// The Unicode Standard, section 3.12: leading consonant and vowel, then syllable and trailing consonant.
  private static func hangul(_ first: UInt32, _ second: UInt32) -> Unicode.Scalar? {
    let (vowels, trails): (UInt32, UInt32) = (21, 28)
    if (0x1100..<0x1113).contains(first), (0x1161..<0x1161 + vowels).contains(second) {
      return Unicode.Scalar(0xAC00 + ((first - 0x1100) * vowels + second - 0x1161) * trails)
    }
    if (0xAC00...0xD7A3).contains(first), (first - 0xAC00) % trails == 0, (0x11A8..<0x11A7 + trails).contains(second) {
      return Unicode.Scalar(first + second - 0x11A7)
    }
    return nil
  }

  /// The scalars that two others compose to: those which form C leaves as they are, by the parts that they decompose
  /// into, the last one apart. Takes some milliseconds, once.
  private static let table: [UInt64: Unicode.Scalar] = {
    let whole = CanonicalDecomposition.composites.filter { isStable($0.scalar) }
    let byParts = Dictionary(whole.map { ($0.parts, $0.scalar) }, uniquingKeysWith: { first, _ in first })
    var table: [UInt64: Unicode.Scalar] = [:]
    for (scalar, parts) in whole where parts.count > 1 {
      let rest = Array(parts.dropLast())
      guard let last = parts.last, let first = rest.count == 1 ? rest[0] : byParts[rest] else { continue }
      table[UInt64(first.value) << 32 | UInt64(last.value)] = scalar
    }
    return table
  }()

  private static func isStable(_ scalar: Unicode.Scalar) -> Bool {
    String(scalar).precomposedStringWithCanonicalMapping.unicodeScalars.elementsEqual(CollectionOfOne(scalar))
  }
}
