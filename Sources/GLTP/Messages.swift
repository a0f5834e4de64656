/// A message: where it belongs, and what it says.
public struct Message: Sendable, Equatable {
  /// The codec sets `kind`, `tensorCount` and `tlvByteCount` from the body.
  public var header: MessageHeader
  /// All of the message but its header.
  public var body: MessageBody

  /// Sets the header's kind from the body.
  public init(header: MessageHeader, body: MessageBody) {
    self.header = header
    self.header.kind = body.kind
    self.body = body
  }
}

/// What a message says; see gltp-1.md 5. Cases without a value say all in their header.
public enum MessageBody: Sendable, Equatable {
  /// What a peer is and speaks (gltp-1.md 5.2).
  case hello(Hello)
  /// The session is open (gltp-1.md 5.2).
  case welcome(Welcome)
  /// The session is refused; the header's status says why.
  case reject(Reject)
  /// Asks for a PONG with the header's sequence.
  case ping
  /// Answers the PING of the header's sequence.
  case pong
  /// REQUESTs that the gateway may have sent in this session, all in all.
  case credit(total: UInt64)
  /// No new requests please (gltp-1.md 6.8).
  case drain(detail: WireText?)
  /// The session is over; the header's status says why.
  case bye(detail: WireText?)
  /// A REQUEST of stages none and encoder.
  case rank(RankRequest)
  /// A REQUEST of stages aligner and ranker: opens a run whose input follows.
  case run(RunRequest)
  /// A chunk for the run of the header's stage.
  case input(StreamChunk)
  /// A chunk made by the run of the header's stage; on the client edge a snapshot.
  case partial(StreamChunk)
  /// The last message of a run or request; the header's status says how it ended.
  case end(RunEnd)
  /// Stop the run or request of the header.
  case cancel
  /// The header's sequence is the number of chunks received.
  case ack
  /// Asks for a REPORT of the same request id.
  case status
  /// Answers a STATUS (gltp-1.md 5.6).
  case report(StatusReport)

  /// The kind of message that carries this body.
  public var kind: MessageKind {
    switch self {
    case .hello: .hello
    case .welcome: .welcome
    case .reject: .reject
    case .ping: .ping
    case .pong: .pong
    case .credit: .credit
    case .drain: .drain
    case .bye: .bye
    case .rank, .run: .request
    case .input: .input
    case .partial: .partial
    case .end: .end
    case .cancel: .cancel
    case .ack: .ack
    case .status: .status
    case .report: .report
    }
  }
}

/// One chunk of a stream. Which one a message carries follows from its stage and stream (gltp-1.md 5.4).
public enum StreamChunk: Sendable, Equatable {
  /// From encoders, for aligners: the whole instruction stream of that hop.
  case instruction(InstructionInput)
  /// From encoders, for rankers.
  case candidates(CandidateChunk)
  /// From aligners, for rankers: the whole instruction stream of that hop.
  case prompt(Prompt)
  /// From rankers, for clients: a snapshot.
  case ranking(RankingSnapshot)
}

/// What the encoder tells the aligner of the user.
public struct InstructionInput: Sendable, Equatable {
  /// f32[d].
  public var userVector: WireTensor
  /// i32[H]: dense items in the order of the prompt.
  public var history: WireTensor
  /// i32[N]: all items known of the user, ascending; nil for a user whom the bundle knows by the request's id.
  public var subjectItems: WireTensor?

  /// Dtypes and ranks are checked by the codec, not here.
  public init(userVector: WireTensor, history: WireTensor, subjectItems: WireTensor? = nil) {
    self.userVector = userVector
    self.history = history
    self.subjectItems = subjectItems
  }
}

/// Some of the items that compete, ascending, with their prior.
public struct CandidateChunk: Sendable, Equatable {
  /// i32[n], dense items.
  public var ids: WireTensor
  /// f32[n].
  public var prior: WireTensor
  /// All candidates of the request; 0 while unknown.
  public var total: UInt32

  /// Dtypes, ranks and equal lengths are checked by the codec, not here.
  public init(ids: WireTensor, prior: WireTensor, total: UInt32) {
    self.ids = ids
    self.prior = prior
    self.total = total
  }
}

/// What the language model reads: text as token ids, nodes as vectors.
public struct Prompt: Sendable, Equatable {
  /// i32[L].
  public var tokenIDs: WireTensor
  /// bf16[S, D].
  public var softTokens: WireTensor
  /// i32[S], ascending.
  public var softPositions: WireTensor
  /// i32[k], ascending.
  public var slotPositions: WireTensor

  /// Dtypes and ranks are checked by the codec, not here.
  public init(
    tokenIDs: WireTensor, softTokens: WireTensor, softPositions: WireTensor, slotPositions: WireTensor
  ) {
    self.tokenIDs = tokenIDs
    self.softTokens = softTokens
    self.softPositions = softPositions
    self.slotPositions = slotPositions
  }
}

/// A ranking, complete in itself: it replaces the one before it. Whether it is provisional or incomplete stands in the
/// header's flags.
public struct RankingSnapshot: Sendable, Equatable {
  /// K catalogue strings, best first.
  public var items: StringList
  /// f32[K].
  public var scores: WireTensor
  /// K titles where they were asked for.
  public var titles: StringList?
  /// Candidates taken into account.
  public var itemsSeen: UInt32
  /// All candidates of the request; 0 while unknown.
  public var itemsTotal: UInt32

