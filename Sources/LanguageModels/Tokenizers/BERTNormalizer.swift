import Foundation

/// The normaliser of BERT tokenizers: cleans control characters, sets CJK ideographs apart, strips accents, lowercases.
///
/// The judge is Hugging Face's `tokenizers` (`BertNormalizer`); character classes are those of its Rust libraries.
struct BERTNormalizer: Sendable, Equatable {
  var cleansText = true
  var handlesChineseCharacters = true
  /// nil follows `lowercases`.
  var stripsAccents: Bool?
  var lowercases = true

  /// The scalars of `text` after normalisation.
  func normalize(_ text: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
    var scalars = Array(text)
    if cleansText { scalars = clean(scalars) }
    if handlesChineseCharacters { scalars = separateChinese(scalars) }
    if stripsAccents ?? lowercases { scalars = stripAccents(scalars) }
    if lowercases { scalars = lowercase(scalars) }
    return scalars
  }

  private func clean(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    scalars.compactMap { scalar in
      if scalar.value == 0 || scalar.value == 0xFFFD || CharacterClass.isControl(scalar) { return nil }
      return CharacterClass.isWhitespace(scalar) ? " " : scalar
    }
  }

  private func separateChinese(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard scalars.contains(where: CharacterClass.isChinese) else { return scalars }
    return scalars.flatMap { CharacterClass.isChinese($0) ? [" ", $0, " "] : [$0] }
  }

  private func stripAccents(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard scalars.contains(where: { $0.value > 0x7F }) else { return scalars }
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars)
    return String(text).decomposedStringWithCanonicalMapping.unicodeScalars.filter {
      $0.properties.generalCategory != .nonspacingMark
    }
  }

  private func lowercase(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(scalars.count)
    for scalar in scalars {
      if scalar.value < 0x80 {
        let isUpper = scalar.value >= 0x41 && scalar.value <= 0x5A
        result.append(isUpper ? Unicode.Scalar(UInt8(scalar.value + 0x20)) : scalar)
      } else {
        result += scalar.properties.lowercaseMapping.unicodeScalars
      }
    }
    return result
  }
}

/// The classes of characters that BERT's normaliser and pre-tokenizer tell apart.
enum CharacterClass {
  static func isWhitespace(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "\t" || scalar == "\n" || scalar == "\r" || scalar.properties.isWhitespace
  }

  /// Cc, Cf, Cn and Co, but for tab and line ends.
  static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == "\t" || scalar == "\n" || scalar == "\r" { return false }
    if scalar.value >= 0x20 && scalar.value < 0x7F { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .unassigned, .privateUse: return true
    default: return false
    }
  }

  static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
    case 0..<0x80: return false
    default: break
    }
    switch scalar.properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      return true
    default: return false
    }
  }

  static func isChinese(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      return true
    default: return false
    }
  }
}
