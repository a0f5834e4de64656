/// Element types on the wire (gltp-1.md 4.1), with the names of safetensors. Codes are never reused.
public enum WireDType: UInt8, Sendable, Hashable, CaseIterable {
  /// 4 bytes, IEEE 754 binary32.
  case f32 = 1
  /// 2 bytes, IEEE 754 binary16.
  case f16 = 2
  /// 2 bytes, the upper half of a binary32.
  case bf16 = 3
  /// 1 byte, two's complement.
  case i8 = 4
  /// 1 byte, unsigned; also for string lists and reports.
  case u8 = 5
  /// 4 bytes, two's complement; ids and positions.
  case i32 = 6
  /// 4 bytes, unsigned.
  case u32 = 7
  /// 8 bytes, two's complement.
  case i64 = 8
  /// 8 bytes, unsigned.
  case u64 = 9
  /// 8 bytes, IEEE 754 binary64.
  case f64 = 10
  /// 1 byte: 0 is false, all else true.
  case bool = 11
  /// 2 bytes, two's complement.
  case i16 = 12
  /// 2 bytes, unsigned.
  case u16 = 13

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .i8, .u8, .bool: 1
    case .f16, .bf16, .i16, .u16: 2
    case .f32, .i32, .u32: 4
    case .i64, .u64, .f64: 8
    }
  }

  /// Whether LZ4 has nothing to win on it (1.00x measured on embeddings).
  var isFloatingPoint: Bool {
    switch self {
    case .f32, .f16, .bf16, .f64: true
    default: false
    }
  }
}

/// How a payload is stored (gltp-1.md 4.2). Codes are never reused.
public enum WireCodec: UInt8, Sendable, Hashable, CaseIterable {
  /// The bytes themselves: for empty tensors, and between peers of one process.
  case raw = 0
  /// One LZ4 frame.
  case lz4 = 1
  /// One LZ4 frame of byte-shuffled elements.
  case shuffledLZ4 = 2
}

/// What a tensor is (gltp-1.md 4.3).
public struct TensorID: RawRepresentable, Sendable, Hashable {
  /// The tensor_id of a descriptor.
  public let rawValue: UInt16
  /// From a tensor_id, also one that the registry does not list.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// f32[d]: the user in the graph's space. In the instruction input.
  public static let userVector = TensorID(rawValue: 1)
  /// i32[H]: the items that the prompt shows, in its order. In the instruction input.
  public static let history = TensorID(rawValue: 2)
  /// i32[N]: all items known of the user, ascending. In the instruction input, optional.
  public static let subjectItems = TensorID(rawValue: 3)
  /// i32[n], n at least 1: a candidate chunk's items, ascending.
  public static let candidateIDs = TensorID(rawValue: 4)
  /// f32[n]: the prior score of each candidate of the chunk.
  public static let candidatePrior = TensorID(rawValue: 5)
  /// i32[L], L at least 1: the prompt's tokens.
  public static let tokenIDs = TensorID(rawValue: 6)
  /// bf16[S, D]: vectors that take the place of tokens in the prompt.
  public static let softTokens = TensorID(rawValue: 7)
  /// i32[S], ascending, each below L: where the soft tokens stand.
  public static let softPositions = TensorID(rawValue: 8)
  /// i32[k], k at least 1, ascending, each below L: where the prompt's answers are read.
  public static let slotPositions = TensorID(rawValue: 9)
  /// String list: what is known of an unseen user. In REQUEST, optional.
  public static let requestItems = TensorID(rawValue: 16)
  /// String list: the items that compete. In REQUEST, optional.
  public static let requestCandidates = TensorID(rawValue: 17)
  /// String list: items that must not be returned. In REQUEST, optional.
  public static let requestExclude = TensorID(rawValue: 18)
  /// String list: only these may be returned. In REQUEST, optional.
  public static let requestAllow = TensorID(rawValue: 19)
  /// String list of K items, best first. In rankings.
  public static let rankingItems = TensorID(rawValue: 32)
  /// f32[K]: the score of each ranked item.
  public static let rankingScores = TensorID(rawValue: 33)
  /// String list of K titles. In rankings, optional.
  public static let rankingTitles = TensorID(rawValue: 34)
  /// u8[n]: the JSON of a REPORT (gltp-1.md 5.6).
  public static let report = TensorID(rawValue: 48)

  /// Whether the id is left to private use: taken in any message and dropped by those that do not know it.
  public var isPrivate: Bool { rawValue >= 0xF000 }

  /// The dtype and rank that the registry demands.
  var rule: (dtype: WireDType, rank: Int) {
    switch self {
    case .userVector, .candidatePrior, .rankingScores: (.f32, 1)
    case .softTokens: (.bf16, 2)
    case .history, .subjectItems, .candidateIDs, .tokenIDs, .softPositions, .slotPositions: (.i32, 1)
    default: (.u8, 1)
    }
  }

  /// Membership in a set of registered tensors; none of a private id.
  var bit: UInt64 { rawValue < 64 ? 1 &<< UInt64(rawValue) : 0 }
}
