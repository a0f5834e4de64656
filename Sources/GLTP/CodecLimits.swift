/// What a decoder accepts, in bytes and counts (gltp-1.md 8). Everything is checked before memory is taken for it.
public struct CodecLimits: Sendable, Hashable {
  /// A head: header and TLVs.
  public static let headBytes = 4096
  /// TLVs of one message.
  public static let tlvBytes = headBytes - MessageHeader.byteCount
  /// Tensors in one message.
  public static let tensors = 8
  /// Parts of one message: head, table, payloads.
  public static let parts = 2 + tensors
  /// Dimensions of a tensor.
  public static let rank = 6
  /// Items that a request may ask for.
  public static let count: UInt32 = 1000
  /// Strings in one list.
  public static let strings = 65_536
  /// Bytes of one string, and of a user id.
  public static let stringBytes = 512
  /// Candidates in one chunk.
  public static let candidates = 20_000

  /// Raw bytes of one tensor.
  public var tensorBytes: Int
  /// Raw bytes of all tensors of a message.
  public var messageBytes: Int
  /// Whether payloads without LZ4 frame are taken: from peers in the same process only.
  public var acceptsRawPayloads: Bool

  /// Limits in raw bytes; payloads without LZ4 frame are refused unless told otherwise (`codecRefused`).
  public init(tensorBytes: Int, messageBytes: Int, acceptsRawPayloads: Bool = false) {
    self.tensorBytes = tensorBytes
    self.messageBytes = messageBytes
    self.acceptsRawPayloads = acceptsRawPayloads
  }

  /// For what workers and gateways send.
  public static let mesh = CodecLimits(tensorBytes: 8 << 20, messageBytes: 32 << 20)
  /// For what clients send.
  public static let clientEdge = CodecLimits(tensorBytes: 256 << 10, messageBytes: 1 << 20)
}
