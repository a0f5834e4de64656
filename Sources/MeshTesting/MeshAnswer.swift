public import GLTP

/// A request that a mesh's client was asked for.
public struct RankHandle: Sendable, Hashable {
  /// The index of the client that asked.
  public let client: Int
  /// The request's name on every hop.
  public let id: RequestID
}

/// What a client's application has been told of a request.
public struct MeshAnswer: Sendable {
  /// One ranking that came before the last word.
  public struct Snapshot: Sendable, Hashable {
    /// When the application was told.
    public var time: MonotonicTime
    /// The ranking, best first.
    public var chunk: MeshChunk
    /// Whether it is by prior alone.
    public var isProvisional: Bool
  }

  /// When the client was asked.
  public var askedAt: MonotonicTime
  /// All rankings before the last word, in the order of their coming.
  public var snapshots: [Snapshot] = []
  /// The last word, once it has been said.
  public var outcome: RankOutcome<MeshChunk>?
  /// When the last word was said; nil until then.
  public var endedAt: MonotonicTime?
  /// How often a last word was said: never more than once.
  public var completions = 0

  /// The final ranking.
  public var ranking: [String]? {
    if case .ranked(let chunk, _)? = outcome { chunk.items } else { nil }
  }

  /// Why there is no final ranking; nil where there is one, or no answer yet.
  public var failure: RankFailure<MeshChunk>? {
    if case .failed(let failure)? = outcome { failure } else { nil }
  }

  /// OK, or the failure's status; nil while there is no answer, or where the client has no status to give.
  public var status: Status? {
    switch outcome {
    case .ranked?: .ok
    case .failed(let failure)?: failure.status
    case nil: nil
    }
  }

  /// Time from question to answer.
  public var elapsed: MonotonicDuration? { endedAt.map { $0.since(askedAt) } }
}

extension InMemoryMesh {
  /// Asks for a ranking; it comes as time moves.
  public mutating func rank(
    user: String = "ann", count: Int = 10, deadline: MonotonicDuration = .seconds(10), stream: Bool = true,
    priority: Priority = .normal, bundle: BundlePrefix = .none, from client: Int = 0
  ) -> RankHandle {
    let id = RequestID(high: 0x7E57, low: nextRequest)
    nextRequest += 1
    let handle = RankHandle(client: client, id: id)
    answers[handle] = MeshAnswer(askedAt: now)
    let call = RankCall(
      id: id, request: RankRequest(userID: WireText(user), count: UInt32(count)), budget: deadline,
      priority: priority, flags: stream ? .stream : [], bundle: bundle)
    tell(.client(client), client: .rank(call))
    return handle
  }

  /// The client's application loses interest in a request.
  public mutating func cancel(_ handle: RankHandle) { tell(.client(handle.client), client: .cancel(handle.id)) }

  /// What is known of a request by now.
  public func answer(_ handle: RankHandle) -> MeshAnswer { answers[handle] ?? MeshAnswer(askedAt: now) }

  /// Lets time pass until a request is answered, at most `limit`.
  @discardableResult
  public mutating func finish(_ handle: RankHandle, within limit: MonotonicDuration = .seconds(700)) -> MeshAnswer {
    let end = now + limit
    while answer(handle).outcome == nil, step(until: end) {}
    return answer(handle)
  }

  /// Lets time pass until a condition holds, at most `limit`. Returns whether it does.
  @discardableResult
  public mutating func advance(
    within limit: MonotonicDuration = .seconds(700), until condition: (InMemoryMesh) -> Bool
  ) -> Bool {
    let end = now + limit
    while !condition(self) {
      guard step(until: end) else { return condition(self) }
    }
    return true
  }

  /// Lets time pass until all requests are answered and nothing of them is left, at most `limit`.
  @discardableResult
  public mutating func settle(within limit: MonotonicDuration = .seconds(700)) -> Bool {
    advance(within: limit) { $0.isIdle }
  }
}
