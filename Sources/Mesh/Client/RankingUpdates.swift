import GLTP

/// The rankings of a query, each better than the one before it.
struct RankingUpdates: AsyncSequence, Sendable {
  typealias Element = RankingUpdate
  typealias Failure = MeshError

  let runtime: ClientRuntime
  let query: RankingQuery
  let options: RankOptions

  func makeAsyncIterator() -> Iterator { Iterator(runtime: runtime, query: query, options: options) }

  struct Iterator: AsyncIteratorProtocol {
    typealias Element = RankingUpdate
    typealias Failure = MeshError

    private enum State {
      case created(RankingQuery, RankOptions)
      case running(RunningRequest)
      case over
    }

    private let runtime: ClientRuntime
    private var state: State

    init(runtime: ClientRuntime, query: RankingQuery, options: RankOptions) {
      self.runtime = runtime
      state = .created(query, options)
    }

    mutating func next() async throws(MeshError) -> RankingUpdate? {
      if case .created(let query, let options) = state {
        state = .over
        state = .running(try RunningRequest(runtime, query, options))
      }
      guard case .running(let request) = state else { return nil }
      do throws(MeshError) {
        let update = try await request.next()
        if update.isFinal { state = .over }
        return update
      } catch {
        state = .over
        throw error
      }
    }

    mutating func next(isolation actor: isolated (any Actor)?) async throws(MeshError) -> RankingUpdate? {
      try await next()
    }
  }
}

/// A request under way; letting go of it cancels it.
final class RunningRequest: Sendable {
  private let runtime: ClientRuntime
  private let ticket: RequestTicket

  init(_ runtime: ClientRuntime, _ query: RankingQuery, _ options: RankOptions) throws(MeshError) {
    let request = try query.request(runtime.buffers)
    guard options.deadline > .zero else {
      throw MeshError(.deadline, "a deadline of \(options.deadline) is over before the request is sent")
    }
    self.runtime = runtime
    ticket = RequestTicket(id: .next())
    let call = RankCall(
      id: ticket.id, request: request, budget: MonotonicDuration(options.deadline), priority: options.priority,
      flags: options.flags, bundle: options.bundle?.prefix ?? .none)
    try runtime.post(.rank(call, ticket))
  }

  deinit {
    if !ticket.isOver { runtime.cancel(ticket.id) }
  }

  /// The next ranking.
  func next() async throws(MeshError) -> RankingUpdate {
    let step = await withTaskCancellationHandler {
      await ticket.next()
    } onCancel: {
      // The task does not wait for the mesh to hear of it.
      ticket.giveUp(.cancelled, "the task was cancelled")
      runtime.cancel(ticket.id)
    }
    switch step {
    case .snapshot(let snapshot, let isProvisional):
      return RankingUpdate(ranking: Ranking(snapshot), isProvisional: isProvisional, isFinal: false)
    case .ranked(let snapshot, let end):
      var ranking = Ranking(snapshot)
      for stage in Stage.allCases { ranking.timings[stage] = end[timing: stage] }
      return RankingUpdate(ranking: ranking, isProvisional: false, isFinal: true)
    case .failed(let failure): throw ticket.error(failure)
    }
  }
}
