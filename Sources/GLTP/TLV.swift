/// The kinds of TLVs (gltp-1.md 3.4). Odd kinds are critical. Codes are never reused.
enum TLVKind: UInt16, CaseIterable {
  case versionRange = 1
  case features = 2
  case version = 3
  case peerID = 4
  case role = 5
  case bootID = 6
  case userID = 7
  case build = 8
  case count = 9
  case slots = 10
  case mode = 11
  case timing = 12
  case retrieve = 13
  case retryAfter = 14
  case exclusion = 15
  case detail = 16
  case bundle = 17
  case creditTotal = 19
  case itemsSeen = 21
  case itemsTotal = 23
  case intervals = 25
  case limits = 27

  /// Membership in a set of kinds.
  var bit: UInt32 { 1 &<< UInt32(rawValue) }

  /// How many of the kind a message may have.
  var repetitions: Int {
    switch self {
    case .timing: 3
    case .bundle: 8
    default: 1
    }
  }

  /// The sizes that a value may have.
  var lengths: ClosedRange<Int> {
    switch self {
    case .role, .mode, .exclusion: 1...1
    case .version: 2...2
    case .versionRange, .count, .slots, .retrieve, .retryAfter, .itemsSeen, .itemsTotal: 4...4
    case .features, .creditTotal, .intervals: 8...8
    case .limits: 12...12
    case .bootID: 16...16
    case .timing: 20...20
    case .bundle: 32...32
    case .peerID, .build: 1...128
    case .userID: 1...CodecLimits.stringBytes
    case .detail: 1...1024
    }
  }

  var isText: Bool {
    switch self {
    case .peerID, .userID, .build, .detail: true
    default: false
    }
  }

  /// Whether the value is one that its registry or its limits allow; the length is already checked.
  func accepts(_ value: UnsafeRawBufferPointer) -> Bool {
    switch self {
    case .versionRange:
      ProtocolVersion(major: value.load(0), minor: value.load(1))
        <= ProtocolVersion(major: value.load(2), minor: value.load(3))
    case .role: Role(rawValue: value.load(0)) != nil
    case .mode: RankingMode(rawValue: value.load(0)) != nil
    case .exclusion: ExclusionRule(rawValue: value.load(0)) != nil
    case .count: (1...CodecLimits.count).contains(value.load(0, UInt32.self))
    case .retrieve: (1...1_000_000).contains(value.load(0, UInt32.self))
    case .timing: (1...3).contains(value.load(0, UInt8.self)) && value.load(1, UInt8.self) == 0
    case .intervals: value.load(0, UInt32.self) > 0 && value.load(4, UInt32.self) / 2 >= value.load(0, UInt32.self)
    case .limits:
      (1...9 << 20).contains(value.load(0, UInt32.self)) && (1...32 << 20).contains(value.load(4, UInt32.self))
        && (1...4).contains(value.load(8, UInt32.self))
    default: true
    }
  }
}

/// Where the TLVs of a message lie. Of a repeated kind, the first; the others are found by walking again.
struct TLVIndex {
  private var offsets = SIMD32<UInt16>()
  private var lengths = SIMD32<UInt16>()
  private(set) var present: UInt32 = 0

  /// Walks the TLVs behind a header.
  ///
  /// - Parameters:
  ///   - allowed: the kinds that the message may have.
  ///   - required: those that it must have.
  /// - Throws: `.tlvTruncated` to `.tlvMissing`.
  init(_ head: UnsafeRawBufferPointer, allowed: UInt32, required: UInt32) throws(FrameError) {
    var timings = 0
    var bundles = 0
    var offset = MessageHeader.byteCount
    while offset < head.count {
      guard head.count - offset >= 4 else { throw FrameError(.tlvTruncated, found: offset) }
      let code: UInt16 = head.load(offset)
      let length = Int(head.load(offset + 2, UInt16.self))
      let start = offset + 4
      guard length <= head.count - start else { throw FrameError(.tlvTruncated, found: offset) }
      offset = start + length
      let isCritical = code & 1 == 1
      guard let kind = TLVKind(rawValue: code) else {
        if isCritical { throw FrameError(.tlvUnknown, found: UInt64(code)) }
        continue
      }
      if allowed & kind.bit == 0 {
        if isCritical { throw FrameError(.tlvUnexpected, found: UInt64(code)) }
        continue
      }
      if present & kind.bit != 0 {
        switch kind {
        case .timing where timings < kind.repetitions: break
        case .bundle where bundles < kind.repetitions: break
        default: throw FrameError(.tlvDuplicate, found: UInt64(code))
        }
      }
      if kind == .timing { timings += 1 }
      if kind == .bundle { bundles += 1 }
      let value = head.slice(start, length)
      guard kind.lengths.contains(length) else { throw FrameError(.tlvLength, found: length) }
      guard !kind.isText || value.isUTF8 else { throw FrameError(.tlvText, found: UInt64(code)) }
      guard kind.accepts(value) else { throw FrameError(.tlvValue, found: UInt64(code)) }
      if present & kind.bit == 0 {
        present |= kind.bit
        offsets[Int(code)] = UInt16(start)
        lengths[Int(code)] = UInt16(length)
      }
    }
    let missing = required & ~present
    guard missing == 0 else { throw FrameError(.tlvMissing, found: missing.trailingZeroBitCount) }
  }

