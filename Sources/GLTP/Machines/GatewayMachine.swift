/// What a gateway decides: sessions, requests, runs, credits, windows, retries (gltp-1.md 6, 7, 10.2, 10.3).
///
/// A value without I/O. A runtime feeds it events with the time of a clock that never goes back, carries out the actions
/// in their order, and comes back with `timer` at `nextTimer`. Payloads pass through unopened. Nothing that a peer sends
/// traps, and everything that a peer can make it remember has a bound in the configuration.
///
/// Tables are arrays of reused slots, linked by index; in steady state an event costs O(log n) and allocates nothing.
public struct GatewayMachine<Payload: ChunkPayload>: Sendable {
  typealias Action = GatewayAction<Payload>

  /// What the machine was made with; fixed for its life.
  public let configuration: GatewayConfiguration
  /// What the gateway has counted since the machine was made.
  public internal(set) var counters = GatewayCounters()

  /// The time of the event at hand, and its actions.
  var now = MonotonicTime.zero
  var actions: [Action] = []

  // Sessions
  var sessions = ContiguousArray<GatewaySession>()
  var sessionSlots = SlotAllocator()
  var sessionsByPeer: [PeerID: Int] = [:]
  var sessionsByID: [UInt64: Int] = [:]
  var sessionTimers = IndexedHeap<MonotonicTime>()
  var nextSessionID: UInt64
  var clientCount = 0
  var workerCount = 0
  /// When peers without session were answered last.
  var strangers: [PeerID: MonotonicTime] = [:]
  var strangerQueue = Fifo<(peer: PeerID, time: MonotonicTime)>()

  // Workers
  var bundles = ContiguousArray<GatewayBundle?>()
  var bundlesByPrefix: [BundlePrefix: Int] = [:]
  var bundlesMet: UInt64 = 0
  var currentBundle: Int?
  var stages: ContiguousArray<GatewayStage> = [GatewayStage(), GatewayStage(), GatewayStage()]
  var turns: UInt64 = 0

  // Requests
  var requests = ContiguousArray<GatewayRequest>()
  /// One for each slot of `requests`. Apart, because reading a field of a generic value costs a copy of all of it.
  var chunks = ContiguousArray<RequestChunks<Payload>>()
  /// Three for each slot of `requests`: encoder, aligner, ranker.
  var runs = ContiguousArray<GatewayRun>()
  var requestSlots = SlotAllocator()
  var requestsByID: [RequestID: Int] = [:]
  var requestTimers = IndexedHeap<MonotonicTime>()
  var requestNumber: UInt64 = 0
  /// Requests with a run that waits, the one to give up first in front.
  var queue = IndexedHeap<ReversedQueueKey>()
  var heldBytes = 0
  var done: [RequestID: DoneRequest] = [:]
  var doneQueue = Fifo<(id: RequestID, number: UInt64, time: MonotonicTime)>()
  var tickets: UInt64 = 0
  var verifications: [UInt64: Int] = [:]
  /// Retries that all requests together may take, in tenths. Full at first, or a small mesh could not retry at all.
  var retryTenths = 1000

  // STATUS
  var statuses: [PendingStatus] = []
  var reportsOwed = 0
  var reportsExpire = MonotonicTime.distantFuture

  var isDraining = false
  var hasDrained = false

  /// A gateway without sessions. A `firstSessionID` of 0 counts as 1, since 0 means no session on the wire.
  @_specialize(where Payload == MessageHandle)
  public init(configuration: GatewayConfiguration = GatewayConfiguration()) {
    self.configuration = configuration
    nextSessionID = max(configuration.firstSessionID, 1)
  }

  /// Takes one event.
  ///
  /// - Parameters:
  ///   - now: never before that of an earlier event.
  ///   - actions: what is to be done is appended. Keep the array, emptied, for the next event.
  @_specialize(where Payload == MessageHandle)
  public mutating func handle(
    _ event: GatewayEvent<Payload>, now: MonotonicTime, into actions: inout [GatewayAction<Payload>]
  ) {
    swap(&actions, &self.actions)
    self.now = max(self.now, now)
    switch event {
    case .received(let message, let peer, let role): receive(message, from: peer, authenticatedAs: role)
    case .refused(let consequence, let header, let peer): refuse(consequence, header, from: peer)
    case .disconnected(let peer): disconnect(peer)
    case .verified(let ticket, let isIntact): verified(ticket, isIntact)
    case .timer: fireTimers()
    case .drain: drain()
    }
    if isDraining, !hasDrained, requestsByID.isEmpty { finishDraining() }
    swap(&actions, &self.actions)
  }

  /// The slot of a request's run of a stage.
  static func run(_ request: Int, _ stage: Stage) -> Int { 3 * request + Int(stage.rawValue) - 1 }
  static func request(_ run: Int) -> Int { run / 3 }
  static func stage(_ run: Int) -> Stage { Stage(rawValue: UInt8(run % 3 + 1)) ?? .none }
  static func pool(_ stage: Stage) -> Int { Int(stage.rawValue) - 1 }
}
