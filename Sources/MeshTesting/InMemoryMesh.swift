public import GLTP

/// A whole mesh in one value: clients, gateways and workers are the real state machines; transport, computation and time
/// are simulated. Nothing happens but when time is moved, and the same calls always give the same mesh.
///
/// ```swift
/// var mesh = InMemoryMesh(gateways: 2, rankers: 2)
/// let request = mesh.rank(user: "ann", count: 10)
/// mesh.clock.advance(by: .milliseconds(5))
/// mesh.kill(.ranker(0))
/// #expect(mesh.finish(request).ranking == mesh.standard.ranking(user: "ann", count: 10))
/// #expect(mesh.breaches.isEmpty)
/// ```
///
/// It is a value: a copy is another mesh that goes its own way from here.
public struct InMemoryMesh: Sendable {
  /// One process, alive or not.
  struct Node: Sendable {
    enum Machine: Sendable {
      case client(ClientMachine<MeshChunk>)
      case gateway(GatewayMachine<MeshChunk>)
      case worker(WorkerMachine<MeshChunk>, SimulatedCompute)
      case none
    }

    var machine: Machine
    /// Of a worker: what it serves.
    var bundle: BundleHash
    /// The current connection of each link that it dials.
    var connections: [LinkID: Int] = [:]
    /// Dials that were overtaken by newer ones are ignored.
    var dials: [LinkID: Int] = [:]
    /// When its machine, and its computation, want to be called.
    var timer = MonotonicTime.distantFuture
    var wakes = MonotonicTime.distantFuture
    var stoppedAt: MonotonicTime?
    /// What came while it was stopped.
    var parked: [Happening] = []
    var isAlive: Bool { if case .none = machine { false } else { true } }

    /// Puts the machine back, or another one.
    mutating func hold(_ machine: Machine) {
      self.machine = machine
      wakes = .distantFuture
      switch machine {
      case .client(let machine): timer = machine.nextTimer
      case .gateway(let machine): timer = machine.nextTimer
      case .worker(let machine, let compute):
        timer = machine.nextTimer
        wakes = compute.wakes
      case .none: timer = .distantFuture
      }
    }
  }

  /// A connection between a process that dials and a gateway.
  struct Connection: Sendable {
    let dialler: MeshProcess
    let link: LinkID
    let gateway: MeshProcess
    let peer: PeerID
    var isOpen = true
    /// Whether the gateway reads from it.
    var isHeard = true
    /// When what was sent last arrives, by direction: to the gateway, from it.
    var lastArrival = (up: MonotonicTime.zero, down: MonotonicTime.zero)
  }

  /// What the mesh's transport and its people have in store.
  enum Happening: Sendable {
    case message(PeerMessage<MeshChunk>, connection: Int, toGateway: Bool)
    case dial(MeshProcess, LinkID, number: Int)
    case connected(MeshProcess, LinkID, connection: Int)
    case disconnected(MeshProcess, LinkID, connection: Int, reason: String)
    case lost(MeshProcess, PeerID)
    /// What a process's own threads tell its machine.
    case stopped(MeshProcess, RunID)
    case verified(MeshProcess, ticket: UInt64, isIntact: Bool)

    /// For whom it is.
    func process(_ connections: [Connection]) -> MeshProcess? {
      switch self {
      case .message(_, let connection, let toGateway):
        toGateway ? connections[connection].gateway : connections[connection].dialler
      case .dial: nil
      case .connected(let process, _, _), .disconnected(let process, _, _, _), .lost(let process, _),
        .stopped(let process, _), .verified(let process, _, _):
        process
      }
    }
  }

  /// The stages' catalogue and answers, where the mesh was made without stages of one's own.
  public let standard: StandardStages
  /// Time for a message from one process to another.
  public var latency: MonotonicDuration
  /// Rules that damage the transport; they act on messages sent from now on, the first that picks one.
  public var faults: [LinkFault] = []
  /// Whether `passages` is kept.
  public var records = false
  /// What was sent, faults or not, while `records` is set.
  public internal(set) var passages: [Passage] = []
  /// What gateways found notable.
  public internal(set) var notes: [GatewayNote] = []
  /// How workers that left did so.
  public internal(set) var exits: [MeshProcess: WorkerExit] = [:]

