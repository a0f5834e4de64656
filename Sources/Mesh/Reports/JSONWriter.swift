/// Writes JSON (RFC 8259) without Foundation: what reports need.
package struct JSONWriter {
  /// The text so far, UTF-8.
  package private(set) var bytes: [UInt8] = []
  /// Whether the next member or element needs a comma before it.
  private var needsComma = false

  package init() {}

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  package mutating func key(_ name: String) {
    separate()
    quote(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  package mutating func object(_ name: String? = nil, _ body: (inout JSONWriter) -> Void) {
    nest(name, "{", "}", body)
  }

  package mutating func array(_ name: String? = nil, _ body: (inout JSONWriter) -> Void) {
    nest(name, "[", "]", body)
  }

  private mutating func nest(
    _ name: String?, _ opening: Unicode.Scalar, _ closing: Unicode.Scalar, _ body: (inout JSONWriter) -> Void
  ) {
    if let name { key(name) }
    separate()
    bytes.append(UInt8(ascii: opening))
    needsComma = false
    body(&self)
    bytes.append(UInt8(ascii: closing))
    needsComma = true
  }

  package mutating func value(_ name: String? = nil, _ text: String) {
    if let name { key(name) }
    separate()
    quote(text)
    needsComma = true
  }

  package mutating func value(_ name: String? = nil, _ number: some BinaryInteger) { raw(name, "\(number)") }

  package mutating func value(_ name: String? = nil, _ flag: Bool) { raw(name, flag ? "true" : "false") }

  package mutating func null(_ name: String? = nil) { raw(name, "null") }

  /// A value that is JSON already.
  package mutating func json(_ name: String? = nil, _ text: some Sequence<UInt8>) {
    if let name { key(name) }
    separate()
    bytes.append(contentsOf: text)
    needsComma = true
  }

  private mutating func raw(_ name: String?, _ text: String) { json(name, text.utf8) }

  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        bytes.append(contentsOf: "\\u00\(byte < 16 ? "0" : "")\(digits)".utf8)
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
