/// The first 64 bytes of every message (gltp-1.md 3.2). A gateway routes by it alone.
public struct MessageHeader: Sendable, Hashable {
  /// Bytes of a header; TLVs follow.
  public static let byteCount = 64

  /// The version of the layout; 1.0 in HELLO and REJECT whatever the range (gltp-1.md 5.2).
  public var version: ProtocolVersion
  /// What the message is for.
  public var kind: MessageKind
  /// Flags; only those that the kind allows (gltp-1.md 3.3).
  public var flags: MessageFlags
  /// The stage of the run; `none` on the client edge and in session messages.
  public var stage: Stage
  /// The stream of a chunk or an ACK; in END the stream of a refused chunk.
  public var stream: StreamKind
  /// Meaningful in REQUEST only.
  public var priority: Priority
  /// Number of the run, counted by the gateway from 1; on the client edge, of the client's sending.
  public var attempt: UInt16
  /// Why it ended, in REJECT, BYE and END; 0 in all other kinds.
  public var status: Status
  /// The request that the message belongs to.
  public var requestID: RequestID
  /// From WELCOME; 0 in HELLO, and in a REJECT that answers HELLO.
  public var sessionID: UInt64
  /// The chunk's number in its stream; in ACK, chunks received so far; in PING and PONG, the ping's number.
  public var sequence: UInt32
  /// Remaining time in milliseconds; 0 where not stated.
  public var budgetMilliseconds: UInt32
  /// The bundle that the run or request is pinned to; `none` where it is not (gltp-1.md 7.8).
  public var bundle: BundlePrefix
  /// Tensors that follow. Set by the codec.
  public internal(set) var tensorCount = 0
  /// Bytes of TLVs behind the header. Set by the codec.
  public internal(set) var tlvByteCount = 0

  /// A header whose tensor and TLV counts the codec fills in.
  public init(
    _ kind: MessageKind, flags: MessageFlags = [], stage: Stage = .none, stream: StreamKind = .none,
    priority: Priority = .normal, attempt: UInt16 = 0, status: Status = .ok, requestID: RequestID = .none,
    sessionID: UInt64 = 0, sequence: UInt32 = 0, budgetMilliseconds: UInt32 = 0, bundle: BundlePrefix = .none,
    version: ProtocolVersion = .current
  ) {
    self.version = version
    self.kind = kind
    self.flags = flags
    self.stage = stage
    self.stream = stream
    self.priority = priority
    self.attempt = attempt
    self.status = status
    self.requestID = requestID
    self.sessionID = sessionID
    self.sequence = sequence
    self.budgetMilliseconds = budgetMilliseconds
    self.bundle = bundle
  }

  private static let magic: UInt32 = 0x3154_4C47
  private static let checksumOffset = 60

