import GLTP
import Synchronization

/// One request between the task that waits for it and the I/O thread. Holds the newest ranking only: a task that is slow
/// skips those between.
final class RequestTicket: Sendable {
  enum Step: Sendable {
    case snapshot(RankingSnapshot, isProvisional: Bool)
    case ranked(RankingSnapshot, RunEnd)
    case failed(RankFailure<RankingSnapshot>)
  }

  private struct State {
    var newest: (ranking: RankingSnapshot, isProvisional: Bool)?
    var hasNews = false
    var hasSnapshots = false
    var outcome: RankOutcome<RankingSnapshot>?
    var waiter: CheckedContinuation<Step, Never>?
    var gateway: String?
  }

  let id: RequestID
  private let state = Mutex(State())

  init(id: RequestID) { self.id = id }

  // MARK: For the I/O thread

  func sent(to gateway: String) { state.withLock { $0.gateway = gateway } }

  func take(_ ranking: RankingSnapshot, isProvisional: Bool) {
    advance { state in
      guard state.outcome == nil else { return }
      state.newest = (ranking, isProvisional)
      state.hasNews = true
      state.hasSnapshots = true
    }
  }

  /// Sets the outcome, unless there is one. From any thread.
  func finish(_ outcome: RankOutcome<RankingSnapshot>) {
    advance { state in
      guard state.outcome == nil else { return }
      state.outcome = outcome
      // The final word is there: what came before it need not be looked at any more.
      state.hasNews = false
    }
  }

  /// The request's end without a gateway's doing.
  func giveUp(_ cause: RankFailure<RankingSnapshot>.Cause, _ detail: String) {
    let newest = state.withLock { $0.newest }
    finish(
      .failed(
        RankFailure(
          cause: cause, status: cause == .cancelled ? .cancelled : nil, detail: detail,
          newest: newest?.ranking, isProvisional: newest?.isProvisional ?? false)))
  }

  /// Whether the request is over.
  var isOver: Bool { state.withLock { $0.outcome != nil } }

  private func advance(_ body: (inout State) -> Void) {
    let (waiter, step) = state.withLock { state -> (CheckedContinuation<Step, Never>?, Step?) in
      body(&state)
      guard let waiter = state.waiter, let step = RequestTicket.step(&state) else { return (nil, nil) }
      state.waiter = nil
      return (waiter, step)
    }
    if let waiter, let step { waiter.resume(returning: step) }
  }

  // MARK: For the task

  /// What comes next, once it is there. For one task at a time.
  func next() async -> Step {
    await withCheckedContinuation { continuation in
      let step = state.withLock { state -> Step? in
        if let step = RequestTicket.step(&state) { return step }
        state.waiter = continuation
        return nil
      }
      if let step { continuation.resume(returning: step) }
    }
  }

  private static func step(_ state: inout State) -> Step? {
    if state.hasNews, let newest = state.newest {
      state.hasNews = false
      return .snapshot(newest.ranking, isProvisional: newest.isProvisional)
    }
    switch state.outcome {
    case .ranked(let chunk, let end)?: return .ranked(chunk, end)
    case .failed(let failure)?: return .failed(failure)
    case nil: return nil
    }
  }

  // MARK: What went wrong

  func error(_ failure: RankFailure<RankingSnapshot>) -> MeshError {
    let (gateway, hasSnapshots) = state.withLock { ($0.gateway, $0.hasSnapshots) }
    let stage: RequestFailure.State =
      switch failure.cause {
      case .ended: .ended
      case .unreachable: .connecting
      default: gateway == nil ? .connecting : hasSnapshots ? .streaming : .sent
      }
    let report = RequestFailure(
      request: id, state: stage, gateway: gateway, status: failure.status, gateways: failure.gateways,
      best: failure.newest.map { Ranking($0) }, isProvisional: failure.isProvisional,
      retryAfter: failure.retryAfterMilliseconds.map { .milliseconds(Int64($0)) })
    let place = gateway.map { " at \($0)" } ?? ""
    let history = failure.gateways.isEmpty ? "" : " (\(failure.gateways.map(\.description).joined(separator: "; ")))"
    let best = report.best.map { "; the best ranking so far has seen \($0.itemsSeen) candidates" } ?? ""
    let text: String
    let code: MeshError.Code
    var hint: String?
    switch failure.cause {
    case .unreachable:
      (code, text) = (.unreachable, failure.detail)
      hint = "is a gateway running there? `glta up --bundle DIR` starts a mesh"
    case .ended where failure.status == .deadline:
      (code, text) = (.deadline, "the request's time was over\(place): \(failure.detail)\(best)")
      hint = "give it more time"
    case .ended:
      let status = failure.status?.description ?? "an unknown status"
      (code, text) = (.refused, "the request ended with \(status)\(place): \(failure.detail)")
    case .lost: (code, text) = (.lost, "the request was lost \(failure.gateways.count) times\(history)\(best)")
    case .deadline:
      (code, text) = (.deadline, "no answer\(place) within the deadline, \(stage.rawValue)\(history)\(best)")
      hint = "give it more time"
    case .cancelled: (code, text) = (.cancelled, "cancelled\(place), \(stage.rawValue)\(best)")
    case .closed: (code, text) = (.closed, "the client was closed while the request was under way\(place)")
    }
    return MeshError(code, text, hint: hint, failure: report)
  }
}