  /// Offset and size of a value inside the head.
  func range(_ kind: TLVKind) -> (offset: Int, count: Int)? {
    guard present & kind.bit != 0 else { return nil }
    return (Int(offsets[Int(kind.rawValue)]), Int(lengths[Int(kind.rawValue)]))
  }

  /// An integer value.
  func value<T: FixedWidthInteger & BitwiseCopyable>(
    _ kind: TLVKind, in head: UnsafeRawBufferPointer, _: T.Type = T.self
  ) -> T? {
    guard let (offset, count) = range(kind), count == MemoryLayout<T>.size else { return nil }
    return head.load(offset)
  }

  /// Calls `body` with each value of a repeatable kind. Only after the walk in `init` has succeeded.
  static func forEach(
    _ kind: TLVKind, in head: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
  ) {
    var offset = MessageHeader.byteCount
    while head.count - offset >= 4 {
      let length = Int(head.load(offset + 2, UInt16.self))
      guard length <= head.count - offset - 4 else { return }
      if head.load(offset) == kind.rawValue { body(head.slice(offset + 4, length)) }
      offset += 4 + length
    }
  }
}

/// Writes TLVs behind each other into memory for 4,032 bytes.
struct TLVWriter {
  private let base: UnsafeMutableRawPointer
  private(set) var count = 0

  init(_ base: UnsafeMutableRawPointer) { self.base = base }

  private mutating func begin(_ kind: TLVKind, _ length: Int) throws(FrameError) -> UnsafeMutableRawPointer {
    guard kind.lengths.contains(length) else { throw FrameError(.tlvLength, found: length) }
    guard count + 4 + length <= CodecLimits.tlvBytes else {
      throw FrameError(.tlvSize, found: count + 4 + length, expected: CodecLimits.tlvBytes)
    }
    base.store(kind.rawValue, count)
    base.store(UInt16(length), count + 2)
    count += 4 + length
    return base + (count - length)
  }

  private func check(_ kind: TLVKind, _ value: UnsafeMutableRawPointer, _ length: Int) throws(FrameError) {
    guard kind.accepts(UnsafeRawBufferPointer(start: value, count: length)) else {
      throw FrameError(.tlvValue, found: UInt64(kind.rawValue))
    }
  }

  mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ kind: TLVKind, _ value: T) throws(FrameError) {
    let target = try begin(kind, MemoryLayout<T>.size)
    target.store(value, 0)
    try check(kind, target, MemoryLayout<T>.size)
  }

  mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ kind: TLVKind, _ value: T?) throws(FrameError) {
    if let value { try put(kind, value) }
  }

  mutating func put(_ kind: TLVKind, _ text: WireText?) throws(FrameError) {
    guard let text else { return }
    var writer = self
    try text.withUTF8 { bytes throws(FrameError) in
      let target = try writer.begin(kind, bytes.count)
      target.copyMemory(from: bytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
    }
    self = writer
  }

  mutating func put(_ kind: TLVKind, _ a: UInt32, _ b: UInt32) throws(FrameError) {
    let target = try begin(kind, 8)
    target.store(a, 0)
    target.store(b, 4)
    try check(kind, target, 8)
  }

  mutating func put(_ id: BootID?) throws(FrameError) {
    guard let id else { return }
    let target = try begin(.bootID, 16)
    target.store(id.high.bigEndian, 0)
    target.store(id.low.bigEndian, 8)
  }

  mutating func put(_ version: ProtocolVersion) throws(FrameError) {
    let target = try begin(.version, 2)
    target.store(version.major, 0)
    target.store(version.minor, 1)
  }

  mutating func put(_ range: VersionRange?) throws(FrameError) {
    guard let range else { return }
    let target = try begin(.versionRange, 4)
    target.store(range.lowest.major, 0)
    target.store(range.lowest.minor, 1)
    target.store(range.highest.major, 2)
    target.store(range.highest.minor, 3)
    try check(.versionRange, target, 4)
  }

  mutating func put(_ limits: PeerLimits) throws(FrameError) {
    let target = try begin(.limits, 12)
    target.store(limits.partBytes, 0)
    target.store(limits.messageBytes, 4)
    target.store(limits.window, 8)
    try check(.limits, target, 12)
  }

  mutating func put(_ bundles: [BundleHash]) throws(FrameError) {
    guard bundles.count <= TLVKind.bundle.repetitions else { throw FrameError(.tlvDuplicate, found: bundles.count) }
    for bundle in bundles {
      let target = try begin(.bundle, 32)
      for word in 0..<4 { target.store(bundle.words[word].bigEndian, 8 * word) }
    }
  }

  mutating func put(_ timing: RunTiming?, of stage: Stage) throws(FrameError) {
    guard let timing else { return }
    let target = try begin(.timing, 20)
    target.store(stage.rawValue, 0)
    target.store(UInt8(0), 1)
    target.store(timing.attempt, 2)
    target.store(timing.queue, 4)
    target.store(timing.decode, 8)
    target.store(timing.compute, 12)
    target.store(timing.encode, 16)
  }
}