  var time: ManualClock
  var nodes: [MeshProcess: Node] = [:]
  /// All processes, in the order of their making.
  public internal(set) var processes: [MeshProcess] = []
  var connections: [Connection] = []
  var store = HappeningQueue()
  var referee = ProtocolReferee()
  var answers: [RankHandle: MeshAnswer] = [:]
  var stages: MeshStages
  var nextRequest: UInt64 = 1
  let slots: Int
  let bundle: BundleHash
  let configureGateway: @Sendable (inout GatewayConfiguration) -> Void
  let configureWorker: @Sendable (inout WorkerConfiguration) -> Void
  let configureClient: @Sendable (inout ClientConfiguration) -> Void

  /// Makes a mesh and, unless told otherwise, lets it settle until all sessions are open.
  ///
  /// - Parameters:
  ///   - slots: of each worker.
  ///   - standard: the catalogue and times of the stages, unless `stages` are given.
  public init(
    gateways: Int = 1, encoders: Int = 1, aligners: Int = 1, rankers: Int = 1, clients: Int = 1, slots: Int = 4,
    bundle: BundleHash = InMemoryMesh.bundle(1), standard: StandardStages = StandardStages(),
    stages: MeshStages? = nil, latency: MonotonicDuration = .microseconds(100), settles: Bool = true,
    configureGateway: @escaping @Sendable (inout GatewayConfiguration) -> Void = { _ in },
    configureWorker: @escaping @Sendable (inout WorkerConfiguration) -> Void = { _ in },
    configureClient: @escaping @Sendable (inout ClientConfiguration) -> Void = { _ in }
  ) {
    self.standard = standard
    self.stages = stages ?? standard.stages
    self.latency = latency
    self.slots = slots
    self.bundle = bundle
    self.configureGateway = configureGateway
    self.configureWorker = configureWorker
    self.configureClient = configureClient
    time = ManualClock()
    for index in 0..<gateways { launch(.gateway(index)) }
    for (role, count) in [(Role.encoder, encoders), (.aligner, aligners), (.ranker, rankers), (.client, clients)] {
      for index in 0..<count { launch(MeshProcess(role, index)) }
    }
    if settles { run(until: now + .milliseconds(20)) }
  }

  /// The name of a bundle of one's own.
  public static func bundle(_ number: UInt64) -> BundleHash { BundleHash(words: [number, 0, 0, 0]) }

  /// Moving it lets the mesh live that long.
  public var clock: ManualClock {
    get { time }
    set { run(until: newValue.now) }
  }

  /// The mesh's time. It stands still between calls.
  public var now: MonotonicTime { time.now }

  /// Breaches of the rules that hold whatever goes wrong. Always empty, or a machine has a bug.
  public var breaches: [String] { referee.breaches }

  // MARK: Processes

  /// Adds a process: the next of its role.
  @discardableResult
  public mutating func add(_ role: Role, bundle: BundleHash? = nil) -> MeshProcess {
    let process = MeshProcess(role, processes.count { $0.role == role })
    launch(process, bundle: bundle)
    guard role == .gateway else { return process }
    for other in processes where other.role != .gateway { introduce(process, to: other) }
    return process
  }

  /// Ends a process; its connections break, as they do when a process is killed.
  public mutating func kill(_ process: MeshProcess) {
    vanish(process)
    cutAll(of: process)
  }

  /// Ends a process so that nobody notices but by its silence, as when its machine loses power.
  public mutating func vanish(_ process: MeshProcess) {
    nodes[process]?.hold(.none)
    nodes[process]?.stoppedAt = nil
    nodes[process]?.parked = []
  }

  /// Starts a process that was killed, or has left, anew.
  public mutating func restart(_ process: MeshProcess, bundle: BundleHash? = nil) {
    let bundle = bundle ?? nodes[process]?.bundle
    launch(process, bundle: bundle)
  }

