/// What a message is for (gltp-1.md 5.1). Codes are never reused.
public enum MessageKind: UInt8, Sendable, Hashable, CaseIterable {
  case hello = 1
  case welcome = 2
  case reject = 3
  case ping = 4
  case pong = 5
  case credit = 6
  case drain = 7
  case bye = 8
  case request = 16
  case input = 17
  case partial = 18
  case end = 19
  case cancel = 20
  case ack = 21
  case status = 32
  case report = 33
}

/// The flags of a header (gltp-1.md 3.3).
public struct MessageFlags: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The last chunk of its stream.
  public static let final = MessageFlags(rawValue: 0x01)
  /// The ranking is by prior alone.
  public static let provisional = MessageFlags(rawValue: 0x02)
  /// The ranking is the best so far, not the final one.
  public static let incomplete = MessageFlags(rawValue: 0x04)
  /// Snapshots are wanted before END.
  public static let stream = MessageFlags(rawValue: 0x08)
  /// Item titles are wanted beside item ids.
  public static let titles = MessageFlags(rawValue: 0x10)
  /// Not the first sending of this request.
  public static let retry = MessageFlags(rawValue: 0x20)
  /// A probe, left out of statistics of users' requests.
  public static let canary = MessageFlags(rawValue: 0x40)
}

/// The stage that a run belongs to; `none` on the client edge and in session messages.
public enum Stage: UInt8, Sendable, Hashable, CaseIterable {
  case none = 0
  case encoder = 1
  case aligner = 2
  case ranker = 3
}

/// A sequence of chunks inside a run.
public enum StreamKind: UInt8, Sendable, Hashable, CaseIterable {
  case none = 0
  case instruction = 1
  case candidates = 2
  case ranking = 3
}

/// How much a request matters when not all can be served.
public enum Priority: UInt8, Sendable, Hashable, CaseIterable, Comparable {
  case batch = 0
  case normal = 1
  case high = 2

  public static func < (a: Priority, b: Priority) -> Bool { a.rawValue < b.rawValue }
}

/// What a peer is.
public enum Role: UInt8, Sendable, Hashable, CaseIterable {
  case client = 1
  case gateway = 2
  case encoder = 3
  case aligner = 4
  case ranker = 5

  /// The stage that a worker runs; `none` for clients and gateways.
  public var stage: Stage {
    switch self {
    case .client, .gateway: .none
    case .encoder: .encoder
    case .aligner: .aligner
    case .ranker: .ranker
    }
  }
}

/// How answers are read from the language model; the names are those of `PredictionMode`.
public enum RankingMode: UInt8, Sendable, Hashable, CaseIterable {
  case slots = 1
  case first = 2
  case autoregressive = 3
}

/// What of a known user's own items is left out of the ranking.
public enum ExclusionRule: UInt8, Sendable, Hashable, CaseIterable {
  case trainAndValidation = 1
  case train = 2
}

/// How a request, a run or a session ended (gltp-1.md 9). Unknown codes survive decoding; treat them as `internal`,
/// not retryable.
public struct Status: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let ok = Status(rawValue: 0)
  public static let deadline = Status(rawValue: 1)
  public static let cancelled = Status(rawValue: 2)
  public static let overloaded = Status(rawValue: 3)
  public static let noWorker = Status(rawValue: 4)
  public static let badRequest = Status(rawValue: 5)
  public static let unsupported = Status(rawValue: 6)
  public static let bundleGone = Status(rawValue: 7)
  public static let poisoned = Status(rawValue: 8)
  public static let `internal` = Status(rawValue: 9)
  public static let unknownUser = Status(rawValue: 10)
  public static let unknownItem = Status(rawValue: 11)
  public static let notEnoughItems = Status(rawValue: 12)
  public static let corrupt = Status(rawValue: 13)
  public static let sequenceGap = Status(rawValue: 14)
  public static let draining = Status(rawValue: 15)
  public static let stalled = Status(rawValue: 16)
  public static let version = Status(rawValue: 32)
  public static let unknownSession = Status(rawValue: 33)
  public static let unauthorized = Status(rawValue: 34)
  public static let `protocol` = Status(rawValue: 35)
  public static let expired = Status(rawValue: 36)

  /// The registry's name, as in "DEADLINE".
  public var description: String {
    switch self {
    case .ok: "OK"
    case .deadline: "DEADLINE"
    case .cancelled: "CANCELLED"
    case .overloaded: "OVERLOADED"
    case .noWorker: "NO_WORKER"
    case .badRequest: "BAD_REQUEST"
    case .unsupported: "UNSUPPORTED"
    case .bundleGone: "BUNDLE_GONE"
    case .poisoned: "POISONED"
    case .internal: "INTERNAL"
    case .unknownUser: "UNKNOWN_USER"
    case .unknownItem: "UNKNOWN_ITEM"
    case .notEnoughItems: "NOT_ENOUGH_ITEMS"
    case .corrupt: "CORRUPT"
    case .sequenceGap: "SEQUENCE_GAP"
    case .draining: "DRAINING"
    case .stalled: "STALLED"
    case .version: "VERSION"
    case .unknownSession: "UNKNOWN_SESSION"
    case .unauthorized: "UNAUTHORIZED"
    case .protocol: "PROTOCOL"
    case .expired: "EXPIRED"
    default: "STATUS_\(rawValue)"
    }
  }

  /// Whether a gateway may run the failed stage, or the request, again (gltp-1.md 7.7).
  public var isRetryableByGateway: Bool {
    switch self {
    case .overloaded, .bundleGone, .internal, .corrupt, .sequenceGap, .draining: true
    default: false
    }
  }

  /// Whether a client may send the request again, elsewhere or later (gltp-1.md 9).
  public var isRetryableByClient: Bool {
    switch self {
    case .overloaded, .noWorker, .internal, .corrupt, .draining: true
    default: false
    }
  }
}
