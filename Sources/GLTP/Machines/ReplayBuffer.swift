/// A chunk that the gateway holds: its header as it came, and the rest of it, unopened.
struct HeldChunk<Payload: ChunkPayload>: Sendable {
  var header: MessageHeader
  var payload: Payload
  /// With what keeping any chunk costs, so that empty ones count too.
  var byteCount: Int { payload.byteCount + 256 }
}

/// The chunks of one request between their producers and their consumers, kept for another run of the consumer
/// (gltp-1.md 6.6).
struct ReplayBuffer<Payload: ChunkPayload>: Sendable {
  /// The encoder's, for the aligner.
  private var instruction: HeldChunk<Payload>?
  /// The aligner's, for the ranker.
  private var prompt: HeldChunk<Payload>?
  /// The encoder's, for the ranker, from `dropped` on.
  private var candidates = ContiguousArray<HeldChunk<Payload>?>()
  /// Candidate chunks that had to make room.
  private var dropped: UInt32 = 0
  private(set) var byteCount = 0

  /// Whether another ranker's run can be fed from here.
  var isWhole: Bool { dropped == 0 }

  mutating func append(_ chunk: HeldChunk<Payload>, _ stage: Stage, _ stream: StreamKind) {
    byteCount += chunk.byteCount
    if stage == .aligner {
      prompt = chunk
    } else if stream == .instruction {
      instruction = chunk
    } else {
      candidates.append(chunk)
    }
  }

  /// The chunk that a stage reads as number `sequence` of a stream, where it is there.
  func chunk(for stage: Stage, _ stream: StreamKind, _ sequence: UInt32) -> HeldChunk<Payload>? {
    switch (stage, stream) {
    case (.aligner, .instruction): return sequence == 0 ? instruction : nil
    case (.ranker, .instruction): return sequence == 0 ? prompt : nil
    case (.ranker, .candidates):
      guard sequence >= dropped, sequence - dropped < candidates.count else { return nil }
      return candidates[Int(sequence - dropped)]
    default: return nil
    }
  }

  /// The aligner is done with its input.
  mutating func dropInstruction() {
    byteCount -= instruction?.byteCount ?? 0
    instruction = nil
  }

  /// Forgets the candidate chunks that the ranker has acknowledged.
  mutating func dropCandidates(before sequence: UInt32) {
    guard sequence > dropped else { return }
    let count = min(Int(sequence - dropped), candidates.count)
    for chunk in candidates[..<count] { byteCount -= chunk?.byteCount ?? 0 }
    candidates.removeFirst(count)
    dropped += UInt32(count)
  }

  mutating func removeAll() {
    instruction = nil
    prompt = nil
    // The room of a usual request is worth keeping, that of a giant is not.
    candidates.removeAll(keepingCapacity: candidates.capacity <= 64)
    dropped = 0
    byteCount = 0
  }
}

/// All chunks of one request.
struct RequestChunks<Payload: ChunkPayload>: Sendable {
  var buffer = ReplayBuffer<Payload>()
  /// The newest ranking.
  var newest: HeldChunk<Payload>?

  var byteCount: Int { buffer.byteCount + (newest?.byteCount ?? 0) }

  mutating func removeAll() {
    buffer.removeAll()
    newest = nil
  }
}
