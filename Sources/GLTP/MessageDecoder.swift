/// Turns the parts of a multipart message from a peer into a message, or into the rule that it breaks.
///
/// Keep one for each thread that receives: it owns LZ4's state, so that in steady state decoding takes buffers from the
/// pool and allocates nothing. Nothing of the result points into the parts.
public struct MessageDecoder: ~Copyable, @unchecked Sendable {
  private let pool: BufferPool
  private let limits: CodecLimits
  private var decompressor = LZ4Decompressor()
  private var descriptors = ContiguousArray<TensorDescriptor>()
  private var tensors = ContiguousArray<WireTensor>()

  /// Decodes into memory of `pool` what keeps `limits`. Use one decoder on one thread at a time.
  public init(pool: BufferPool, limits: CodecLimits) {
    self.pool = pool
    self.limits = limits
    descriptors.reserveCapacity(CodecLimits.tensors)
    tensors.reserveCapacity(CodecLimits.tensors)
  }

  /// Decodes and checks a whole message.
  ///
  /// - Throws: the first rule that is broken, in the order of gltp-1.md 8.2.
  public mutating func decode(_ parts: borrowing MessageParts) throws(FrameError) -> Message {
    defer { tensors.removeAll(keepingCapacity: true) }
    let (header, tlvs) = try readStructure(parts)
    for index in descriptors.indices {
      let tensor = try decode(parts[2 + index].bytes, descriptors[index])
      if !tensor.id.isPrivate { tensors.append(tensor) }
    }
    return Message(header: header, body: try body(header, parts[0].bytes, tlvs))
  }

  /// Checks all of a message but what its payloads hold: for those who pass it on unopened.
  ///
  /// - Throws: the first rule that is broken. A payload that does not begin as an LZ4 frame is told from a damaged one.
  public mutating func check(_ parts: borrowing MessageParts) throws(FrameError) -> MessageHeader {
    let (header, _) = try readStructure(parts)
    try checkFrames(parts)
    return header
  }

  /// Decodes an END but for its ranking, which is checked as `check` does and left out.
  ///
  /// - Throws: the first rule that is broken, `.kind` for any other message.
  public mutating func decodeUnopenedEnd(
    _ parts: borrowing MessageParts
  ) throws(FrameError) -> (header: MessageHeader, end: RunEnd) {
    let (header, tlvs) = try readStructure(parts)
    guard header.kind == .end else { throw FrameError(.kind, found: UInt64(header.kind.rawValue)) }
    try checkFrames(parts)
    return (header, try end(parts[0].bytes, tlvs))
  }

  /// Everything that comes before the payloads in gltp-1.md 8.2; leaves the descriptors.
  private mutating func readStructure(
    _ parts: borrowing MessageParts
  ) throws(FrameError) -> (header: MessageHeader, tlvs: TLVIndex) {
    guard parts.count > 0 else { throw FrameError(.headSize, found: 0, expected: MessageHeader.byteCount) }
    let head = parts[0].bytes
    let header = try MessageHeader(parsing: head)
    try MessageDecoder.checkPartCount(parts, header)
    let layout = MessageLayout(header)
    let tlvs = try TLVIndex(head, allowed: layout.tlvs, required: layout.requiredTLVs)
    try readDescriptors(parts, header)
    var check = TensorSetCheck()
    for descriptor in descriptors { try check.add(descriptor.id, descriptor.dtype, descriptor.shape, layout) }
    try check.finish(layout)
    try MessageDecoder.checkContradictions(header, head, tlvs, check)
    return (header, tlvs)
  }

  private func checkFrames(_ parts: borrowing MessageParts) throws(FrameError) {
    for index in descriptors.indices {
      let descriptor = descriptors[index]
      guard descriptor.rawBytes > 0, descriptor.codec != .raw else { continue }
      let payload = parts[2 + index].bytes
      do throws(FrameError) {
        _ = try LZ4Frame(parsing: payload, rawBytes: descriptor.rawBytes)
      } catch {
        try MessageDecoder.checkPayload(payload, descriptor)
        throw error
      }
    }
  }

