/// Whether the tensors of a message are those that its kind wants (gltp-1.md 4.3).
struct TensorSetCheck {
  private var present: UInt64 = 0
  private var extents = (ids: 0, prior: 0, soft: 0, positions: 0)

  /// - Throws: `.tensorUnexpected` to `.tensorRank`, `.tensorShape`.
  mutating func add(
    _ id: TensorID, _ dtype: WireDType, _ shape: WireShape, _ layout: MessageLayout
  ) throws(FrameError) {
    if id.isPrivate { return }
    guard layout.tensors & id.bit != 0 else { throw FrameError(.tensorUnexpected, found: UInt64(id.rawValue)) }
    let rule = id.rule
    guard dtype == rule.dtype else { throw FrameError(.tensorDtype, found: UInt64(id.rawValue)) }
    guard shape.rank == rule.rank else { throw FrameError(.tensorRank, found: shape.rank, expected: rule.rank) }
    present |= id.bit
    switch id {
    case .candidateIDs:
      guard (1...CodecLimits.candidates).contains(shape[0]) else {
        throw FrameError(.tensorShape, found: shape[0], expected: CodecLimits.candidates)
      }
      extents.ids = shape[0]
    case .candidatePrior: extents.prior = shape[0]
    case .softTokens: extents.soft = shape[0]
    case .softPositions: extents.positions = shape[0]
    case .tokenIDs, .slotPositions:
      guard shape[0] > 0 else { throw FrameError(.tensorShape, found: 0, expected: 1) }
    case .report:
      guard shape[0] <= 256 << 10 else { throw FrameError(.tensorShape, found: shape[0], expected: 256 << 10) }
    default: break
    }
  }

  /// Whether a tensor has been seen.
  func has(_ id: TensorID) -> Bool { present & id.bit != 0 }

  /// - Throws: `.tensorMissing`, or `.tensorShape` where two tensors do not go together.
  func finish(_ layout: MessageLayout) throws(FrameError) {
    let missing = layout.requiredTensors & ~present
    guard missing == 0 else { throw FrameError(.tensorMissing, found: missing.trailingZeroBitCount) }
    guard extents.ids == extents.prior else {
      throw FrameError(.tensorShape, found: extents.prior, expected: extents.ids)
    }
    guard extents.soft == extents.positions else {
      throw FrameError(.tensorShape, found: extents.positions, expected: extents.soft)
    }
  }
}

/// When an END has a ranking (gltp-1.md 5.5).
enum RankingRules {
  /// - Throws: `.contradiction`.
  static func check(_ header: MessageHeader, hasRanking: Bool) throws(FrameError) {
    let ranks = header.stage == .none || header.stage == .ranker
    let isBestSoFar = header.status == .deadline || header.status == .cancelled
    let isRight: Bool
    if hasRanking {
      let isIncomplete = header.flags.contains(.incomplete)
      isRight =
        ranks && (header.status == .ok && header.flags.isEmpty || isBestSoFar && isIncomplete)
    } else {
      isRight = header.flags.isEmpty && !(ranks && header.status == .ok)
    }
    guard isRight else { throw FrameError(.contradiction, found: UInt64(header.status.rawValue)) }
  }
}
