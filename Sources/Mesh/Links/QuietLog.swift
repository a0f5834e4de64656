import Logging

/// Says things once a minute at most, each.
struct QuietLog {
  private var last: [String: MonotonicInstant] = [:]

  mutating func allows(_ what: String) -> Bool {
    let now = MonotonicInstant.now
    if let then = last[what], then.duration(to: now) < .seconds(60) { return false }
    if last.count >= 256 { last.removeAll() }
    last[what] = now
    return true
  }

  /// Says that an endpoint of `LinkEvent.failed` cannot be dialled.
  mutating func cannotDial(_ endpoint: Endpoint, _ error: MeshError, to logger: Logger) {
    guard allows("\(endpoint)") else { return }
    logger.warning("a gateway cannot be dialled", metadata: ["gateway": "\(endpoint)", "reason": "\(error)"])
  }
}