  /// Decodes the tensors of a message, whatever they are, without regard for its kind: for tools, and for private
  /// tensors. `tensors` is emptied first.
  ///
  /// - Throws: the first rule of head, table and payloads that is broken.
  public mutating func decodeTensors(
    _ parts: borrowing MessageParts, into tensors: inout [WireTensor]
  ) throws(FrameError) {
    tensors.removeAll(keepingCapacity: true)
    guard parts.count > 0 else { throw FrameError(.headSize, found: 0, expected: MessageHeader.byteCount) }
    let header = try MessageHeader(parsing: parts[0].bytes)
    try MessageDecoder.checkPartCount(parts, header)
    try readDescriptors(parts, header)
    for index in descriptors.indices { tensors.append(try decode(parts[2 + index].bytes, descriptors[index])) }
  }

  /// Checks the payloads of a message against the checksums of its table, and decompresses nothing: how a gateway finds
  /// out who damaged a chunk (gltp-1.md 7.7).
  ///
  /// - Throws: `.payloadChecksum` for damaged payloads, or the first rule of head and table that is broken.
  public mutating func verify(_ parts: borrowing MessageParts) throws(FrameError) {
    guard parts.count > 0 else { throw FrameError(.headSize, found: 0, expected: MessageHeader.byteCount) }
    let header = try MessageHeader(parsing: parts[0].bytes)
    try MessageDecoder.checkPartCount(parts, header)
    try readDescriptors(parts, header)
    for index in descriptors.indices {
      try MessageDecoder.checkPayload(parts[2 + index].bytes, descriptors[index])
    }
  }

  // MARK: Structure

  private static func checkPartCount(_ parts: borrowing MessageParts, _ header: MessageHeader) throws(FrameError) {
    let expected = header.tensorCount == 0 ? 1 : 2 + header.tensorCount
    guard parts.count == expected else { throw FrameError(.partCount, found: parts.count, expected: expected) }
  }

  private mutating func readDescriptors(
    _ parts: borrowing MessageParts, _ header: MessageHeader
  ) throws(FrameError) {
    descriptors.removeAll(keepingCapacity: true)
    guard header.tensorCount > 0 else { return }
    let table = parts[1].bytes
    try TensorDescriptor.checkTable(table, count: header.tensorCount)
    var sum = 0
    for index in 0..<header.tensorCount {
      let entry = table.slice(
        TensorDescriptor.tableHeaderBytes + TensorDescriptor.byteCount * index, TensorDescriptor.byteCount)
      let id: UInt16 = entry.load(0)
      for earlier in descriptors where earlier.id.rawValue == id {
        throw FrameError(.tensorDuplicate, found: UInt64(id))
      }
      let descriptor = try TensorDescriptor(
        parsing: entry, payloadBytes: parts[2 + index].bytes.count, limits: limits)
      sum += descriptor.rawBytes
      guard sum <= limits.messageBytes else {
        throw FrameError(.messageTooLarge, found: sum, expected: limits.messageBytes)
      }
      descriptors.append(descriptor)
    }
  }

  private static func checkContradictions(
    _ header: MessageHeader, _ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex, _ tensors: TensorSetCheck
  ) throws(FrameError) {
    switch header.kind {
    case .hello:
      guard let role = tlvs.value(.role, in: head).flatMap(Role.init), role != .gateway,
        role == .client || tlvs.range(.bundle) != nil && tlvs.range(.slots) != nil
      else { throw FrameError(.contradiction) }
    case .welcome:
      guard tlvs.value(.role, in: head) == Role.gateway.rawValue else { throw FrameError(.contradiction) }
    case .request where header.stage == .none || header.stage == .encoder:
      guard tlvs.range(.userID) != nil || tensors.has(.requestItems) else { throw FrameError(.contradiction) }
      guard tlvs.range(.retrieve) == nil || !tensors.has(.requestCandidates) else { throw FrameError(.contradiction) }
    case .end:
      let ids = tensors.has(.rankingItems)
      guard tensors.has(.rankingScores) == ids, ids || !tensors.has(.rankingTitles),
        (tlvs.range(.itemsSeen) != nil) == ids, (tlvs.range(.itemsTotal) != nil) == ids
      else { throw FrameError(.contradiction) }
      try RankingRules.check(header, hasRanking: ids)
    default: break
    }
  }

