/// What tokens are to readers: bytes by id, and how a sequence of them is put together.
struct TokenTexts: Sendable {
  /// How Hugging Face's decoders join tokens.
  enum Joining: Sendable, Equatable {
    /// The bytes one after the other; what is not UTF-8 becomes U+FFFD.
    case bytes
    /// The same, but a run of byte tokens that is not UTF-8 becomes one U+FFFD a byte, and so many leading spaces go.
    case pieces(leadingSpaces: Int)
    /// The same, but the first token loses all its U+2581.
    case metaspace(dropsFirst: Bool)
    /// A space between tokens.
    case spaced
  }

  let joining: Joining
  /// Whether tokens as `<0x0A>` are bytes.
  private let hasByteTokens: Bool
  private var bytes: [UInt8] = []
  private var starts: [Int] = [0]
  private var kinds: [Kind] = []

  private enum Kind: UInt8 {
    case text, byte, special, missing
  }

  /// - Parameters:
  ///   - tokens: the texts of ids as the vocabulary spells them; nil where there is none.
  ///   - isSpecial: ids that readers do not see.
  init(_ tokens: [String?], joining: Joining, hasByteTokens: Bool, isByteLevel: Bool, isSpecial: Set<Int32>) {
    self.joining = joining
    self.hasByteTokens = hasByteTokens
    kinds.reserveCapacity(tokens.count)
    starts.reserveCapacity(tokens.count + 1)
    for (id, token) in tokens.enumerated() {
      if let token {
        append(token, isByteLevel, isSpecial.contains(Int32(truncatingIfNeeded: id)))
      } else {
        kinds.append(.missing)
      }
      starts.append(bytes.count)
    }
  }

  private mutating func append(_ token: String, _ isByteLevel: Bool, _ isSpecial: Bool) {
    let value = hasByteTokens ? ByteToken.value(of: token) : nil
    kinds.append(isSpecial ? .special : value == nil ? .text : .byte)
    if let value {
      bytes.append(value)
    } else if isByteLevel {
      bytes.append(contentsOf: ByteAlphabet.bytes(of: token) ?? Array(token.utf8))
    } else if joining == .spaced {
      bytes.append(contentsOf: token.utf8)
    } else {
      for scalar in token.unicodeScalars { bytes.append(utf8: scalar == Metaspace.sign ? " " : scalar) }
    }
  }

  var count: Int { kinds.count }

  private subscript(id: Int32) -> ArraySlice<UInt8> { bytes[starts[Int(id)]..<starts[Int(id) + 1]] }

  private func kind(_ id: Int32) -> Kind { id >= 0 && Int(id) < kinds.count ? kinds[Int(id)] : .missing }

  /// Whether readers see a token.
  func isVisible(_ id: Int32) -> Bool { kind(id) == .text || kind(id) == .byte }

  /// Appends what a token adds to a text.
  ///
  /// - Parameter isFirst: whether it is the first that readers see.
  func append(_ id: Int32, isFirst: Bool, to text: inout [UInt8]) {
    guard isVisible(id) else { return }
    let token = self[id]
    switch joining {
    case .bytes: text.append(contentsOf: token)
    case .pieces(let leadingSpaces):
      let spaces = isFirst ? token.prefix(leadingSpaces).prefix { $0 == UInt8(ascii: " ") }.count : 0
      text.append(contentsOf: token.dropFirst(spaces))
    case .metaspace(let dropsFirst):
      if isFirst && dropsFirst {
        text.append(contentsOf: token.filter { $0 != UInt8(ascii: " ") })
      } else {
        text.append(contentsOf: token)
      }
    case .spaced:
      if !isFirst { text.append(UInt8(ascii: " ")) }
      text.append(contentsOf: token)
    }
  }

  /// The text of a sequence.
  func text(of ids: [Int32]) -> String {
    var text: [UInt8] = []
    var isFirst = true
    var index = 0
    while index < ids.count {
      guard isVisible(ids[index]) else {
        index += 1
        continue
      }
      let end = endOfRun(in: ids, from: index)
      appendRun(ids[index..<end], isFirst: isFirst, to: &text)
      isFirst = false
      index = end
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The end of a run of byte tokens, tokens that readers do not see aside; of another token, the next place.
  private func endOfRun(in ids: [Int32], from start: Int) -> Int {
    guard kind(ids[start]) == .byte else { return start + 1 }
    var end = start + 1
    while end < ids.count, kind(ids[end]) != .text { end += 1 }
    return end
  }

  /// Appends byte tokens that are UTF-8 together, or else U+FFFD for each; or one other token.
  private func appendRun(_ ids: ArraySlice<Int32>, isFirst: Bool, to text: inout [UInt8]) {
    let start = text.count
    var isFirst = isFirst
    for id in ids where isVisible(id) {
      append(id, isFirst: isFirst, to: &text)
      isFirst = false
    }
    guard joining != .bytes, ids.first.map(kind) == .byte, String(validating: text[start...], as: UTF8.self) == nil
    else { return }
    text.removeSubrange(start...)
    for id in ids where isVisible(id) { text.append(utf8: "\u{FFFD}") }
  }
}

/// `<0x00>` to `<0xFF>`: SentencePiece's tokens for bytes.
enum ByteToken {
  static func value(of token: String) -> UInt8? {
    let bytes = Array(token.utf8)
    guard bytes.count == 6, token.hasPrefix("<0x"), token.hasSuffix(">") else { return nil }
    return UInt8(String(decoding: bytes[3..<5], as: UTF8.self), radix: 16)
  }

  static func text(of byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return "<0x" + (digits.count < 2 ? "0" : "") + digits + ">"
  }
}

/// The printable characters that byte-level vocabularies write bytes as (Radford et al., 2019): bytes that print as
/// themselves in Latin-1, the others from U+0100 on.
enum ByteAlphabet {
  private static let characters: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0..<256).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(UInt8(byte))
      default:
        defer { next += 1 }
        return Unicode.Scalar(next) ?? "\u{FFFD}"
      }
    }
  }()

  /// By scalar value; -1 where none is written so.
  private static let values: [Int16] = {
    var values = [Int16](repeating: -1, count: 0x180)
    for (byte, scalar) in characters.enumerated() { values[Int(scalar.value)] = Int16(byte) }
    return values
  }()

  /// The bytes of a token; nil where a character stands for none.
  static func bytes(of token: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(token.utf8.count)
    for scalar in token.unicodeScalars {
      guard scalar.value < values.count, values[Int(scalar.value)] >= 0 else { return nil }
      bytes.append(UInt8(truncatingIfNeeded: values[Int(scalar.value)]))
    }
    return bytes
  }
}

extension [UInt8] {
  /// Appends a scalar in UTF-8 (RFC 3629).
  mutating func append(utf8 scalar: Unicode.Scalar) {
    let value = scalar.value
    func append(_ lead: UInt32, _ bits: UInt32) { self.append(UInt8(truncatingIfNeeded: lead | bits)) }
    switch value {
    case 0..<0x80: append(0, value)
    case 0x80..<0x800:
      append(0xC0, value >> 6)
      append(0x80, value & 0x3F)
    case 0x800..<0x10000:
      append(0xE0, value >> 12)
      append(0x80, value >> 6 & 0x3F)
      append(0x80, value & 0x3F)
    default:
      append(0xF0, value >> 18)
      append(0x80, value >> 12 & 0x3F)
      append(0x80, value >> 6 & 0x3F)
      append(0x80, value & 0x3F)
    }
  }
}
