/// Turns messages into the parts of a multipart message.
///
/// Keep one for each thread that sends: it owns LZ4's state and scratch memory, so that in steady state encoding takes
/// buffers from the pool and allocates nothing.
public struct MessageEncoder: ~Copyable, @unchecked Sendable {
  private let pool: BufferPool
  private var compressor = LZ4Compressor()
  private let scratch = UnsafeMutableRawPointer.allocate(byteCount: CodecLimits.tlvBytes, alignment: 64)
  private var tensors = ContiguousArray<WireTensor>()

  /// Encodes into memory of `pool`. Use one encoder on one thread at a time.
  public init(pool: BufferPool) {
    self.pool = pool
    tensors.reserveCapacity(CodecLimits.tensors)
  }

  deinit { scratch.deallocate() }

  /// Encodes a message and appends its parts to `parts`, which is emptied first.
  ///
  /// A tensor that is stored becomes part of the message where it lies: its buffer is referenced, not copied.
  /// - Parameter privateTensors: tensors of private ids that go with the message.
  /// - Throws: the rule that a decoder would find broken; `parts` is then empty.
  public mutating func encode(
    _ message: borrowing Message, privateTensors: [WireTensor] = [], into parts: inout MessageParts
  ) throws(FrameError) {
    parts.removeAll()
    defer { tensors.removeAll(keepingCapacity: true) }
    var header = message.header
    header.kind = message.body.kind
    try header.check()
    let tlvs = try collect(message.body, header)
    for tensor in privateTensors {
      guard tensor.id.isPrivate else { throw FrameError(.tensorUnexpected, found: UInt64(tensor.id.rawValue)) }
      tensors.append(tensor)
    }
    guard tensors.count <= CodecLimits.tensors else {
      throw FrameError(.tensorCount, found: tensors.count, expected: CodecLimits.tensors)
    }
    header.tlvByteCount = tlvs.count
    header.tensorCount = tensors.count
    try checkTensors(MessageLayout(header))

    // Head and table share one buffer; the table starts at a multiple of 8.
    let headBytes = MessageHeader.byteCount + tlvs.count
    let tableOffset = (headBytes + 7) & ~7
    let tableBytes =
      tensors.isEmpty ? 0 : TensorDescriptor.tableHeaderBytes + TensorDescriptor.byteCount * tensors.count
    let buffer = pool.take(tableOffset + tableBytes)
    (buffer.base + MessageHeader.byteCount).copyMemory(from: scratch, byteCount: tlvs.count)
    let head = UnsafeMutableRawBufferPointer(start: buffer.base, count: headBytes)
    header.write(to: head)
    parts.append(MessagePart(owner: buffer, bytes: UnsafeRawBufferPointer(head)))
    guard !tensors.isEmpty else { return }

    let table = UnsafeMutableRawBufferPointer(start: buffer.base + tableOffset, count: tableBytes)
    parts.append(MessagePart(owner: buffer, bytes: UnsafeRawBufferPointer(table)))
    for index in tensors.indices {
      let (part, codec) = store(tensors[index])
      let descriptor = TensorDescriptor(
        tensor: tensors[index], codec: codec, storedBytes: part.bytes.count, checksum: XXH32.tree(part.bytes))
      descriptor.write(
        to: table.baseAddress.unsafelyUnwrapped + TensorDescriptor.tableHeaderBytes + TensorDescriptor.byteCount * index
      )
      parts.append(part)
    }
    TensorDescriptor.sealTable(table, count: tensors.count)
  }

  // MARK: What a body holds