  // MARK: Payloads

  private static func checkPayload(
    _ payload: UnsafeRawBufferPointer, _ descriptor: TensorDescriptor
  ) throws(FrameError) {
    let checksum = XXH32.tree(payload)
    guard checksum == descriptor.checksum else {
      throw FrameError(.payloadChecksum, found: UInt64(checksum), expected: UInt64(descriptor.checksum))
    }
  }

  private mutating func decode(
    _ payload: UnsafeRawBufferPointer, _ descriptor: TensorDescriptor
  ) throws(FrameError) -> WireTensor {
    try MessageDecoder.checkPayload(payload, descriptor)
    let rawBytes = descriptor.rawBytes
    let isFramed = rawBytes > 0 && descriptor.codec != .raw
    let frame = isFramed ? try LZ4Frame(parsing: payload, rawBytes: rawBytes) : nil
    let buffer = try pool.takeWithinBudget(WireTensor.headroom + rawBytes + WireTensor.tailroom)
    let tensor = WireTensor(
      id: descriptor.id, dtype: descriptor.dtype, shape: descriptor.shape, byteCount: rawBytes, buffer: buffer)
    guard rawBytes > 0 else { return tensor }
    // A frame of one stored block, the usual case for floats, is a copy.
    let content = frame.map { $0.storedContent(payload, rawBytes: rawBytes) } ?? payload
    if let content, let source = content.baseAddress {
      if descriptor.codec == .shuffledLZ4 {
        ByteShuffle.unshuffle(source, into: tensor.base, count: tensor.count, width: tensor.dtype.byteCount)
      } else {
        tensor.base.copyMemory(from: source, byteCount: rawBytes)
      }
      return tensor
    }
    guard descriptor.codec == .shuffledLZ4 else {
      try decompressor.decompress(payload, into: UnsafeMutableRawBufferPointer(start: tensor.base, count: rawBytes))
      return tensor
    }
    let planes = try pool.takeWithinBudget(rawBytes)
    try decompressor.decompress(payload, into: UnsafeMutableRawBufferPointer(start: planes.base, count: rawBytes))
    ByteShuffle.unshuffle(planes.base, into: tensor.base, count: tensor.count, width: tensor.dtype.byteCount)
    withExtendedLifetime(planes) {}
    return tensor
  }

  // MARK: Meaning

  /// The first tensor of an identity; required ones are there once the layout has been checked.
  private func tensor(_ id: TensorID) throws(FrameError) -> WireTensor {
    guard let tensor = optionalTensor(id) else { throw FrameError(.tensorMissing, found: UInt64(id.rawValue)) }
    return tensor
  }

  private func optionalTensor(_ id: TensorID) -> WireTensor? {
    for tensor in tensors where tensor.id == id { return tensor }
    return nil
  }

  private func list(_ id: TensorID) throws(FrameError) -> StringList? {
    guard let tensor = optionalTensor(id) else { return nil }
    return try StringList(checking: tensor)
  }

