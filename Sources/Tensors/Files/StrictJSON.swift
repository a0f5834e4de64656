/// JSON as RFC 8259 has it, and stricter where a format asks for it: no duplicate keys, nothing after the value but
/// spaces, bounded depth. Foundation's parser forgives what a checkpoint reader must not.
package enum StrictJSON {
  case object([Member])
  case array([StrictJSON])
  case string(String)
  /// A number in its own words; integers are read without going through floating point.
  case number(String)
  case bool(Bool)
  case null

  /// A key and its value, in the order of the text.
  package struct Member {
    package let key: String
    package let value: StrictJSON
  }

  package struct SyntaxError: Error {
    package let offset: Int
    package let reason: String
  }

  /// Parses one value that fills `bytes`, spaces after it aside.
  package init(parsing bytes: UnsafeRawBufferPointer) throws(SyntaxError) {
    var parser = Parser(bytes: bytes)
    self = try parser.parseDocument()
  }

  /// The value as an integer of at least zero.
  package var unsigned: Int? {
    guard case .number(let text) = self, text.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
    return Int(text)
  }

  private struct Parser {
    private static let maximumDepth = 32

    let bytes: UnsafeRawBufferPointer
    var at = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func parseDocument() throws(SyntaxError) -> StrictJSON {
      let value = try parseValue(depth: 0)
      skipSpace()
      guard at == bytes.count else { throw failure("something follows the value") }
      return value
    }

    private func failure(_ reason: String) -> SyntaxError { SyntaxError(offset: at, reason: reason) }
    private var current: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
      while let byte = current, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { at += 1 }
    }

    private mutating func take(_ character: Character) throws(SyntaxError) {
      guard current == character.asciiValue else { throw failure("expected '\(character)'") }
      at += 1
    }

    private mutating func parseValue(depth: Int) throws(SyntaxError) -> StrictJSON {
      guard depth < Parser.maximumDepth else { throw failure("nested deeper than \(Parser.maximumDepth)") }
      skipSpace()
      switch current {
      case UInt8(ascii: "{"): return try parseObject(depth: depth)
      case UInt8(ascii: "["): return try parseArray(depth: depth)
      case UInt8(ascii: "\""): return .string(try parseString())
      case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
      case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
      case UInt8(ascii: "n"): return try parseWord("null", .null)
      default: return .number(try parseNumber())
      }
    }

    private mutating func parseWord(_ word: String, _ value: StrictJSON) throws(SyntaxError) -> StrictJSON {
      for byte in word.utf8 {
        guard current == byte else { throw failure("expected \(word)") }
        at += 1
      }
      return value
    }

    private mutating func parseObject(depth: Int) throws(SyntaxError) -> StrictJSON {
      try take("{")
      var members: [Member] = []
      // By bytes: strings that are canonically equivalent are equal, and a vocabulary may have both as tokens.
      var keys: Set<[UInt8]> = []
      skipSpace()
      if current == UInt8(ascii: "}") {
        at += 1
        return .object([])
      }
      while true {
        skipSpace()
        let key = try parseString()
        guard keys.insert(Array(key.utf8)).inserted else { throw failure("the key \"\(key)\" stands twice") }
        skipSpace()
        try take(":")
        members.append(Member(key: key, value: try parseValue(depth: depth + 1)))
        skipSpace()
        if current == UInt8(ascii: ",") {
          at += 1
          continue
        }
        try take("}")
        return .object(members)
      }
    }

    private mutating func parseArray(depth: Int) throws(SyntaxError) -> StrictJSON {
      try take("[")
      var elements: [StrictJSON] = []
      skipSpace()
      if current == UInt8(ascii: "]") {
        at += 1
        return .array([])
      }
      while true {
        elements.append(try parseValue(depth: depth + 1))
        skipSpace()
        if current == UInt8(ascii: ",") {
          at += 1
          continue
        }
        try take("]")
        return .array(elements)
      }
    }

    private mutating func parseString() throws(SyntaxError) -> String {
      try take("\"")
      var text: [UInt8] = []
      while let byte = current {
        at += 1
        switch byte {
        case UInt8(ascii: "\""):
          guard let string = String(validating: text, as: UTF8.self) else { throw failure("a string is not UTF-8") }
          return string
        case UInt8(ascii: "\\"): text += Array(String(try parseEscape()).utf8)
        case 0..<0x20: throw failure("a control character in a string")
        default: text.append(byte)
        }
      }
      throw failure("a string does not end")
    }

    private mutating func parseEscape() throws(SyntaxError) -> Unicode.Scalar {
      guard let byte = current else { throw failure("an escape does not end") }
      at += 1
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
      case UInt8(ascii: "b"): return "\u{8}"
      case UInt8(ascii: "f"): return "\u{C}"
      case UInt8(ascii: "n"): return "\n"
      case UInt8(ascii: "r"): return "\r"
      case UInt8(ascii: "t"): return "\t"
      case UInt8(ascii: "u"): return try parseUnicodeEscape()
      default: throw failure("an unknown escape")
      }
    }

    private mutating func parseUnicodeEscape() throws(SyntaxError) -> Unicode.Scalar {
      let first = try parseHex()
      if let scalar = Unicode.Scalar(first) { return scalar }
      guard first < 0xDC00, current == UInt8(ascii: "\\") else { throw failure("half of a surrogate pair") }
      at += 1
      try take("u")
      let second = try parseHex()
      guard second >= 0xDC00, second < 0xE000,
        let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      else { throw failure("half of a surrogate pair") }
      return scalar
    }

    private mutating func parseHex() throws(SyntaxError) -> UInt32 {
      var value: UInt32 = 0
      for _ in 0..<4 {
        guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
          throw failure("a \\u escape without four hexadecimal digits")
        }
        value = value << 4 | UInt32(digit)
        at += 1
      }
      return value
    }

    private mutating func parseNumber() throws(SyntaxError) -> String {
      let start = at
      if current == UInt8(ascii: "-") { at += 1 }
      let integerStart = at
      try skipDigits()
      if bytes[integerStart] == UInt8(ascii: "0"), at > integerStart + 1 {
        throw failure("a number with a leading zero")
      }
      if current == UInt8(ascii: ".") {
        at += 1
        try skipDigits()
      }
      if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
        at += 1
        if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { at += 1 }
        try skipDigits()
      }
      return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    private mutating func skipDigits() throws(SyntaxError) {
      let start = at
      while let byte = current, byte >= 0x30 && byte <= 0x39 { at += 1 }
      if at == start { throw failure("expected a value") }
    }
  }
}
