/// The classes of characters that the regular expressions of byte-level tokenizers tell apart.
enum SplitClass: UInt8, Sendable {
  case letter
  case number
  /// Carriage return or line feed.
  case lineEnd
  /// Any other white space.
  case space
  case other

  var isSpace: Bool { self == .space || self == .lineEnd }

  /// The reference matches with Oniguruma, whose tables are those of Unicode 16: what was assigned later is `other`.
  private static let categoryVersion: Unicode.Version = (major: 16, minor: 0)

  init(_ scalar: Unicode.Scalar) {
    switch scalar.value {
    case 0x0A, 0x0D: self = .lineEnd
    case 0x20, 0x09, 0x0B, 0x0C: self = .space
    case 0x41...0x5A, 0x61...0x7A: self = .letter
    case 0x30...0x39: self = .number
    case 0..<0x80: self = .other
    default: self = SplitClass(beyondASCII: scalar)
    }
  }

  private init(beyondASCII scalar: Unicode.Scalar) {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      self = SplitClass.isKnown(properties) ? .letter : .other
    case .decimalNumber, .letterNumber, .otherNumber: self = SplitClass.isKnown(properties) ? .number : .other
    default: self = properties.isWhitespace ? .space : .other
    }
  }

  private static func isKnown(_ properties: Unicode.Scalar.Properties) -> Bool {
    guard let age = properties.age else { return false }
    return age <= categoryVersion
  }

  /// Whether Rust's `char::is_numeric` holds, by which the Digits step cuts: its tables are the newest.
  static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar.value >= 0x80 else { return (0x30...0x39).contains(scalar.value) }
    switch scalar.properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: return true
    default: return false
    }
  }
}
