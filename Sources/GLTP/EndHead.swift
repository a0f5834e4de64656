extension RunEnd {
  /// The head of an END whose ranking has been encoded before, in a PARTIAL or another END: with that message's table and
  /// payloads behind it, it is the whole END. So whoever only passes a ranking on need not decode it.
  ///
  /// - Parameters:
  ///   - header: stage, status, flags and all else that is not the codec's.
  ///   - ranking: the head of the other message, whose items_seen and items_total are taken over. Our own `ranking` is
  ///     not looked at.
  /// - Throws: the rule that either head, or the END as a whole, breaks.
  public func head(
    _ header: MessageHeader, ranking head: UnsafeRawBufferPointer, from pool: BufferPool
  ) throws(FrameError) -> MessagePart {
    let other = try MessageHeader(parsing: head)
    let layout = MessageLayout(other)
    let tlvs = try TLVIndex(head, allowed: layout.tlvs, required: layout.requiredTLVs)
    guard other.tensorCount > 0, let seen: UInt32 = tlvs.value(.itemsSeen, in: head),
      let total: UInt32 = tlvs.value(.itemsTotal, in: head)
    else { throw FrameError(.contradiction) }
    var header = header
    header.kind = .end
    try header.check()
    try RankingRules.check(header, hasRanking: true)
    let buffer = pool.take(CodecLimits.headBytes)
    var writer = TLVWriter(buffer.base + MessageHeader.byteCount)
    try writer.put(encoderTiming, of: .encoder)
    try writer.put(alignerTiming, of: .aligner)
    try writer.put(rankerTiming, of: .ranker)
    try writer.put(.retryAfter, retryAfterMilliseconds)
    try writer.put(.detail, detail)
    try writer.put(.itemsSeen, seen)
    try writer.put(.itemsTotal, total)
    header.tlvByteCount = writer.count
    header.tensorCount = other.tensorCount
    let bytes = UnsafeMutableRawBufferPointer(start: buffer.base, count: MessageHeader.byteCount + writer.count)
    header.write(to: bytes)
    return MessagePart(owner: buffer, bytes: UnsafeRawBufferPointer(bytes))
  }
}
