/// What of a worker's slots lies with one session (gltp-1.md 6.7).
struct WorkerCredit: Sendable, Hashable {
  let link: LinkID
  /// REQUESTs allowed since WELCOME, all in all.
  private(set) var total: UInt64 = 0
  /// REQUESTs received since WELCOME.
  private(set) var used: UInt64 = 0
  /// Runs whose computation has not let go.
  private(set) var running = 0
  /// What the gateway was last told.
  private(set) var announced: UInt64 = 0
  /// Counts grants, so that ties go round.
  fileprivate(set) var lastGrant: UInt64 = 0

  init(_ link: LinkID) { self.link = link }

  /// REQUESTs that may come at any moment.
  var outstanding: Int { Int(clamping: total - used) }
  var held: Int { outstanding + running }

  /// Takes note of a REQUEST.
  ///
  /// - Returns: false where there was no credit for it.
  mutating func use() -> Bool {
    guard used < total else { return false }
    used += 1
    running += 1
    return true
  }

  /// A run has let go of its slot.
  mutating func release() { running -= 1 }

  fileprivate mutating func grant(_ count: UInt64, turn: UInt64) {
    total += count
    lastGrant = turn
  }

  /// The total to send, if it has grown.
  mutating func announcement() -> UInt64? {
    guard total > announced else { return nil }
    announced = total
    return total
  }
}

/// A worker's slots, split over its gateways.
///
/// Credit cannot be taken back, so it is given out late: each session has one slot at least, and more only while it uses
/// them. What nobody uses waits here, ready for whoever asks. A worker with one gateway gives it all.
struct WorkerCredits: Sendable {
  let slots: Int
  private(set) var sessions: [WorkerCredit] = []
  private var turn: UInt64 = 0

  init(slots: Int) { self.slots = max(slots, 1) }

  var total: UInt64 { sessions.reduce(0) { $0 + $1.total } }

  mutating func open(_ link: LinkID) {
    close(link)
    sessions.append(WorkerCredit(link))
  }

  mutating func close(_ link: LinkID) { sessions.removeAll { $0.link == link } }

  /// Takes note of a REQUEST; false where there was no credit for it.
  mutating func use(_ link: LinkID) -> Bool {
    guard let index = sessions.firstIndex(where: { $0.link == link }) else { return false }
    return sessions[index].use()
  }

  mutating func release(_ link: LinkID) {
    guard let index = sessions.firstIndex(where: { $0.link == link }) else { return }
    sessions[index].release()
  }

  /// Gives out free slots.
  ///
  /// - Parameter orphans: runs of lost sessions that computation has not let go of.
  mutating func settle(orphans: Int) {
    var free = slots - orphans
    for session in sessions { free -= session.held }
    for index in sessions.indices where sessions[index].held == 0 {
      grant(index, 1)
      free -= 1
    }
    if sessions.count == 1, free > 0 {
      grant(0, UInt64(free))
      return
    }
    while free > 0, let index = hungriest {
      grant(index, 1)
      free -= 1
    }
  }

  /// Of the sessions that have less credit left than runs, the one with least credit left, then fewest runs, in turn.
  private var hungriest: Int? {
    func rank(_ index: Int) -> (Int, Int, UInt64) {
      (sessions[index].outstanding, sessions[index].running, sessions[index].lastGrant)
    }
    return sessions.indices.lazy.filter { sessions[$0].outstanding < max(1, sessions[$0].running) }
      .min { rank($0) < rank($1) }
  }

  private mutating func grant(_ index: Int, _ count: UInt64) {
    turn += 1
    sessions[index].grant(count, turn: turn)
  }

  /// A session's total that has grown since it was last announced; nil where there is none left.
  mutating func nextAnnouncement() -> (link: LinkID, total: UInt64)? {
    for index in sessions.indices {
      if let total = sessions[index].announcement() { return (sessions[index].link, total) }
    }
    return nil
  }
}
