import GLTP
import Logging

/// The keys of what a gateway logs.
enum GatewayLogKey {
  static let session = "session"
  static let role = "role"
  static let peer = "peer"
  static let name = "name"
  static let status = "status"
  static let reason = "reason"
  static let request = "request_id"
  static let stage = "stage"
  static let attempt = "attempt"
  static let milliseconds = "ms"
  static let bundle = "bundle"
  static let endpoint = "endpoint"
  static let suppressed = "suppressed"
}

/// Lets one line a minute through and counts the others.
struct LogGate {
  private var next = MonotonicTime.zero
  private var suppressed = 0

  /// How many lines were held back since the last one, if a line may be written now; else nil.
  mutating func pass(_ now: MonotonicTime) -> Int? {
    guard now >= next else {
      suppressed += 1
      return nil
    }
    next = now + .seconds(60)
    defer { suppressed = 0 }
    return suppressed
  }
}

extension Logger {
  typealias Key = GatewayLogKey

  /// Writes what the state machine has noted: sessions at info, requests at debug, runs at trace.
  func note(_ note: GatewayNote) {
    switch note {
    case .helloRejected(let peer, let role, let status):
      info(
        "refused a peer's HELLO",
        metadata: [Key.peer: "\(peer)", Key.role: "\(role)", Key.status: "\(status)"])
    case .sessionOpened(let session, let role, let name, let peer):
      info(
        "session opened",
        metadata: [
          Key.session: "\(session)", Key.role: "\(role)", Key.name: "\(logText(name))", Key.peer: "\(peer)",
        ])
    case .sessionEnded(let session, let role, let name, let end):
      info(
        "session ended",
        metadata: [
          Key.session: "\(session)", Key.role: "\(role)", Key.name: "\(logText(name))", Key.reason: "\(end)",
        ])
    case .blamed(let session, let request):
      info("a session made a damaged chunk", metadata: [Key.session: "\(session)", Key.request: "\(request)"])
    case .currentBundle(let bundle): info("bundle is current", metadata: [Key.bundle: "\(bundle)"])
    case .retried(let request, let stage, let cause, let isRestart):
      debug(
        isRestart ? "request starts again" : "run is replaced",
        metadata: [
          Key.request: "\(request)", Key.stage: "\(stage)", Key.reason: "\(cause.map { "\($0)" } ?? "session lost")",
        ])
    case .requestEnded(let request, let session, let status, let duration, _):
      debug(
        "request ended",
        metadata: [
          Key.request: "\(request)", Key.session: "\(session)", Key.status: "\(status)",
          Key.milliseconds: "\(duration.wholeMilliseconds)",
        ])
    case .runEnded(let request, let stage, let attempt, let session, let status, let duration, _, _):
      trace(
        "run ended",
        metadata: [
          Key.request: "\(request)", Key.stage: "\(stage)", Key.attempt: "\(attempt)", Key.session: "\(session)",
          Key.status: "\(status)", Key.milliseconds: "\(duration.wholeMilliseconds)",
        ])
    }
  }
}

/// A peer's text for a log: what could be mistaken for another line or a command to a terminal is replaced.
private func logText(_ text: WireText?) -> String {
  guard let text else { return "" }
  var safe = ""
  for scalar in text.string.unicodeScalars {
    let isPlain = scalar.value >= 0x20 && !(0x7F..<0xA0).contains(scalar.value)
    safe.unicodeScalars.append(isPlain ? scalar : "?")
  }
  return safe
}