  /// `items`, `scores` and `titles` have one entry for each ranked item, best first; the codec checks it.
  public init(items: StringList, scores: WireTensor, titles: StringList? = nil, itemsSeen: UInt32, itemsTotal: UInt32) {
    self.items = items
    self.scores = scores
    self.titles = titles
    self.itemsSeen = itemsSeen
    self.itemsTotal = itemsTotal
  }
}

/// What is to be ranked and for whom, in the catalogue's strings (gltp-1.md 5.3).
public struct RankRequest: Sendable, Equatable {
  /// A user of the data set, or a name for whoever is described by `items`.
  public var userID: WireText?
  /// What is known of an unseen user. At least one of `userID` and `items` is there.
  public var items: StringList?
  /// Items to return, 1 to 1,000.
  public var count: UInt32
  /// How answers are read from the language model.
  public var mode: RankingMode
  /// Take this many candidates by prior. Not together with `candidates`; neither means the default rule.
  public var retrieve: UInt32?
  /// The items that compete.
  public var candidates: StringList?
  /// Items that must not be returned.
  public var exclude: StringList?
  /// Where given, only these may be returned.
  public var allow: StringList?
  /// What of a known user's own items is left out.
  public var exclusion: ExclusionRule

  /// The codec refuses contradictions: nobody to rank for, or both `retrieve` and `candidates`.
  public init(
    userID: WireText? = nil, items: StringList? = nil, count: UInt32, mode: RankingMode = .slots,
    retrieve: UInt32? = nil, candidates: StringList? = nil, exclude: StringList? = nil, allow: StringList? = nil,
    exclusion: ExclusionRule = .trainAndValidation
  ) {
    self.userID = userID
    self.items = items
    self.count = count
    self.mode = mode
    self.retrieve = retrieve
    self.candidates = candidates
    self.exclude = exclude
    self.allow = allow
    self.exclusion = exclusion
  }
}

/// Opens a run of the aligner or the ranker.
public struct RunRequest: Sendable, Equatable {
  /// The data set's id of the user, where the client gave one.
  public var userID: WireText?
  /// Items to return, 1 to 1,000.
  public var count: UInt32
  /// How answers are read from the language model.
  public var mode: RankingMode

  /// What the gateway takes over of the client's request (gltp-1.md 5.3).
  public init(userID: WireText? = nil, count: UInt32, mode: RankingMode) {
    self.userID = userID
    self.count = count
    self.mode = mode
  }
}

/// Where a run's time went, in microseconds (gltp-1.md 7.10).
public struct RunTiming: Sendable, Hashable {
  /// The number of the run that the times are of (gltp-1.md 7.4).
  public var attempt: UInt16
  /// From receipt of what the run needs to the start of its computation; a gateway adds the wait for a worker.
  public var queue: UInt32
  /// In the codec, reading input.
  public var decode: UInt32
  /// In the stage itself.
  public var compute: UInt32
  /// In the codec, writing output.
  public var encode: UInt32

  /// Times in microseconds, cut to u32 as `MonotonicDuration.microseconds32` does.
  public init(attempt: UInt16 = 0, queue: UInt32, decode: UInt32, compute: UInt32, encode: UInt32) {
    self.attempt = attempt
    self.queue = queue
    self.decode = decode
    self.compute = compute
    self.encode = encode
  }
}

/// The last message of a run or a request; its status stands in the header.
public struct RunEnd: Sendable, Equatable {
  /// Final with status OK; with DEADLINE or CANCELLED the best so far.
  public var ranking: RankingSnapshot?
  /// The successful encoder run's times, where it ran.
  public var encoderTiming: RunTiming?
  /// The successful aligner run's times, where it ran.
  public var alignerTiming: RunTiming?
  /// The successful ranker run's times, where it ran.
  public var rankerTiming: RunTiming?
  /// When to ask again, in milliseconds.
  public var retryAfterMilliseconds: UInt32?
  /// For people and logs.
  public var detail: WireText?

  /// A worker sets the timing of its own stage; a gateway sets those of all stages that ran.
  public init(
    ranking: RankingSnapshot? = nil, encoderTiming: RunTiming? = nil, alignerTiming: RunTiming? = nil,
    rankerTiming: RunTiming? = nil, retryAfterMilliseconds: UInt32? = nil, detail: WireText? = nil
  ) {
    self.ranking = ranking
    self.encoderTiming = encoderTiming
    self.alignerTiming = alignerTiming
    self.rankerTiming = rankerTiming
    self.retryAfterMilliseconds = retryAfterMilliseconds
    self.detail = detail
  }

  /// The timing of a stage; none of `Stage.none`.
  public subscript(timing stage: Stage) -> RunTiming? {
    get {
      switch stage {
      case .none: nil
      case .encoder: encoderTiming
      case .aligner: alignerTiming
      case .ranker: rankerTiming
      }
    }
    set {
      switch stage {
      case .none: break
      case .encoder: encoderTiming = newValue
      case .aligner: alignerTiming = newValue
      case .ranker: rankerTiming = newValue
      }
    }
  }
}

/// The metrics of a gateway or a worker as JSON (gltp-1.md 5.6), at most 256 KiB.
public struct StatusReport: Sendable, Equatable {
  /// u8[n]. Not parsed by the codec.
  public var json: WireTensor
  /// A u8 vector of at most 256 KiB with a JSON object (RFC 8259, gltp-1.md 5.6).
  public init(json: WireTensor) { self.json = json }
}
