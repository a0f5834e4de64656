/// What a kind of message must and may hold: sets of TLVs and of tensors (gltp-1.md 3.4, 4.3, 5).
struct MessageLayout {
  var tlvs: UInt32 = 0
  var requiredTLVs: UInt32 = 0
  var tensors: UInt64 = 0
  var requiredTensors: UInt64 = 0

  /// The layout of a message with this header, which has been checked.
  init(_ header: MessageHeader) {
    switch header.kind {
    case .hello:
      requiredTLVs = tlvSet(.versionRange, .role, .limits)
      tlvs = requiredTLVs | tlvSet(.features, .peerID, .bootID, .build, .slots, .bundle)
    case .welcome:
      requiredTLVs = tlvSet(.version, .role, .intervals, .limits)
      tlvs = requiredTLVs | tlvSet(.features, .peerID, .bootID, .build, .bundle)
    case .reject: tlvs = tlvSet(.versionRange, .retryAfter, .detail)
    case .credit:
      requiredTLVs = TLVKind.creditTotal.bit
      tlvs = requiredTLVs
    case .drain, .bye: tlvs = TLVKind.detail.bit
    case .ping, .pong, .cancel, .ack, .status: break
    case .request:
      requiredTLVs = tlvSet(.count, .mode)
      tlvs = requiredTLVs | TLVKind.userID.bit
      if header.stage == .none || header.stage == .encoder {
        tlvs |= tlvSet(.retrieve, .exclusion)
        tensors =
          TensorID.requestItems.bit | TensorID.requestCandidates.bit | TensorID.requestExclude.bit
          | TensorID.requestAllow.bit
      }
    case .input, .partial:
      switch (header.stream, header.kind, header.stage) {
      case (.candidates, _, _):
        requiredTLVs = TLVKind.itemsTotal.bit
        tlvs = requiredTLVs
        requiredTensors = TensorID.candidateIDs.bit | TensorID.candidatePrior.bit
        tensors = requiredTensors
      case (.ranking, _, _):
        requiredTLVs = tlvSet(.itemsSeen, .itemsTotal)
        tlvs = requiredTLVs
        requiredTensors = TensorID.rankingItems.bit | TensorID.rankingScores.bit
        tensors = requiredTensors | TensorID.rankingTitles.bit
      case (_, .partial, .encoder), (_, .input, .aligner):
        requiredTensors = TensorID.userVector.bit | TensorID.history.bit
        tensors = requiredTensors | TensorID.subjectItems.bit
      default:
        requiredTensors =
          TensorID.tokenIDs.bit | TensorID.softTokens.bit | TensorID.softPositions.bit | TensorID.slotPositions.bit
        tensors = requiredTensors
      }
    case .end:
      tlvs = tlvSet(.timing, .retryAfter, .detail, .itemsSeen, .itemsTotal)
      tensors = TensorID.rankingItems.bit | TensorID.rankingScores.bit | TensorID.rankingTitles.bit
    case .report:
      requiredTensors = TensorID.report.bit
      tensors = requiredTensors
    }
  }

  private func tlvSet(_ kinds: TLVKind...) -> UInt32 {
    kinds.reduce(0) { $0 | $1.bit }
  }
}
