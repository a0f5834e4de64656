/// What a message is for (gltp-1.md 5.1). Codes are never reused.
public enum MessageKind: UInt8, Sendable, Hashable, CaseIterable {
  /// From the side that dials, first in a session (gltp-1.md 5.2).
  case hello = 1
  /// The gateway's acceptance of a HELLO, with the session's id (5.2).
  case welcome = 2
  /// The gateway's refusal of a HELLO, or of a session that it does not have (5.2, 6.3).
  case reject = 3
  /// Asks for a PONG; sent after a heartbeat of silence (6.4).
  case ping = 4
  /// Answers a PING at once, with its sequence (6.4).
  case pong = 5
  /// A worker's total of REQUESTs that it takes in this session (6.7).
  case credit = 6
  /// No new requests please; those in flight are finished (6.8).
  case drain = 7
  /// The session is over; the status says why.
  case bye = 8
  /// Opens a request on the client edge, or a run of a stage (5.3).
  case request = 16
  /// One chunk for a run, from the gateway (5.4).
  case input = 17
  /// One chunk made by a run, or a snapshot for a client (5.4).
  case partial = 18
  /// The last message of a run or a request, with its status (5.5).
  case end = 19
  /// Stop a run or a request; idempotent (7.6).
  case cancel = 20
  /// Counts the chunks of a stream received so far (6.5).
  case ack = 21
  /// Asks for a REPORT of the same request id.
  case status = 32
  /// What a peer knows of itself, as JSON (5.6).
  case report = 33
}

/// The flags of a header (gltp-1.md 3.3).
public struct MessageFlags: OptionSet, Sendable, Hashable {
  /// The flags byte at offset 7 of the header.
  public let rawValue: UInt8
  /// From a flags byte. Bits that 1.0 does not define are kept; the codec refuses them by the rule `flags`.
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
  /// No stage: the client edge and session messages.
  case none = 0
  /// The graph encoder: from a user to an instruction input and candidates.
  case encoder = 1
  /// The token aligner: from the instruction input to a prompt.
  case aligner = 2
  /// The logits ranker: from prompt and candidates to rankings.
  case ranker = 3
}

/// A sequence of chunks inside a run.
public enum StreamKind: UInt8, Sendable, Hashable, CaseIterable {
  /// No stream: messages that are no chunk and no ACK.
  case none = 0
  /// What the language model is to be asked: one chunk, FINAL (gltp-1.md 5.4).
  case instruction = 1
  /// The items that compete, ascending by id, in chunks of at most 20,000 (gltp-1.md 5.4).
  case candidates = 2
  /// Snapshots of the ranking; each replaces the one before (gltp-1.md 1.2).
  case ranking = 3
}

/// How much a request matters when not all can be served.
public enum Priority: UInt8, Sendable, Hashable, CaseIterable, Comparable {
  /// Gives way to all others, first to end with OVERLOADED.
  case batch = 0
  /// What a request has that states nothing else.
  case normal = 1
  /// Served before all others.
  case high = 2

  /// Whether `a` gives way to `b` in a gateway's queue (gltp-1.md 7.1).
  public static func < (a: Priority, b: Priority) -> Bool { a.rawValue < b.rawValue }
}

/// What a peer is.
public enum Role: UInt8, Sendable, Hashable, CaseIterable {
  /// Asks for rankings.
  case client = 1
  /// Accepts clients and workers, and owns a request end to end.
  case gateway = 2
  /// A worker that runs the graph encoder.
  case encoder = 3
  /// A worker that runs the token aligner.
  case aligner = 4
  /// A worker that runs the logits ranker.
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
  /// The t-th pick is the best item of slot t not yet picked; beyond the slots, by the mean over slots.
  case slots = 1
  /// The best items of the first slot.
  case first = 2
  /// One pick at a time, the picked item's token fed back.
  case autoregressive = 3
}

/// What of a known user's own items is left out of the ranking.
public enum ExclusionRule: UInt8, Sendable, Hashable, CaseIterable {
  /// Training and validation items, the default.
  case trainAndValidation = 1
  /// Training items only.
  case train = 2
}

/// How a request, a run or a session ended (gltp-1.md 9). Unknown codes survive decoding; treat them as `internal`,
/// not retryable.
public struct Status: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  /// The code of the registry, the header's status field at offset 14.
  public let rawValue: UInt16
  /// From a code, also one that the registry does not list.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// END, BYE: all is well.
  public static let ok = Status(rawValue: 0)
  /// END: the request's time was over. Carries the best ranking so far, if there is one (gltp-1.md 7.5).
  public static let deadline = Status(rawValue: 1)
  /// END: the client or the gateway cancelled (gltp-1.md 7.6).
  public static let cancelled = Status(rawValue: 2)
  /// END, REJECT: no room; try elsewhere, or after the stated time.
  public static let overloaded = Status(rawValue: 3)
  /// END: a stage has had no worker for 5 s, or the gateway has no current bundle (gltp-1.md 7.1).
  public static let noWorker = Status(rawValue: 4)
  /// END: an argument, the stage or the id of the request is wrong; sending it again does not help.
  public static let badRequest = Status(rawValue: 5)
  /// END: the peer does not offer what the request asks for.
  public static let unsupported = Status(rawValue: 6)
  /// END: no worker of a stage offers the pinned bundle (gltp-1.md 7.8).
  public static let bundleGone = Status(rawValue: 7)
  /// END: two different workers were lost while running the same stage of the request (gltp-1.md 7.7).
  public static let poisoned = Status(rawValue: 8)
  /// END, BYE: the peer failed at its own work, or the retries are used up.
  public static let `internal` = Status(rawValue: 9)
  /// END: the bundle's catalogue lacks the user.
  public static let unknownUser = Status(rawValue: 10)
  /// END: the bundle's catalogue lacks an item of the request.
  public static let unknownItem = Status(rawValue: 11)
  /// END: fewer items may be returned than were asked for.
  public static let notEnoughItems = Status(rawValue: 12)
  /// END: a chunk is damaged; `stream` and `sequence` name it (gltp-1.md 5.5).
  public static let corrupt = Status(rawValue: 13)
  /// END: a chunk of a stream is missing (gltp-1.md 6.5).
  public static let sequenceGap = Status(rawValue: 14)
  /// END, REJECT: the peer takes no new work; try elsewhere (gltp-1.md 6.8).
  public static let draining = Status(rawValue: 15)
  /// END: the client took no snapshot for 30 s.
  public static let stalled = Status(rawValue: 16)
  /// REJECT: no common version; `Reject.versions` says what the gateway speaks (gltp-1.md 6.2).
  public static let version = Status(rawValue: 32)
  /// REJECT: the gateway does not have the session of this message; say HELLO again (gltp-1.md 6.3).
  public static let unknownSession = Status(rawValue: 33)
  /// REJECT, BYE: the key, or the socket it came in by, does not allow the role (gltp-1.md 6.2).
  public static let unauthorized = Status(rawValue: 34)
  /// REJECT, BYE: a structural error (gltp-1.md 8.1).
  public static let `protocol` = Status(rawValue: 35)
  /// BYE: silent for the expiry (gltp-1.md 6.4).
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
