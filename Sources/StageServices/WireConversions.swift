public import GLTP
public import LogitsMatching
import Mesh
import RankingStages
import Tensors
import TokenAlignment

// Wire tensors <-> stage values, each once.

extension StageFailure {
  /// A stage's error as a run's.
  init(_ error: GLTAError) {
    let status: Status =
      switch error.code {
      case .unknownUser: .unknownUser
      case .unknownItem: .unknownItem
      case .notEnoughItems: .notEnoughItems
      case .invalidArgument: .badRequest
      case .unsupported: .unsupported
      default: .internal
      }
    self.init(status, error.description)
  }

  /// Runs a stage's function.
  static func converting<Value>(_ body: () throws(GLTAError) -> Value) throws(StageFailure) -> Value {
    do throws(GLTAError) {
      return try body()
    } catch { throw StageFailure(error) }
  }

  /// Encodes something of ours that cannot break a rule unless we do.
  static func encoding<Value>(_ body: () throws(FrameError) -> Value) throws(StageFailure) -> Value {
    do throws(FrameError) {
      return try body()
    } catch { throw StageFailure(.internal, "cannot encode the result: \(error)") }
  }
}

extension PredictionMode {
  init(_ mode: RankingMode) {
    self =
      switch mode {
      case .slots: .slots
      case .first: .first
      case .autoregressive: .autoregressive
      }
  }
}

extension RankingMode {
  /// The wire's name of a mode.
  public init(_ mode: PredictionMode) {
    self =
      switch mode {
      case .slots: .slots
      case .first: .first
      case .autoregressive: .autoregressive
      }
  }
}

extension RankingRequest {
  /// A client's request in the bundle's dense indices.
  ///
  /// - Throws: `StageFailure` of UNKNOWN_USER, UNKNOWN_ITEM or BAD_REQUEST.
  init(_ request: RankRequest, bundle: ServedBundle) throws(StageFailure) {
    func indices(_ list: StringList?) throws(StageFailure) -> [Int32]? {
      guard let list else { return nil }
      var found: [Int32] = []
      found.reserveCapacity(list.count)
      for id in list.strings {
        guard let item = bundle.item(id) else {
          throw StageFailure(.unknownItem, "the catalogue has no item \"\(id)\"")
        }
        found.append(item)
      }
      return found
    }
    let subject: Subject
    if let items = try indices(request.items) {
      subject = .items(items)
    } else {
      let id = request.userID?.string ?? ""
      guard let user = bundle.user(id) else {
        throw StageFailure(.unknownUser, "the bundle has no user \"\(id)\"; somebody new is ranked for by items")
      }
      subject = .user(user)
    }
    let candidates: Candidates
    if let list = try indices(request.candidates) {
      candidates = .list(list)
    } else if let count = request.retrieve {
      candidates = .best(Int(count))
    } else {
      candidates = .automatic
    }
    self.init(
      subject: subject, count: Int(request.count), mode: PredictionMode(request.mode), candidates: candidates,
      exclusion: request.exclusion == .train ? .train : .trainAndValidation,
      exclude: try indices(request.exclude) ?? [], allow: try indices(request.allow))
  }
}

extension WireTensor {
  /// A bf16 tensor in memory of the stages'.
  func tensor(_ dtype: DType) -> Tensor {
    let result = Tensor(dtype, shape: (0..<shape.rank).map { shape[$0] })
    withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { result.storage.base.copyMemory(from: base, byteCount: bytes.count) }
    }
    return result
  }
}

extension Prompt {
  /// A prompt as it travels.
  init(_ prompt: AlignedPrompt, in buffers: BufferPool) {
    let soft = buffers.tensor(.softTokens, .bf16, WireShape(prompt.softTokens.shape[0], prompt.softTokens.shape[1]))
    soft.withUnsafeMutableBytes { $0.copyMemory(from: prompt.softTokens.bytes) }
    self.init(
      tokenIDs: buffers.vector(.tokenIDs, prompt.tokenIDs), softTokens: soft,
      softPositions: buffers.vector(.softPositions, prompt.softPositions),
      slotPositions: buffers.vector(.slotPositions, prompt.slotPositions))
  }

  /// The prompt as the ranker reads it; `LogitsRanking.read` checks that it fits the model.
  var aligned: AlignedPrompt {
    AlignedPrompt(
      tokenIDs: tokenIDs.array(), softTokens: softTokens.tensor(.bf16), softPositions: softPositions.array(),
      slotPositions: slotPositions.array())
  }
}
