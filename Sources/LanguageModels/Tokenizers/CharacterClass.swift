/// The classes of characters that BERT's normaliser and pre-tokenizer tell apart.
///
/// White space comes from the current Unicode, but general categories are those of Unicode 8: the reference looks them
/// up in tables of that age, so to it a mark or a punctuation sign that came later is neither. `age` restores that
/// view; the few scalars whose category changed since are named.
enum CharacterClass {
  private static let categoryVersion: Unicode.Version = (major: 8, minor: 0)

  static func isWhitespace(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x80 { return scalar == " " || (0x09...0x0D).contains(scalar.value) }
    return scalar.properties.isWhitespace
  }

  /// Whether cleaning drops the scalar: Cc, Cf and Co but for tab and line ends; NUL; the replacement character.
  /// Unassigned code points stay.
  static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x80 {
      return scalar.value == 0x7F || (scalar.value < 0x20 && scalar != "\t" && scalar != "\n" && scalar != "\r")
    }
    switch scalar.properties.generalCategory {
    case .control, .format, .privateUse: return isKnown(scalar)
    default: return scalar.value == 0xFFFD
    }
  }

  /// The ASCII signs that are no letters, digits or spaces, and the categories P*.
  static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
    case 0..<0x80: return false
    // The Canadian Syllabics chi sign and the Sharada sandhi mark were punctuation then.
    case 0x166D, 0x111C9: return true
    default: break
    }
    switch scalar.properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      return isKnown(scalar)
    default: return false
    }
  }

  /// Mn: what is left of accents after decomposition.
  static func isNonspacingMark(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x300: return false
    // Were nonspacing marks then: the Hanunoo pamudpod and the Ahom medial ra.
    case 0x1734, 0x1171E: return true
    // Were something else: two Mongolian letters, a Javanese and the Sharada mark of above.
    case 0x1885, 0x1886, 0xA9BD, 0x111C9: return false
    default: return scalar.properties.generalCategory == .nonspacingMark && isKnown(scalar)
    }
  }

  /// The blocks of CJK ideographs, Extension E with the reference's start (2B920; the block begins at 2B820).
  static func isChinese(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      return true
    default: return false
    }
  }

  /// `\w` of regular expressions (UTS #18, Annex C): what an added token that is a single word must not touch.
  static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
    default: return false
    }
  }

  private static func isKnown(_ scalar: Unicode.Scalar) -> Bool {
    guard let age = scalar.properties.age else { return false }
    return age <= categoryVersion
  }
}
