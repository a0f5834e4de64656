import GLTP

/// Rankings through the state machines of a client, a gateway and three workers, which hand one another their messages
/// without transport and codec.
struct MachineLoad {
  private enum Delivery {
    case toGateway(PeerID, PeerMessage<MessageHandle>)
    case toWorker(Int, PeerMessage<MessageHandle>)
    case toClient(PeerMessage<RankingSnapshot>)
    case compute(Int, WorkerEvent<MessageHandle>)
  }

  private final class Bulk: Sendable {}

  private static let link = LinkID(rawValue: 1)
  private static let clientPeer = PeerID(.clients, 1)

  private var client = ClientMachine<RankingSnapshot>()
  private var gateway = GatewayMachine<MessageHandle>()
  private var workers: [WorkerMachine<MessageHandle>] = []
  private var clientActions: [ClientAction<RankingSnapshot>] = []
  private var gatewayActions: [GatewayAction<MessageHandle>] = []
  private var workerActions: [WorkerAction<MessageHandle>] = []
  private var deliveries: [Delivery] = []
  private var now = MonotonicTime(microseconds: 1_000_000)
  private var nextRequest: UInt64 = 1
  private var messages = 0
  private var answered = 0
  /// Chunks that the ranker's runs have, by slot of the run's number: two start it.
  private var received = [Int](repeating: 0, count: 64)

  private let pool = BufferPool()
  private let handle = MessageHandle(Bulk(), byteCount: 1_000)
  private let ranking: RankingSnapshot
  private var request = RankRequest(count: 10, mode: .slots)

  init() {
    let bundle = BundleHash(words: [1, 2, 3, 4])
    workers = [Role.encoder, .aligner, .ranker].map { role in
      WorkerMachine(WorkerConfiguration(role: role, bundles: [bundle], slots: 8))
    }
    let names: StringList
    do throws(FrameError) {
      names = try pool.strings(.rankingItems, ["a", "b"])
    } catch { fatalError("two names are a list: \(error)") }
    ranking = RankingSnapshot(
      items: names, scores: pool.vector(.rankingScores, [1, 2] as [Float]), itemsSeen: 2, itemsTotal: 2)
    request.userID = "u1"
    deliveries.reserveCapacity(1_024)
    connect()
  }

  static func measureOne() -> Steady {
    var load = MachineLoad()
    return load.measure()
  }

  private mutating func measure() -> Steady {
    // A gateway remembers requests for ten seconds, and its memory of them grows to twice what it holds.
    for _ in 0..<25_000 { rank() }
    answered = 0
    let steady = Steady.count {
      messages = 0
      for _ in 0..<5_000 { rank() }
      return messages
    }
    precondition(answered == 5_000, "\(answered) of 5,000 requests were answered")
    return steady
  }

  private mutating func connect() {
    client.handle(.added(MachineLoad.link, name: "gateway"), now: now, into: &clientActions)
    client.handle(.connected(MachineLoad.link), now: now, into: &clientActions)
    takeClientActions()
    for index in workers.indices {
      workers[index].handle(.added(MachineLoad.link, name: "gateway"), now: now, into: &workerActions)
      workers[index].handle(.connected(MachineLoad.link), now: now, into: &workerActions)
      takeWorkerActions(index)
    }
    deliver()
  }

  /// One request from its asking to its answer; a millisecond passes.
  private mutating func rank() {
    now = now + .milliseconds(1)
    fireTimers()
    let id = RequestID(high: 1, low: nextRequest)
    nextRequest += 1
    client.handle(
      .rank(RankCall(id: id, request: request, budget: .seconds(10))), now: now, into: &clientActions)
    takeClientActions()
    deliver()
  }

  private mutating func fireTimers() {
    if client.nextTimer <= now {
      client.handle(.timer, now: now, into: &clientActions)
      takeClientActions()
    }
    if gateway.nextTimer <= now {
      gateway.handle(.timer, now: now, into: &gatewayActions)
      takeGatewayActions()
    }
    for index in workers.indices where workers[index].nextTimer <= now {
      workers[index].handle(.timer, now: now, into: &workerActions)
      takeWorkerActions(index)
    }
  }

