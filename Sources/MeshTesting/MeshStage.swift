public import GLTP

/// A chunk that a run has been given.
public struct StageInput: Sendable, Hashable {
  /// The input stream that it came by.
  public var stream: StreamKind
  /// What came.
  public var chunk: MeshChunk
  /// Whether it is the last of its stream.
  public var isFinal: Bool
}

/// What a stage of a mesh in memory is asked to compute: one chunk, or for an encoder the request.
public struct StageCall: Sendable {
  /// The run as the worker's machine has started it.
  public var start: RunStart
  /// All chunks that the run was given, the one at hand last. Empty for an encoder.
  public var inputs: [StageInput]
  /// The process that computes.
  public var process: MeshProcess

  /// The chunk at hand; nil for an encoder.
  public var input: StageInput? { inputs.last }

  /// The chunks of a stream.
  public func chunks(_ stream: StreamKind) -> [MeshChunk] { inputs.filter { $0.stream == stream }.map(\.chunk) }

  /// Whether a stream is complete.
  public func isFinal(_ stream: StreamKind) -> Bool { inputs.contains { $0.stream == stream && $0.isFinal } }
}

/// A step of a simulated computation.
public enum StageStep: Sendable {
  /// Compute for a while.
  case work(MonotonicDuration)
  /// Give a chunk to its stream, with FINAL or PROVISIONAL.
  case output(StreamKind, MeshChunk, MessageFlags)
  /// The run is done; a ranker gives its final ranking.
  case finish(MeshChunk?)
  /// The run ends with a status that is not OK.
  case fail(RunFailure)
  /// Never come back.
  case hang
}

/// A stage as a function of what it has been given: the steps for the chunk at hand.
public typealias MeshStage = @Sendable (StageCall) -> [StageStep]

/// The stages of a mesh.
public struct MeshStages: Sendable {
  /// Computes all of a run at once, from the request.
  public var encoder: MeshStage
  /// Computes when the instruction's input is there.
  public var aligner: MeshStage
  /// Computes with each chunk of candidates, and with the prompt.
  public var ranker: MeshStage

  /// One function a stage.
  public init(encoder: @escaping MeshStage, aligner: @escaping MeshStage, ranker: @escaping MeshStage) {
    self.encoder = encoder
    self.aligner = aligner
    self.ranker = ranker
  }

  subscript(stage: Stage) -> MeshStage? {
    switch stage {
    case .none: nil
    case .encoder: encoder
    case .aligner: aligner
    case .ranker: ranker
    }
  }
}

/// A small catalogue and stages that rank it: the ranking depends on the user alone, so a test knows the answer.
public struct StandardStages: Sendable {
  /// Items of the catalogue.
  public var items = 100
  /// Candidates in a chunk.
  public var chunk = 20
  /// Time that each chunk of a stage takes.
  public var encoderTime = MonotonicDuration.milliseconds(1)
  /// Time that the aligner's one chunk takes.
  public var alignerTime = MonotonicDuration.milliseconds(2)
  /// Time that each snapshot of the ranker takes.
  public var rankerTime = MonotonicDuration.milliseconds(5)

  /// 100 items in five chunks, a few milliseconds a stage.
  public init() {}

  /// `item 0`, `item 1`, ..., as many as `items`.
  public var catalogue: [String] { (0..<items).map { "item \($0)" } }

  /// What a user who is ranked to the end is shown.
  public func ranking(user: String, count: Int) -> [String] {
    StandardStages.best(catalogue, for: user, count: count)
  }

  /// What a user is shown of some candidates by prior alone.
  public func prior(_ candidates: [String], count: Int) -> [String] {
    StandardStages.best(candidates, for: "everybody", count: count)
  }

  /// The stages as functions, with the sizes and times of now.
  public var stages: MeshStages {
    MeshStages(encoder: { encode($0) }, aligner: { align($0) }, ranker: { rank($0) })
  }

  private func encode(_ call: StageCall) -> [StageStep] {
    guard case .encode(let request) = call.start.request else { return [.fail(RunFailure(.badRequest))] }
    guard let user = request.userID?.string, user != "nobody" else {
      return [.fail(RunFailure(.unknownUser, detail: "the data set has no such user"))]
    }
    var steps: [StageStep] = [.work(encoderTime), .output(.instruction, MeshChunk([user]), .final)]
    let catalogue = catalogue
    let chunks = (items + chunk - 1) / chunk
    for number in 0..<chunks {
      let part = Array(catalogue[number * chunk..<min(items, (number + 1) * chunk)])
      steps += [
        .work(encoderTime),
        .output(.candidates, MeshChunk(part, itemsTotal: items), number == chunks - 1 ? .final : []),
      ]
    }
    return steps + [.finish(nil)]
  }

  private func align(_ call: StageCall) -> [StageStep] {
    [.work(alignerTime), .output(.instruction, call.input?.chunk ?? MeshChunk([]), .final), .finish(nil)]
  }

  private func rank(_ call: StageCall) -> [StageStep] {
    guard case .streams(let request) = call.start.request, let input = call.input else { return [] }
    let count = Int(request.count)
    let chunks = call.chunks(.candidates)
    var steps: [StageStep] = []
    func output(_ upTo: Int, user: String?) -> StageStep {
      let seen = chunks.prefix(upTo).flatMap(\.items)
      let best = StandardStages.best(seen, for: user ?? "everybody", count: count)
      let ranking = MeshChunk(best, itemsSeen: seen.count, itemsTotal: chunks.first?.itemsTotal ?? 0)
      return .output(.ranking, ranking, user == nil ? .provisional : [])
    }
    if input.stream == .candidates, chunks.count == 1, call.start.wantsProvisional {
      steps.append(output(1, user: nil))
    }
    guard let user = call.chunks(.instruction).first?.items.first else { return steps }
    for number in (input.stream == .instruction ? 0 : chunks.count - 1)..<chunks.count {
      steps += [.work(rankerTime), output(number + 1, user: user)]
    }
    if call.isFinal(.candidates), case .output(_, let final, _) = output(chunks.count, user: user) {
      steps.append(.finish(final))
    }
    return steps
  }

  /// Items by a score that is the same everywhere: FNV-1a of user and item.
  private static func best(_ items: [String], for user: String, count: Int) -> [String] {
    func score(_ item: String) -> UInt64 {
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in "\(user)/\(item)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      return hash ^ hash >> 29
    }
    return Array(items.map { (score($0), $0) }.sorted { $0 > $1 }.prefix(count).map(\.1))
  }
}
