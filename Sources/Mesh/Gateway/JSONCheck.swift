/// Whether bytes of a peer are one JSON value (RFC 8259), so that they can stand inside of JSON of ours.
package struct JSONCheck {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  private static let deepest = 32

  /// Whether `bytes` are one JSON object, nested no deeper than 32 and in valid UTF-8.
  package static func isObject(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard String(validating: bytes, as: UTF8.self) != nil else { return false }
    var check = JSONCheck(bytes: bytes)
    check.skipSpace()
    guard check.peek == UInt8(ascii: "{"), check.value(0) else { return false }
    check.skipSpace()
    return check.position == bytes.count
  }

  private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || (0x09...0x0A).contains(byte) || byte == 0x0D { position += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    position += 1
    return true
  }

  private mutating func take(_ word: StaticString) -> Bool {
    for index in 0..<word.utf8CodeUnitCount where !take(word.utf8Start[index]) { return false }
    return true
  }

  private mutating func value(_ depth: Int) -> Bool {
    guard depth < JSONCheck.deepest else { return false }
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"): return list(depth, UInt8(ascii: "}"), hasKeys: true)
    case UInt8(ascii: "["): return list(depth, UInt8(ascii: "]"), hasKeys: false)
    case UInt8(ascii: "\""): return string()
    case UInt8(ascii: "t"): return take("true")
    case UInt8(ascii: "f"): return take("false")
    case UInt8(ascii: "n"): return take("null")
    default: return number()
    }
  }

  private mutating func list(_ depth: Int, _ end: UInt8, hasKeys: Bool) -> Bool {
    position += 1
    skipSpace()
    if take(end) { return true }
    while true {
      if hasKeys {
        skipSpace()
        guard string() else { return false }
        skipSpace()
        guard take(UInt8(ascii: ":")) else { return false }
      }
      guard value(depth + 1) else { return false }
      skipSpace()
      if take(end) { return true }
      guard take(UInt8(ascii: ",")) else { return false }
    }
  }

  private mutating func string() -> Bool {
    guard take(UInt8(ascii: "\"")) else { return false }
    while let byte = peek {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return true
      case 0..<0x20: return false
      case UInt8(ascii: "\\"): guard escape() else { return false }
      default: break
      }
    }
    return false
  }

  private mutating func escape() -> Bool {
    guard let byte = peek else { return false }
    position += 1
    guard byte == UInt8(ascii: "u") else { return "\"\\/bfnrt".utf8.contains(byte) }
    for _ in 0..<4 {
      guard let digit = peek, Character(UnicodeScalar(digit)).isHexDigit else { return false }
      position += 1
    }
    return true
  }

  private mutating func number() -> Bool {
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")), !digits() { return false }
    if take(UInt8(ascii: ".")), !digits() { return false }
    guard take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) else { return true }
    if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
    return digits()
  }

  private mutating func digits() -> Bool {
    let start = position
    while let byte = peek, (0x30...0x39).contains(byte) { position += 1 }
    return position > start
  }
}