  /// Writes the body's TLVs into the scratch memory, in ascending order of kind, and gathers its tensors.
  private mutating func collect(_ body: borrowing MessageBody, _ header: MessageHeader) throws(FrameError) -> TLVWriter
  {
    var tlvs = TLVWriter(scratch)
    switch copy body {
    case .hello(let hello):
      guard hello.role != .gateway, hello.role == .client || !hello.bundles.isEmpty && hello.slots != nil else {
        throw FrameError(.contradiction)
      }
      try tlvs.put(hello.versions)
      if hello.features != 0 { try tlvs.put(.features, hello.features) }
      try tlvs.put(.peerID, hello.peerID)
      try tlvs.put(.role, hello.role.rawValue)
      try tlvs.put(hello.bootID)
      try tlvs.put(.build, hello.build)
      try tlvs.put(.slots, hello.slots)
      try tlvs.put(hello.bundles)
      try tlvs.put(hello.limits)
    case .welcome(let welcome):
      guard welcome.role == .gateway else { throw FrameError(.contradiction) }
      if welcome.features != 0 { try tlvs.put(.features, welcome.features) }
      try tlvs.put(welcome.version)
      try tlvs.put(.peerID, welcome.peerID)
      try tlvs.put(.role, welcome.role.rawValue)
      try tlvs.put(welcome.bootID)
      try tlvs.put(.build, welcome.build)
      try tlvs.put(welcome.bundles)
      try tlvs.put(.intervals, welcome.heartbeatMilliseconds, welcome.expiryMilliseconds)
      try tlvs.put(welcome.limits)
    case .reject(let reject):
      try tlvs.put(reject.versions)
      try tlvs.put(.retryAfter, reject.retryAfterMilliseconds)
      try tlvs.put(.detail, reject.detail)
    case .credit(let total): try tlvs.put(.creditTotal, total)
    case .drain(let detail), .bye(let detail): try tlvs.put(.detail, detail)
    case .ping, .pong, .cancel, .ack, .status: break
    case .rank(let request):
      guard header.stage == .none || header.stage == .encoder else {
        throw FrameError(.stage, found: UInt64(header.stage.rawValue))
      }
      guard request.userID != nil || request.items != nil, request.retrieve == nil || request.candidates == nil else {
        throw FrameError(.contradiction)
      }
      try tlvs.put(.userID, request.userID)
      try tlvs.put(.count, request.count)
      try tlvs.put(.mode, request.mode.rawValue)
      try tlvs.put(.retrieve, request.retrieve)
      if request.exclusion != .trainAndValidation { try tlvs.put(.exclusion, request.exclusion.rawValue) }
      add(request.items, .requestItems)
      add(request.candidates, .requestCandidates)
      add(request.exclude, .requestExclude)
      add(request.allow, .requestAllow)
    case .run(let run):
      guard header.stage == .aligner || header.stage == .ranker else {
        throw FrameError(.stage, found: UInt64(header.stage.rawValue))
      }
      try tlvs.put(.userID, run.userID)
      try tlvs.put(.count, run.count)
      try tlvs.put(.mode, run.mode.rawValue)
    case .input(let chunk), .partial(let chunk): try collect(chunk, &tlvs)
    case .end(let end):
      try tlvs.put(end.encoderTiming, of: .encoder)
      try tlvs.put(end.alignerTiming, of: .aligner)
      try tlvs.put(end.rankerTiming, of: .ranker)
      try tlvs.put(.retryAfter, end.retryAfterMilliseconds)
      try tlvs.put(.detail, end.detail)
      if let ranking = end.ranking { try collect(.ranking(ranking), &tlvs) }
      try RankingRules.check(header, hasRanking: end.ranking != nil)
    case .report(let report):
      tensors.append(report.json)
    }
    return tlvs
  }