  private mutating func deliver() {
    var next = 0
    while next < deliveries.count {
      switch deliveries[next] {
      case .toGateway(let peer, let message):
        messages += 1
        gateway.handle(.received(message, from: peer, authenticatedAs: nil), now: now, into: &gatewayActions)
        takeGatewayActions()
      case .toWorker(let index, let message):
        messages += 1
        workers[index].handle(.received(MachineLoad.link, message), now: now, into: &workerActions)
        takeWorkerActions(index)
      case .toClient(let message):
        messages += 1
        client.handle(.received(MachineLoad.link, message), now: now, into: &clientActions)
        takeClientActions()
      case .compute(let index, let event):
        workers[index].handle(event, now: now, into: &workerActions)
        takeWorkerActions(index)
      }
      next += 1
    }
    deliveries.removeAll(keepingCapacity: true)
  }

  private mutating func takeClientActions() {
    for index in 0..<clientActions.count {
      switch clientActions[index] {
      case .send(_, let message):
        guard case .control(let body) = message.body else { continue }
        deliveries.append(.toGateway(MachineLoad.clientPeer, PeerMessage(message.header, .control(body))))
      case .complete(_, .ranked): answered += 1
      default: break
      }
    }
    clientActions.removeAll(keepingCapacity: true)
  }

  private mutating func takeGatewayActions() {
    for index in 0..<gatewayActions.count {
      guard case .send(let message, let peer) = gatewayActions[index] else { continue }
      guard peer.listener == .clients else {
        deliveries.append(.toWorker(Int(peer.number) - 1, message))
        continue
      }
      switch message.body {
      case .control(let body): deliveries.append(.toClient(PeerMessage(message.header, .control(body))))
      case .chunk: deliveries.append(.toClient(PeerMessage(message.header, .chunk(ranking))))
      case .end(let end, let payload):
        deliveries.append(
          .toClient(PeerMessage(message.header, .end(end, ranking: payload == nil ? nil : ranking))))
      }
    }
    gatewayActions.removeAll(keepingCapacity: true)
  }

  private mutating func takeWorkerActions(_ worker: Int) {
    for index in 0..<workerActions.count {
      switch workerActions[index] {
      case .send(_, let message): deliveries.append(.toGateway(PeerID(.workers, UInt64(worker) + 1), message))
      case .start(let start):
        received[Int(start.id.rawValue % 64)] = 0
        if worker == 0 { encode(start.id) }
      case .deliver(let id, let stream, _, _, _): compute(worker, id, stream)
      default: break
      }
    }
    workerActions.removeAll(keepingCapacity: true)
  }

  // MARK: Computation

  private mutating func encode(_ id: RunID) {
    deliveries.append(.compute(0, .computing(id, .none)))
    deliveries.append(.compute(0, .output(id, .instruction, handle, .final)))
    for _ in 0..<3 { deliveries.append(.compute(0, .output(id, .candidates, handle, []))) }
    deliveries.append(.compute(0, .output(id, .candidates, handle, .final)))
    finish(0, id)
  }

  private mutating func compute(_ worker: Int, _ id: RunID, _ stream: StreamKind) {
    deliveries.append(.compute(worker, .computing(id, stream)))
    guard worker == 2 else {
      deliveries.append(.compute(worker, .output(id, .instruction, handle, .final)))
      return finish(worker, id)
    }
    // The prompt, and four chunks of candidates; each gives a snapshot.
    deliveries.append(.compute(worker, .output(id, .ranking, handle, [])))
    received[Int(id.rawValue % 64)] += 1
    if received[Int(id.rawValue % 64)] == 5 { finish(worker, id) }
  }

  private mutating func finish(_ worker: Int, _ id: RunID) {
    let timing = RunTiming(queue: 0, decode: 1, compute: 1, encode: 1)
    deliveries.append(.compute(worker, .finished(id, ranking: worker == 2 ? handle : nil, timing: timing)))
  }
}
