/// A message that breaks a rule of GLTP/1. A value without references: throwing it allocates nothing.
public struct FrameError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The rules, in the order in which a decoder checks them (gltp-1.md 8.2). Raw values are the names in the golden
  /// vectors.
  public enum Rule: String, Sendable, Hashable, CaseIterable {
    // Head
    case headSize, magic, version, headChecksum, kind, stage, stream, priority, headerReserved, status, tensorCount
    case tlvSize, flags, partCount
    // TLVs
    case tlvTruncated, tlvUnknown, tlvUnexpected, tlvDuplicate, tlvLength, tlvText, tlvValue, tlvMissing
    // Descriptor table
    case tableSize, tableChecksum, tableCount, tableReserved
    // Descriptors
    case tensorDuplicate, dtype, codec, codecDtype, rank, descriptorReserved, shapeTail, rawBytes
    case emptyTensor, codecRefused, tensorTooLarge, storedTooLarge, expansion, payloadSize, messageTooLarge
    // What the kind requires
    case tensorUnexpected, tensorDtype, tensorRank, tensorMissing, tensorShape, contradiction
    // Memory
    case decodeBudget
    // Payloads
    case payloadChecksum, lz4Magic, lz4Flags, lz4BlockSize, lz4ContentSize, lz4HeaderChecksum
    case lz4Block, lz4Output, lz4Truncated, lz4Trailing
    // Contents
    case stringList
  }

  /// What a receiver does about it (gltp-1.md 8.1).
  public enum Consequence: Sendable, Hashable {
    /// The peer breaks the protocol: BYE(PROTOCOL), close the session.
    case closesSession
    /// The bytes were damaged: END(CORRUPT) for the request; the third within a minute closes the session.
    case failsRequest
    /// We are out of memory for decoding: END(OVERLOADED).
    case overloaded
  }

  /// The first rule that the message breaks, in the order of gltp-1.md 8.2.
  public let rule: Rule
  /// The offending value where there is one: a size, a code, an id.
  public let found: UInt64
  /// What was expected of it where one number says so: a size, a limit.
  public let expected: UInt64

  init(_ rule: Rule, found: UInt64 = 0, expected: UInt64 = 0) {
    self.rule = rule
    self.found = found
    self.expected = expected
  }

  init(_ rule: Rule, found: Int, expected: Int = 0) {
    self.init(rule, found: UInt64(clamping: found), expected: UInt64(clamping: expected))
  }

  /// What the rule's breach costs. Damage on the way fails the request, lack of memory is ours, all else is structural.
  public var consequence: Consequence {
    switch rule {
    case .headChecksum, .tableChecksum, .payloadChecksum, .lz4Block, .lz4Output, .lz4Truncated, .lz4Trailing:
      .failsRequest
    case .decodeBudget: .overloaded
    default: .closesSession
    }
  }

  /// One line for logs: the rule's name in the golden vectors, and the two numbers.
  public var description: String {
    "GLTP rule \(rule.rawValue) is broken: found \(found)" + (expected == 0 ? "" : ", expected \(expected)")
  }
}
