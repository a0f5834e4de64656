/// Element types on the wire (gltp-1.md 4.1), with the names of safetensors. Codes are never reused.
public enum WireDType: UInt8, Sendable, Hashable, CaseIterable {
  case f32 = 1
  case f16 = 2
  case bf16 = 3
  case i8 = 4
  case u8 = 5
  case i32 = 6
  case u32 = 7
  case i64 = 8
  case u64 = 9
  case f64 = 10
  case bool = 11
  case i16 = 12
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
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let userVector = TensorID(rawValue: 1)
  public static let history = TensorID(rawValue: 2)
  public static let subjectItems = TensorID(rawValue: 3)
  public static let candidateIDs = TensorID(rawValue: 4)
  public static let candidatePrior = TensorID(rawValue: 5)
  public static let tokenIDs = TensorID(rawValue: 6)
  public static let softTokens = TensorID(rawValue: 7)
  public static let softPositions = TensorID(rawValue: 8)
  public static let slotPositions = TensorID(rawValue: 9)
  public static let requestItems = TensorID(rawValue: 16)
  public static let requestCandidates = TensorID(rawValue: 17)
  public static let requestExclude = TensorID(rawValue: 18)
  public static let requestAllow = TensorID(rawValue: 19)
  public static let rankingItems = TensorID(rawValue: 32)
  public static let rankingScores = TensorID(rawValue: 33)
  public static let rankingTitles = TensorID(rawValue: 34)
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
