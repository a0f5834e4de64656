import Foundation

/// Normalisation form D (Unicode Standard Annex #15), in time linear in the text but for long runs of marks, which are
/// sorted. Foundation does the same for a whole string, yet takes quadratic time on runs of marks: ten seconds for a
/// hundred thousand. So it is only asked, once, what single scalars decompose into.
enum CanonicalDecomposition {
  /// Appends what a scalar decomposes into.
  static func append(_ scalar: Unicode.Scalar, to result: inout [Unicode.Scalar]) {
    if (0xAC00...0xD7A3).contains(scalar.value) {
      appendHangul(scalar.value - 0xAC00, to: &result)
    } else if mayDecompose(scalar.value), let parts = table[scalar] {
      result.append(contentsOf: parts)
    } else {
      result.append(scalar)
    }
  }

  /// False where the standard has no decomposition: Latin-1 signs, general punctuation (but for the two quads) up to the
  /// letterlike symbols, ideographs, private use, emoji.
  private static func mayDecompose(_ value: UInt32) -> Bool {
    switch value {
    case 0..<0xC0, 0x2002..<0x2126, 0x3400..<0xF900, 0x1D200..<0x2F800, 0x2FA20...: false
    default: true
    }
  }

  /// What the scalars decompose into that do, Hangul aside; some two thousand. Takes some milliseconds, once.
  ///
  /// Those of Unicode 12, which the reference has: what was assigned later stays whole there.
  private static let table: [Unicode.Scalar: [Unicode.Scalar]] = {
    let newest: Unicode.Version = (major: 12, minor: 1)
    let candidates = (0..<0x30000).filter(mayDecompose).compactMap(Unicode.Scalar.init)
      .filter { $0.properties.age.map { $0 <= newest } ?? false }
    var text = String.UnicodeScalarView()
    for scalar in candidates {
      // A separator that nothing combines with.
      text.append("\n")
      text.append(scalar)
    }
    let decomposed = String(text).decomposedStringWithCanonicalMapping.unicodeScalars
    var table: [Unicode.Scalar: [Unicode.Scalar]] = [:]
    for (scalar, parts) in zip(candidates, decomposed.split(separator: "\n", omittingEmptySubsequences: true)) {
      if parts.count != 1 || parts.first != scalar { table[scalar] = Array(parts) }
    }
    return table
  }()

  /// Sorts every run of scalars with a combining class by that class; those of one class keep their order.
  static func order(_ scalars: inout [Unicode.Scalar]) {
    var start = 0
    while start < scalars.count {
      guard combiningClass(scalars[start]) != 0 else {
        start += 1
        continue
      }
      var end = start + 1
      while end < scalars.count, combiningClass(scalars[end]) != 0 { end += 1 }
      if end > start + 1 { orderRun(&scalars, start..<end) }
      start = end
    }
  }

  /// Zero for starters, and for marks that came after Unicode 9: the reference does not know them.
  static func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
    guard scalar.value >= firstMark else { return 0 }
    let properties = scalar.properties
    let combiningClass = properties.canonicalCombiningClass.rawValue
    guard combiningClass != 0, let age = properties.age, age <= newestMarks else { return 0 }
    return combiningClass
  }

  private static let newestMarks: Unicode.Version = (major: 9, minor: 0)
  /// No scalar below has a combining class.
  private static let firstMark: UInt32 = 0x300

  /// The scalars that decompose, Hangul aside, and what into.
  static var composites: [(scalar: Unicode.Scalar, parts: [Unicode.Scalar])] {
    table.map { ($0.key, $0.value) }
  }

  private static func orderRun(_ scalars: inout [Unicode.Scalar], _ run: Range<Int>) {
    let keyed = run.map { (combiningClass: combiningClass(scalars[$0]), index: $0, scalar: scalars[$0]) }
    let sorted = keyed.sorted { ($0.combiningClass, $0.index) < ($1.combiningClass, $1.index) }
    for (position, element) in zip(run, sorted) { scalars[position] = element.scalar }
  }

  /// The Unicode Standard, section 3.12: a syllable is a leading consonant, a vowel and perhaps a trailing consonant.
  private static func appendHangul(_ syllable: UInt32, to result: inout [Unicode.Scalar]) {
    let (vowels, trails): (UInt32, UInt32) = (21, 28)
    let parts = [0x1100 + syllable / (vowels * trails), 0x1161 + syllable / trails % vowels]
    for part in parts { result.append(Unicode.Scalar(part) ?? "\u{FFFD}") }
    let trail = syllable % trails
    if trail > 0, let scalar = Unicode.Scalar(0x11A7 + trail) { result.append(scalar) }
  }
}
