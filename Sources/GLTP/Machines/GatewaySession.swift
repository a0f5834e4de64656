/// One side of a session as the gateway keeps it, client or worker.
struct GatewaySession: Sendable {
  /// 0 while the slot is free.
  var id: UInt64 = 0
  var peer = PeerID(.clients, 0)
  var role = Role.client
  var name: WireText?
  var build: WireText?
  var version = ProtocolVersion.current
  /// A worker process; sessions of workers that do not say are all different.
  var process = BootID(high: 0, low: 0)
  /// Chunks that the peer takes without ACK.
  var window = StreamSender.defaultWindow
  var liveness = Liveness(heartbeat: .seconds(2), expiry: .seconds(6), now: .zero)
  var openedAt = MonotonicTime.zero
  var isDraining = false
  var strikes = Strikes()

  /// First run of a worker, first request of a client; -1 where there is none. The others follow in a list.
  var first: Int32 = -1
  /// Length of that list.
  var count = 0

  // Workers only
  var bundles = ContiguousArray<Int>()
  var slots: UInt32 = 0
  /// REQUESTs that we may have sent in this session, and those that we have.
  var creditTotal: UInt64 = 0
  var requestsSent: UInt64 = 0
  /// REQUESTs sent without an END yet, late ones included: they keep the worker busy all the same.
  var inFlight = 0
  /// When it last got a REQUEST, by count: ties go round.
  var turn: UInt64 = 0
  var report: StatusReport?
  var reportedAt = MonotonicTime.zero
  var owesReport = false

  var hasCredit: Bool { requestsSent < creditTotal }
  var load: WorkerLoad { WorkerLoad(inFlight: UInt64(inFlight), slots: UInt64(slots), turn: turn) }
}

/// How busy a worker is: in flight per slot, then who had the last turn longest ago.
struct WorkerLoad: Sendable, Comparable {
  var inFlight: UInt64
  var slots: UInt64
  var turn: UInt64

  static func < (a: WorkerLoad, b: WorkerLoad) -> Bool {
    let left = a.inFlight.multipliedFullWidth(by: b.slots)
    let right = b.inFlight.multipliedFullWidth(by: a.slots)
    if left.high != right.high { return left.high < right.high }
    return left.low == right.low ? a.turn < b.turn : left.low < right.low
  }

  static func == (a: WorkerLoad, b: WorkerLoad) -> Bool { !(a < b) && !(b < a) }
}

/// The damage that a peer has done lately (gltp-1.md 8.1).
struct Strikes: Sendable {
  private var last: MonotonicTime?
  private var lastButOne: MonotonicTime?

  /// Whether this is the third within a minute.
  mutating func note(_ now: MonotonicTime) -> Bool {
    let isThird = lastButOne.map { now.since($0) < .seconds(60) } ?? false
    lastButOne = last
    last = now
    return isThird
  }
}
