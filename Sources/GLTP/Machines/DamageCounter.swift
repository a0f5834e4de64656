/// Damaged messages that nobody but the peer at the other end can have made: the third within a minute ends the session
/// (gltp-1.md 8.1).
struct DamageCounter: Sendable {
  private var recent: [(link: LinkID, time: MonotonicTime)] = []

  /// Takes note of one. Returns whether it was one too many.
  mutating func note(_ link: LinkID, _ now: MonotonicTime) -> Bool {
    recent.removeAll { now.since($0.time) >= .seconds(60) }
    recent.append((link, now))
    guard recent.count(where: { $0.link == link }) >= 3 else { return false }
    recent.removeAll { $0.link == link }
    return true
  }
}