  private func body(
    _ header: MessageHeader, _ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex
  ) throws(FrameError) -> MessageBody {
    switch header.kind {
    case .hello: return .hello(try hello(head, tlvs))
    case .welcome: return .welcome(try welcome(head, tlvs))
    case .reject:
      let reject = Reject(
        versions: MessageDecoder.versionRange(tlvs, head), retryAfterMilliseconds: tlvs.value(.retryAfter, in: head),
        detail: try text(.detail, tlvs, head))
      return .reject(reject)
    case .ping: return .ping
    case .pong: return .pong
    case .credit: return .credit(total: tlvs.value(.creditTotal, in: head) ?? 0)
    case .drain: return .drain(detail: try text(.detail, tlvs, head))
    case .bye: return .bye(detail: try text(.detail, tlvs, head))
    case .request: return try request(header, head, tlvs)
    case .input: return .input(try chunk(header, head, tlvs))
    case .partial: return .partial(try chunk(header, head, tlvs))
    case .end:
      var end = try end(head, tlvs)
      if optionalTensor(.rankingItems) != nil { end.ranking = try ranking(head, tlvs) }
      return .end(end)
    case .cancel: return .cancel
    case .ack: return .ack
    case .status: return .status
    case .report: return .report(StatusReport(json: try tensor(.report)))
    }
  }

  private func end(_ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex) throws(FrameError) -> RunEnd {
    var end = RunEnd(
      retryAfterMilliseconds: tlvs.value(.retryAfter, in: head), detail: try text(.detail, tlvs, head))
    guard tlvs.range(.timing) != nil else { return end }
    TLVIndex.forEach(.timing, in: head) { value in
      guard let stage = Stage(rawValue: value.load(0)) else { return }
      end[timing: stage] = RunTiming(
        attempt: value.load(2), queue: value.load(4), decode: value.load(8), compute: value.load(12),
        encode: value.load(16))
    }
    return end
  }

  private func hello(_ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex) throws(FrameError) -> Hello {
    Hello(
      role: tlvs.value(.role, in: head).flatMap(Role.init) ?? .client,
      versions: MessageDecoder.versionRange(tlvs, head) ?? .supported, limits: MessageDecoder.limits(tlvs, head),
      features: tlvs.value(.features, in: head) ?? 0, peerID: try text(.peerID, tlvs, head),
      bootID: MessageDecoder.bootID(tlvs, head), build: try text(.build, tlvs, head),
      slots: tlvs.value(.slots, in: head), bundles: MessageDecoder.bundles(tlvs, head))
  }

  private func welcome(_ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex) throws(FrameError) -> Welcome {
    let version = tlvs.value(.version, in: head, UInt16.self) ?? 0
    let intervals = tlvs.value(.intervals, in: head, UInt64.self) ?? 0
    return Welcome(
      version: ProtocolVersion(
        major: UInt8(truncatingIfNeeded: version), minor: UInt8(truncatingIfNeeded: version >> 8)),
      role: tlvs.value(.role, in: head).flatMap(Role.init) ?? .gateway,
      heartbeatMilliseconds: UInt32(truncatingIfNeeded: intervals),
      expiryMilliseconds: UInt32(truncatingIfNeeded: intervals >> 32), limits: MessageDecoder.limits(tlvs, head),
      features: tlvs.value(.features, in: head) ?? 0, peerID: try text(.peerID, tlvs, head),
      bootID: MessageDecoder.bootID(tlvs, head), build: try text(.build, tlvs, head),
      bundles: MessageDecoder.bundles(tlvs, head))
  }

  private func request(
    _ header: MessageHeader, _ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex
  ) throws(FrameError) -> MessageBody {
    let user = try text(.userID, tlvs, head)
    let count: UInt32 = tlvs.value(.count, in: head) ?? 1
    let mode = tlvs.value(.mode, in: head).flatMap(RankingMode.init) ?? .slots
    guard header.stage == .none || header.stage == .encoder else {
      return .run(RunRequest(userID: user, count: count, mode: mode))
    }
    return .rank(
      RankRequest(
        userID: user, items: try list(.requestItems), count: count, mode: mode,
        retrieve: tlvs.value(.retrieve, in: head), candidates: try list(.requestCandidates),
        exclude: try list(.requestExclude), allow: try list(.requestAllow),
        exclusion: tlvs.value(.exclusion, in: head).flatMap(ExclusionRule.init) ?? .trainAndValidation))
  }