  private mutating func collect(_ chunk: StreamChunk, _ tlvs: inout TLVWriter) throws(FrameError) {
    switch chunk {
    case .instruction(let input):
      tensors.append(input.userVector)
      tensors.append(input.history)
      if let items = input.subjectItems { tensors.append(items) }
    case .candidates(let candidates):
      try tlvs.put(.itemsTotal, candidates.total)
      tensors.append(candidates.ids)
      tensors.append(candidates.prior)
    case .prompt(let prompt):
      tensors.append(prompt.tokenIDs)
      tensors.append(prompt.softTokens)
      tensors.append(prompt.softPositions)
      tensors.append(prompt.slotPositions)
    case .ranking(let ranking):
      guard ranking.items.count == ranking.scores.count,
        (ranking.titles?.count ?? ranking.items.count) == ranking.items.count
      else { throw FrameError(.tensorShape, found: ranking.items.count, expected: ranking.scores.count) }
      try tlvs.put(.itemsSeen, ranking.itemsSeen)
      try tlvs.put(.itemsTotal, ranking.itemsTotal)
      add(ranking.items, .rankingItems)
      tensors.append(ranking.scores)
      add(ranking.titles, .rankingTitles)
    }
  }

  /// A list carries the identity that its place in the message gives it.
  private mutating func add(_ list: StringList?, _ id: TensorID) {
    guard let tensor = list?.tensor else { return }
    tensors.append(
      WireTensor(id: id, dtype: tensor.dtype, shape: tensor.shape, byteCount: tensor.byteCount, buffer: tensor.buffer))
  }

  private func checkTensors(_ layout: MessageLayout) throws(FrameError) {
    var sum = 0
    var check = TensorSetCheck()
    for tensor in tensors {
      guard tensor.byteCount <= CodecLimits.mesh.tensorBytes else {
        throw FrameError(.tensorTooLarge, found: tensor.byteCount, expected: CodecLimits.mesh.tensorBytes)
      }
      sum += tensor.byteCount
      try check.add(tensor.id, tensor.dtype, tensor.shape, layout)
    }
    guard sum <= CodecLimits.mesh.messageBytes else {
      throw FrameError(.messageTooLarge, found: sum, expected: CodecLimits.mesh.messageBytes)
    }
    try check.finish(layout)
  }

  // MARK: Payloads

  private mutating func store(_ tensor: WireTensor) -> (MessagePart, WireCodec) {
    guard tensor.byteCount > 0 else {
      return (MessagePart(owner: nil, bytes: UnsafeRawBufferPointer(start: nil, count: 0)), .raw)
    }
    switch tensor.compression {
    case .stored: return (storeInPlace(tensor), .lz4)
    case .lz4: return (compress(tensor, shuffled: false), .lz4)
    case .shuffledLZ4 where tensor.dtype.byteCount > 1: return (compress(tensor, shuffled: true), .shuffledLZ4)
    case .shuffledLZ4: return (compress(tensor, shuffled: false), .lz4)
    case .automatic:
      // Below this nothing that LZ4 finds pays for looking.
      if tensor.byteCount < 256 || tensor.dtype.isFloatingPoint { return (storeInPlace(tensor), .lz4) }
      if let part = storeSmallIntegers(tensor) { return (part, .shuffledLZ4) }
      let isWide = tensor.dtype.byteCount > 1
      return (compress(tensor, shuffled: isWide), isWide ? .shuffledLZ4 : .lz4)
    }
  }

  /// Builds the frame around the tensor where it lies: header and block size fit before it, the end mark behind.
  private func storeInPlace(_ tensor: WireTensor) -> MessagePart {
    let rawBytes = tensor.byteCount
    guard rawBytes <= LZ4Frame.largestBlock else { return storeCopy(tensor) }
    let start = tensor.base - (LZ4Frame.headerBytes + 4)
    let end = tensor.base + rawBytes
    let frame = UnsafeRawBufferPointer(start: start, count: rawBytes + LZ4Frame.storedOverhead)
    // A tensor that is sent again may be in ZeroMQ's hands: only look at a frame that is already there.
    var header: (UInt64, UInt64, UInt32) = (0, 0, 0)
    withUnsafeMutableBytes(of: &header) { header in
      let base = header.baseAddress.unsafelyUnwrapped
      LZ4Frame.writeHeader(base, rawBytes: rawBytes)
      base.store(LZ4Frame.storedBit | UInt32(rawBytes), LZ4Frame.headerBytes)
      let wanted = UnsafeRawBufferPointer(header)
      let isThere =
        frame.load(0, UInt64.self) == wanted.load(0, UInt64.self)
        && frame.load(8, UInt64.self) == wanted.load(8, UInt64.self)
        && frame.load(15, UInt32.self) == wanted.load(15, UInt32.self)
        && frame.load(frame.count - 4, UInt32.self) == 0
      if !isThere {
        start.copyMemory(from: base, byteCount: LZ4Frame.headerBytes + 4)
        end.store(UInt32(0), 0)
      }
    }
    return MessagePart(owner: tensor.buffer, bytes: frame)
  }

