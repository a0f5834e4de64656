/// A version of the protocol.
public struct ProtocolVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// 1 in all of GLTP/1. Another major has another magic (gltp-1.md 11).
  public var major: UInt8
  /// Higher minors only add to lower ones (gltp-1.md 11).
  public var minor: UInt8
  /// A version, whether or not this library speaks it.
  public init(major: UInt8, minor: UInt8) {
    self.major = major
    self.minor = minor
  }

  /// The version that this library speaks.
  public static let current = ProtocolVersion(major: 1, minor: 0)

  /// By major, then by minor.
  public static func < (a: ProtocolVersion, b: ProtocolVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }
  /// As in "1.0".
  public var description: String { "\(major).\(minor)" }
}

/// The versions that a peer speaks.
public struct VersionRange: Sendable, Hashable, CustomStringConvertible {
  /// The lowest version spoken, included.
  public var lowest: ProtocolVersion
  /// The highest version spoken, included.
  public var highest: ProtocolVersion
  /// A range with both ends included. One whose ends are swapped has nothing in common with any.
  public init(lowest: ProtocolVersion, highest: ProtocolVersion) {
    self.lowest = lowest
    self.highest = highest
  }

  /// The versions that this library speaks.
  public static let supported = VersionRange(lowest: .current, highest: .current)

  /// The highest version in both ranges, nil where there is none.
  public func common(with other: VersionRange) -> ProtocolVersion? {
    let candidate = min(highest, other.highest)
    return candidate >= lowest && candidate >= other.lowest ? candidate : nil
  }

  /// As in "1.0", or "1.0 to 1.2".
  public var description: String { lowest == highest ? "\(lowest)" : "\(lowest) to \(highest)" }
}

/// 16 bytes that name a request on every hop.
public struct RequestID: Sendable, Hashable, CustomStringConvertible {
  /// Bytes 0 to 7 as they travel, read big-endian.
  public var high: UInt64
  /// Bytes 8 to 15 as they travel, read big-endian.
  public var low: UInt64

  /// From the 16 bytes of a header, each half read big-endian.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Names no request: session messages carry it.
  public static let none = RequestID(high: 0, low: 0)

  /// A UUID version 7 (RFC 9562, 5.7).
  ///
  /// - Parameter milliseconds: since 1970-01-01 UTC.
  public init(milliseconds: UInt64, using random: inout some RandomNumberGenerator) {
    high = milliseconds << 16 | 0x7000 | (random.next() & 0xFFF)
    low = 0x8000_0000_0000_0000 | (random.next() >> 2)
  }

  /// The text form of RFC 9562.
  public var description: String {
    let digits = hexadecimal(high) + hexadecimal(low)
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index == 8 || index == 12 || index == 16 || index == 20 { text.append("-") }
      text.append(digit)
    }
    return text
  }
}

/// 16 random bytes that are new at every start of a process.
public struct BootID: Sendable, Hashable {
  /// Bytes 0 to 7 of the TLV boot_id, read big-endian.
  public var high: UInt64
  /// Bytes 8 to 15 of the TLV boot_id, read big-endian.
  public var low: UInt64
  /// From two words, drawn at random when the process starts.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
}

/// The SHA-256 that names a bundle.
public struct BundleHash: Sendable, Hashable, CustomStringConvertible {
  /// The 32 bytes, read as four big-endian words.
  public var words: SIMD4<UInt64>
  /// From the hash's four words.
  public init(words: SIMD4<UInt64>) { self.words = words }

  /// From 64 hexadecimal digits; nil for anything else.
  public init?(hexadecimal text: String) {
    guard text.utf8.count == 64 else { return nil }
    var words = SIMD4<UInt64>()
    for (index, digit) in text.utf8.enumerated() {
      let value: UInt64
      switch digit {
      case 0x30...0x39: value = UInt64(digit - 0x30)
      case 0x41...0x46: value = UInt64(digit - 0x37)
      case 0x61...0x66: value = UInt64(digit - 0x57)
      default: return nil
      }
      words[index / 16] = words[index / 16] << 4 | value
    }
    self.words = words
  }

  /// The short name in headers.
  public var prefix: BundlePrefix { BundlePrefix(bits: words[0]) }

  /// 64 hexadecimal digits.
  public var description: String { (0..<4).map { hexadecimal(words[$0]) }.joined() }
}

/// The first 8 bytes of a bundle's hash.
public struct BundlePrefix: Sendable, Hashable, CustomStringConvertible {
  /// The bytes as they travel, read big-endian.
  public var bits: UInt64
  /// From the header's field bundle_prefix, read big-endian.
  public init(bits: UInt64) { self.bits = bits }

  /// No bundle in particular.
  public static let none = BundlePrefix(bits: 0)

  /// 16 hexadecimal digits.
  public var description: String { hexadecimal(bits) }
}

private func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