  /// Reads and checks a head, and nothing else of the message.
  ///
  /// - Throws: the first rule of the head that is broken, `.headSize` to `.flags`.
  public init(parsing head: UnsafeRawBufferPointer) throws(FrameError) {
    guard head.count >= MessageHeader.byteCount, head.count <= CodecLimits.headBytes else {
      throw FrameError(.headSize, found: head.count, expected: MessageHeader.byteCount)
    }
    guard head.load(0, UInt32.self) == MessageHeader.magic else {
      throw FrameError(.magic, found: UInt64(head.load(0, UInt32.self)), expected: UInt64(MessageHeader.magic))
    }
    version = ProtocolVersion(major: head.load(4), minor: head.load(5))
    guard version >= VersionRange.supported.lowest, version <= VersionRange.supported.highest else {
      throw FrameError(.version, found: UInt64(version.major) << 8 | UInt64(version.minor), expected: 0x100)
    }
    let checksum = XXH32.hash(head, zeroingWordAt: MessageHeader.checksumOffset)
    guard head.load(MessageHeader.checksumOffset) == checksum else {
      throw FrameError(
        .headChecksum, found: UInt64(head.load(MessageHeader.checksumOffset, UInt32.self)), expected: UInt64(checksum))
    }
    let codes: UInt64 = head.load(6)
    func code(_ offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: codes >> UInt64(8 * (offset - 6))) }
    guard let kind = MessageKind(rawValue: code(6)) else { throw FrameError(.kind, found: UInt64(code(6))) }
    guard let stage = Stage(rawValue: code(8)), kind.allows(stage) else {
      throw FrameError(.stage, found: UInt64(code(8)))
    }
    guard let stream = StreamKind(rawValue: code(9)), kind.allows(stream, of: stage) else {
      throw FrameError(.stream, found: UInt64(code(9)))
    }
    guard let priority = Priority(rawValue: code(10)) else { throw FrameError(.priority, found: UInt64(code(10))) }
    guard code(11) == 0 else { throw FrameError(.headerReserved, found: UInt64(code(11))) }
    status = Status(rawValue: head.load(14))
    guard status == .ok || kind.carriesStatus else { throw FrameError(.status, found: UInt64(status.rawValue)) }
    tensorCount = Int(head.load(56, UInt16.self))
    guard tensorCount <= CodecLimits.tensors else {
      throw FrameError(.tensorCount, found: tensorCount, expected: CodecLimits.tensors)
    }
    tlvByteCount = Int(head.load(58, UInt16.self))
    guard head.count == MessageHeader.byteCount + tlvByteCount else {
      throw FrameError(.tlvSize, found: head.count, expected: MessageHeader.byteCount + tlvByteCount)
    }
    flags = MessageFlags(rawValue: code(7))
    guard kind.allowedFlags(stream).isSuperset(of: flags) else {
      throw FrameError(.flags, found: UInt64(flags.rawValue))
    }
    self.kind = kind
    self.stage = stage
    self.stream = stream
    self.priority = priority
    attempt = head.load(12)
    requestID = RequestID(high: UInt64(bigEndian: head.load(16)), low: UInt64(bigEndian: head.load(24)))
    sessionID = head.load(32)
    sequence = head.load(40)
    budgetMilliseconds = head.load(44)
    bundle = BundlePrefix(bits: UInt64(bigEndian: head.load(48)))
  }

  /// Writes the header over the first 64 bytes of a head whose TLVs are in place, and its checksum.
  ///
  /// So a gateway forwards a chunk: it copies the head, rewrites the header, and passes the other parts on untouched.
  /// - Precondition: `head` has 64 + `tlvByteCount` bytes.
  public func write(to head: UnsafeMutableRawBufferPointer) {
    precondition(head.count == MessageHeader.byteCount + tlvByteCount, "a head of another size")
    let base = head.baseAddress.unsafelyUnwrapped
    base.store(MessageHeader.magic, 0)
    base.store(version.major, 4)
    base.store(version.minor, 5)
    base.store(kind.rawValue, 6)
    base.store(flags.rawValue, 7)
    base.store(stage.rawValue, 8)
    base.store(stream.rawValue, 9)
    base.store(priority.rawValue, 10)
    base.store(UInt8(0), 11)
    base.store(attempt, 12)
    base.store(status.rawValue, 14)
    base.store(requestID.high.bigEndian, 16)
    base.store(requestID.low.bigEndian, 24)
    base.store(sessionID, 32)
    base.store(sequence, 40)
    base.store(budgetMilliseconds, 44)
    base.store(bundle.bits.bigEndian, 48)
    base.store(UInt16(tensorCount), 56)
    base.store(UInt16(tlvByteCount), 58)
    let checksum = XXH32.hash(UnsafeRawBufferPointer(head), zeroingWordAt: MessageHeader.checksumOffset)
    base.store(checksum, MessageHeader.checksumOffset)
  }

  /// Checks what the codec would refuse to read: for messages of our own.
  func check() throws(FrameError) {
    guard kind.allows(stage) else { throw FrameError(.stage, found: UInt64(stage.rawValue)) }
    guard kind.allows(stream, of: stage) else { throw FrameError(.stream, found: UInt64(stream.rawValue)) }
    guard status == .ok || kind.carriesStatus else { throw FrameError(.status, found: UInt64(status.rawValue)) }
    guard kind.allowedFlags(stream).isSuperset(of: flags) else {
      throw FrameError(.flags, found: UInt64(flags.rawValue))
    }
  }
}

extension MessageKind {
  func allows(_ stage: Stage) -> Bool {
    switch self {
    case .request, .partial, .end, .cancel, .ack: true
    case .input: stage == .aligner || stage == .ranker
    default: stage == .none
    }
  }

  func allows(_ stream: StreamKind, of stage: Stage) -> Bool {
    switch self {
    case .input:
      stream == .instruction || stream == .candidates && stage == .ranker
    case .partial:
      switch stage {
      case .encoder: stream == .instruction || stream == .candidates
      case .aligner: stream == .instruction
      case .ranker, .none: stream == .ranking
      }
    case .ack: stream != .none
    case .end: true
    default: stream == .none
    }
  }

  var carriesStatus: Bool { self == .reject || self == .bye || self == .end }

  func allowedFlags(_ stream: StreamKind) -> MessageFlags {
    switch self {
    case .input: .final
    case .partial: stream == .ranking ? [.provisional] : .final
    case .end: [.provisional, .incomplete]
    case .request: [.stream, .titles, .retry, .canary]
    default: []
    }
  }
}