  /// Item ids and token ids hardly ever need all their bytes. The low byte planes go into a stored block, the planes of
  /// zeros above them into a few bytes: most of what LZ4 would win, in a tenth of its time. Nil where there are no such
  /// planes, or for what fits into no block.
  private func storeSmallIntegers(_ tensor: WireTensor) -> MessagePart? {
    guard tensor.dtype == .i32 || tensor.dtype == .u32 else { return nil }
    let count = tensor.count
    let low = ByteShuffle.significantBytes(tensor.base, count: count)
    let zeros = (4 - low) * count
    guard low > 0, zeros >= LZ4Frame.fewestZeros, max(zeros, low * count) <= 1 << 16 else { return nil }
    let byteCount = LZ4Frame.headerBytes + 4 + low * count + LZ4Frame.zerosBytes(zeros) + 4
    let buffer = pool.take(byteCount)
    LZ4Frame.writeHeader(buffer.base, rawBytes: tensor.byteCount)
    buffer.base.store(LZ4Frame.storedBit | UInt32(low * count), LZ4Frame.headerBytes)
    var written = LZ4Frame.headerBytes + 4
    ByteShuffle.shuffleLow(tensor.base, into: buffer.base + written, count: count, planes: low)
    written += low * count
    written += LZ4Frame.writeZeros(zeros, to: buffer.base + written)
    buffer.base.store(UInt32(0), written)
    withExtendedLifetime(tensor) {}
    return MessagePart(owner: buffer, bytes: UnsafeRawBufferPointer(start: buffer.base, count: byteCount))
  }

  private func storeCopy(_ tensor: WireTensor) -> MessagePart {
    let byteCount = LZ4Frame.storedBytes(tensor.byteCount)
    let buffer = pool.take(byteCount)
    LZ4Frame.writeStored(tensor.base, tensor.byteCount, to: buffer.base)
    return MessagePart(owner: buffer, bytes: UnsafeRawBufferPointer(start: buffer.base, count: byteCount))
  }

  private mutating func compress(_ tensor: WireTensor, shuffled: Bool) -> MessagePart {
    var source = UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)
    let planes = shuffled ? pool.take(tensor.byteCount) : nil
    if let planes {
      ByteShuffle.shuffle(tensor.base, into: planes.base, count: tensor.count, width: tensor.dtype.byteCount)
      source = UnsafeRawBufferPointer(start: planes.base, count: tensor.byteCount)
    }
    let bound = compressor.bound(tensor.byteCount)
    let buffer = pool.take(bound)
    let target = UnsafeMutableRawBufferPointer(start: buffer.base, count: bound)
    var byteCount = compressor.compress(source, into: target)
    if byteCount == nil {
      // Without memory for liblz4's state; a frame of stored blocks is right in any case.
      LZ4Frame.writeStored(source.baseAddress.unsafelyUnwrapped, source.count, to: buffer.base)
      byteCount = LZ4Frame.storedBytes(source.count)
    }
    withExtendedLifetime((planes, tensor)) {}
    return MessagePart(
      owner: buffer, bytes: UnsafeRawBufferPointer(start: buffer.base, count: byteCount.unsafelyUnwrapped))
  }
}