  private func chunk(
    _ header: MessageHeader, _ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex
  ) throws(FrameError) -> StreamChunk {
    switch (header.stream, header.kind, header.stage) {
    case (.candidates, _, _):
      .candidates(
        CandidateChunk(
          ids: try tensor(.candidateIDs), prior: try tensor(.candidatePrior),
          total: tlvs.value(.itemsTotal, in: head) ?? 0))
    case (.ranking, _, _): .ranking(try ranking(head, tlvs))
    case (_, .partial, .encoder), (_, .input, .aligner):
      .instruction(
        InstructionInput(
          userVector: try tensor(.userVector), history: try tensor(.history),
          subjectItems: optionalTensor(.subjectItems)))
    default:
      .prompt(
        Prompt(
          tokenIDs: try tensor(.tokenIDs), softTokens: try tensor(.softTokens),
          softPositions: try tensor(.softPositions), slotPositions: try tensor(.slotPositions)))
    }
  }

  private func ranking(_ head: UnsafeRawBufferPointer, _ tlvs: TLVIndex) throws(FrameError) -> RankingSnapshot {
    let scores = try tensor(.rankingScores)
    guard let items = try list(.rankingItems), items.count == scores.count else {
      throw FrameError(.stringList, found: scores.count)
    }
    let titles = try list(.rankingTitles)
    guard titles == nil || titles?.count == scores.count else { throw FrameError(.stringList, found: scores.count) }
    return RankingSnapshot(
      items: items, scores: scores, titles: titles, itemsSeen: tlvs.value(.itemsSeen, in: head) ?? 0,
      itemsTotal: tlvs.value(.itemsTotal, in: head) ?? 0)
  }

  private func text(
    _ kind: TLVKind, _ tlvs: TLVIndex, _ head: UnsafeRawBufferPointer
  ) throws(FrameError) -> WireText? {
    guard let (offset, count) = tlvs.range(kind) else { return nil }
    let buffer = try pool.takeWithinBudget(count)
    if let source = head.slice(offset, count).baseAddress { buffer.base.copyMemory(from: source, byteCount: count) }
    return WireText(buffer, offset: 0, count: count)
  }

  private static func versionRange(_ tlvs: TLVIndex, _ head: UnsafeRawBufferPointer) -> VersionRange? {
    guard let (offset, _) = tlvs.range(.versionRange) else { return nil }
    return VersionRange(
      lowest: ProtocolVersion(major: head.load(offset), minor: head.load(offset + 1)),
      highest: ProtocolVersion(major: head.load(offset + 2), minor: head.load(offset + 3)))
  }

  private static func limits(_ tlvs: TLVIndex, _ head: UnsafeRawBufferPointer) -> PeerLimits {
    guard let (offset, _) = tlvs.range(.limits) else { return .clientEdge }
    return PeerLimits(
      partBytes: head.load(offset), messageBytes: head.load(offset + 4), window: head.load(offset + 8))
  }

  private static func bootID(_ tlvs: TLVIndex, _ head: UnsafeRawBufferPointer) -> BootID? {
    guard let (offset, _) = tlvs.range(.bootID) else { return nil }
    return BootID(high: UInt64(bigEndian: head.load(offset)), low: UInt64(bigEndian: head.load(offset + 8)))
  }

  private static func bundles(_ tlvs: TLVIndex, _ head: UnsafeRawBufferPointer) -> [BundleHash] {
    guard tlvs.range(.bundle) != nil else { return [] }
    var bundles: [BundleHash] = []
    TLVIndex.forEach(.bundle, in: head) { value in
      var words = SIMD4<UInt64>()
      for word in 0..<4 { words[word] = UInt64(bigEndian: value.load(8 * word)) }
      bundles.append(BundleHash(words: words))
    }
    return bundles
  }
}