  /// Stops a process as SIGSTOP does: what comes for it waits, and its connections stay.
  public mutating func stop(_ process: MeshProcess) {
    guard nodes[process]?.stoppedAt == nil else { return }
    let time = now
    nodes[process]?.stoppedAt = time
  }

  /// Wakes a process that was stopped.
  public mutating func resume(_ process: MeshProcess) {
    guard let stoppedAt = nodes[process]?.stoppedAt, let parked = nodes[process]?.parked else { return }
    nodes[process]?.stoppedAt = nil
    nodes[process]?.parked = []
    if case .worker(let machine, var compute)? = nodes[process]?.machine {
      compute.shift(by: now.since(stoppedAt))
      nodes[process]?.hold(.worker(machine, compute))
    }
    for happening in parked { store.add(happening, at: now) }
  }

  /// Asks a process to finish and leave, as SIGTERM does; a client finishes what it has asked for.
  public mutating func drain(_ process: MeshProcess, limit: MonotonicDuration = .seconds(30)) {
    switch process.role {
    case .client: tell(process, client: .close(cancelling: false))
    case .gateway: tell(process, gateway: .drain)
    default: tell(process, worker: .drain(limit: limit))
    }
  }

  /// Whether the process runs: neither killed nor gone by itself.
  public func isAlive(_ process: MeshProcess) -> Bool { nodes[process]?.isAlive ?? false }

  /// Breaks the connections between two processes; both notice.
  public mutating func disconnect(_ a: MeshProcess, _ b: MeshProcess) {
    for index in connections.indices where connections[index].isOpen {
      let ends = Set([connections[index].dialler, connections[index].gateway])
      if ends == [a, b] { cut(index, reason: "connection reset") }
    }
  }

  /// Takes a gateway from a process's list of addresses.
  public mutating func removeGateway(_ gateway: Int, from process: MeshProcess) {
    let link = LinkID(rawValue: UInt32(gateway))
    if process.role == .client {
      tell(process, client: .removed(link))
    } else {
      tell(process, worker: .removed(link))
    }
  }

  // MARK: Faults

  /// Adds a rule for messages to come.
  public mutating func fault(
    _ effect: LinkFault.Effect, times: Int = 1, when picks: @escaping @Sendable (Passage) -> Bool
  ) {
    faults.append(LinkFault(effect, times: times, picks: picks))
  }

  /// Loses all that two processes send one another, unnoticed, until `heal`.
  public mutating func silence(_ a: MeshProcess, _ b: MeshProcess) {
    fault(.drop, times: .max) { Set([$0.from, $0.to]) == [a, b] }
  }

  /// Ends all faults.
  public mutating func heal() { faults = [] }

  // MARK: What is inside

  /// The state machine of a gateway, for looking in; nil where it is not alive or there is none.
  public func gateway(_ index: Int) -> GatewayMachine<MeshChunk>? {
    if case .gateway(let machine)? = nodes[.gateway(index)]?.machine { machine } else { nil }
  }

  /// The state machine of a worker; nil where it is not alive, or is no worker.
  public func worker(_ process: MeshProcess) -> WorkerMachine<MeshChunk>? {
    if case .worker(let machine, _)? = nodes[process]?.machine { machine } else { nil }
  }

  /// The state machine of a client; nil where it is not alive or there is none.
  public func client(_ index: Int) -> ClientMachine<MeshChunk>? {
    if case .client(let machine)? = nodes[.client(index)]?.machine { machine } else { nil }
  }

  /// Whether no process that lives holds anything of a request.
  public var isIdle: Bool {
    processes.allSatisfy { process in
      switch nodes[process]?.machine {
      case .client(let machine)?: machine.isIdle
      case .worker(let machine, let compute)?: machine.isIdle && compute.isIdle
      case .gateway(let machine)?: machine.footprint.requests == 0 && machine.footprint.heldBytes == 0
      case .some(.none), nil: true
      }
    }
  }
}
