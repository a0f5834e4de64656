public import GLTP
public import Mesh
import RankingStages
import Tensors
import TokenAlignment

/// The graph encoder as a service: from a client's request to the instruction's input and the candidates.
public struct GraphEncoderService: StageHandler {
  /// Candidates of one chunk: small enough that the ranker's first scores come early.
  static let candidatesPerChunk = 1_000

  /// Always `.encoder`.
  public var stage: Stage { .encoder }
  /// The bundle that it serves.
  public var bundle: BundleHash { served.hash }
  let served: ServedBundle
  let encoder: GraphEncoderStage

  /// Packs the bundle's graph for scoring.
  public init(_ served: ServedBundle) {
    self.served = served
    encoder = GraphEncoderStage(bundle: served.bundle)
  }

  /// Nothing is kept between runs.
  public func makeScratch() {}

  /// Encodes a request; the instruction's input goes first, so that the aligner works while candidates are found.
  public func run(_ exchange: some StageExchange, scratch: inout Void) throws(StageFailure) {
    guard case .rank(let request) = exchange.request else {
      throw StageFailure(.badRequest, "an encoder's run without a request")
    }
    let ranking = try RankingRequest(request, bundle: served)
    let subject = try StageFailure.converting { () throws(GLTAError) in try encoder.subject(of: ranking) }
    let buffers = exchange.buffers
    // Of a known user the aligner's bundle has the items, and tags that were written for the user alone.
    let input = InstructionInput(
      userVector: buffers.vector(.userVector, subject.view.vector),
      history: buffers.vector(.history, subject.view.history),
      subjectItems: subject.user == nil ? buffers.vector(.subjectItems, subject.items) : nil)
    try exchange.send(.instruction(input), isFinal: true, flags: [])
    let (candidates, prior) = try StageFailure.converting { () throws(GLTAError) in
      try encoder.candidates(for: ranking, subject)
    }
    let total = candidates.count
    for start in stride(from: 0, to: total, by: GraphEncoderService.candidatesPerChunk) {
      let end = min(total, start + GraphEncoderService.candidatesPerChunk)
      let chunk = CandidateChunk(
        ids: buffers.vector(.candidateIDs, candidates[start..<end]),
        prior: buffers.vector(.candidatePrior, prior[start..<end]), total: UInt32(total))
      try exchange.send(.candidates(chunk), isFinal: end == total, flags: [])
    }
    try exchange.end(nil)
  }
}
