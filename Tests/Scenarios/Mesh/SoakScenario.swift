import Foundation
import GLTP
import Mesh
import MeshTestSupport
import MeshTesting
import Synchronization
import TestSupport
import Testing

/// Workers killed, drained and added at random under load. GLTA_SOAK_MINUTES says for how long; `make soak MINUTES=30`.
extension MeshScenarios {
  @Test(.timeLimit(.minutes(24 * 60))) func s24_soak() async throws {
    let minutes = ProcessInfo.processInfo.environment["GLTA_SOAK_MINUTES"].flatMap(Double.init) ?? 0.25
    var configuration = ProcessMesh.Configuration(
      executables: ProcessMesh.executables, bundle: try ServedWorld.get().bundle, gateways: 2, rankers: 3)
    (configuration.encoders, configuration.aligners) = (2, 2)
    let mesh = try await ProcessMesh.start(configuration)
    try await withLoop { loop in
      var chaos = Chaos(mesh, seed: UInt64(minutes * 1_000))
      let counts = SoakCounts()
      let load = SoakLoad(mesh.client, counts)
      let probes = try await [Probe(mesh, 0, loop), Probe(mesh, 1, loop)]
      let end = ContinuousClock.now + .seconds(60 * minutes)
      // What pools and histograms need is taken by then.
      let settled = ContinuousClock.now + .seconds(15 * minutes)
      var early: [Int]?
      while ContinuousClock.now < end {
        try await chaos.step()
        for probe in probes { try await probe.ask() }
        if early == nil, ContinuousClock.now > settled { early = try await residentBytes(of: mesh) }
      }
      try chaos.restoreAll()
      try await mesh.waitUntilReady()
      await load.stop()
      for probe in probes { try await probe.settle() }
      let late = try await residentBytes(of: mesh)
      let (sent, answered, refused) = counts.all
      let said =
        "soak of \(minutes) minutes: \(sent) sent, \(answered) answered, \(refused) refused, \(chaos.kills) killed, "
        + "\(chaos.drains) drained; gateways' memory \(early ?? []) bytes early, \(late) at the end"
      print(said)
      #expect(answered + refused.values.reduce(0, +) == sent, "\(said)")
      #expect(Double(answered) >= 0.95 * Double(sent) && sent > 0, "\(said)")
      #expect(chaos.kills > 0, "\(said)")
      for probe in probes { probe.check() }
      for (before, after) in zip(early ?? [], late) {
        #expect(after - before < max(32 << 20, before / 5), "memory grows: \(said)")
      }
    }
    await mesh.stop()
  }

  @inline(never)
  private func residentBytes(of mesh: ProcessMesh) async throws -> [Int] {
    [try await mesh.report(of: 0).residentBytes, try await mesh.report(of: 1).residentBytes]
  }
}

/// Kills, drains and starts workers at random, by a seed.
private struct Chaos {
  private struct Worker {
    let stage: Stage
    let name: String
    /// When it is to be started again; nil while it runs.
    var returns: ContinuousClock.Instant?
  }

  private let mesh: ProcessMesh
  private var random: SplitMix
  private var workers: [Worker]
  private(set) var kills = 0
  private(set) var drains = 0

  init(_ mesh: ProcessMesh, seed: UInt64) {
    self.mesh = mesh
    random = SplitMix(state: seed)
    workers = [("encoder", Stage.encoder, 2), ("aligner", .aligner, 2), ("ranker", .ranker, 3)].flatMap {
      name, stage, count in (0..<count).map { Worker(stage: stage, name: "\(name)-\($0)") }
    }
  }

  @inline(never)
  mutating func step() async throws {
    try await pause(.milliseconds(Int64.random(in: 100...900, using: &random)))
    for index in workers.indices where workers[index].returns.map({ $0 < .now }) ?? false { try start(index) }
    let index = Int.random(in: workers.indices, using: &random)
    let stage = workers[index].stage
    // One of each stage stays: what no stage can do is not what a soak asks.
    guard workers.count(where: { $0.stage == stage && $0.returns == nil }) > 1, workers[index].returns == nil else {
      return
    }
    if Bool.random(using: &random) {
      try mesh.signal(workers[index].name, SIGKILL)
      kills += 1
    } else {
      try mesh.signal(workers[index].name, SIGTERM)
      drains += 1
    }
    workers[index].returns = .now + .milliseconds(Int64.random(in: 200...2_000, using: &random))
  }

  private mutating func start(_ index: Int) throws {
    guard mesh.exitStatus(of: workers[index].name) != nil else { return }
    try mesh.start(workers[index].stage, named: workers[index].name)
    workers[index].returns = nil
  }

  /// Starts what is down.
  mutating func restoreAll() throws {
    for index in workers.indices where workers[index].returns != nil {
      // What drains is given the time for it.
      for _ in 0..<500 where mesh.exitStatus(of: workers[index].name) == nil { usleep(10_000) }
      try start(index)
    }
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a soak that fails can be run again.
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

private final class SoakCounts: Sendable {
  private let counts = Mutex((sent: 0, answered: 0, refused: [String: Int]()))

  func sent() { counts.withLock { $0.sent += 1 } }
  func answered() { counts.withLock { $0.answered += 1 } }
  func refused(_ why: String) { counts.withLock { $0.refused[why, default: 0] += 1 } }
  var all: (sent: Int, answered: Int, refused: [String: Int]) { counts.withLock { $0 } }
}

/// Requests on four lanes until it is stopped.
private final class SoakLoad: Sendable {
  private let isOver: Flag
  private let tasks: [Task<Void, Never>]

  private final class Flag: Sendable { let value = Atomic(false) }

  init(_ client: MeshClient, _ counts: SoakCounts) {
    let isOver = Flag()
    self.isOver = isOver
    tasks = (0..<4).map { lane in
      Task {
        var user = lane
        while !isOver.value.load(ordering: .relaxed) {
          user = (user + 7) % 60
          counts.sent()
          do throws(MeshError) {
            let ranking = try await client.ranking(RankingQuery(user: "u\(user)", count: 3))
            ranking.ids.count == 3 ? counts.answered() : counts.refused("a short answer")
          } catch { counts.refused(error.failure?.status.map { "\($0)" } ?? error.code.description) }
        }
      }
    }
  }

  @inline(never)
  func stop() async {
    isOver.value.store(true, ordering: .relaxed)
    for task in tasks { await task.value }
  }
}

/// A client by hand, which sees every END that a gateway sends it.
private final class Probe: Sendable {
  private let peer: HandPeer
  private let asked = Mutex<[RequestID]>([])

  @inline(never)
  init(_ mesh: ProcessMesh, _ gateway: Int, _ loop: EventLoop) async throws {
    peer = try await HandPeer(mesh.clientEndpoint(gateway), loop)
    try await peer.connected()
    try await peer.greet(Hello(role: .client))
  }

  @inline(never)
  func ask() async throws {
    let id = RequestID(high: 0x5000, low: .random(in: 1 ... .max))
    asked.withLock { $0.append(id) }
    try await peer.send(
      MessageHeader(.request, attempt: 1, requestID: id, budgetMilliseconds: 5_000),
      .rank(RankRequest(userID: "u1", count: 3)))
  }

  /// Waits until all is answered, at most the requests' own time.
  @inline(never)
  func settle() async throws {
    let end = ContinuousClock.now + .seconds(8)
    while ends.count < asked.withLock({ $0.count }), ContinuousClock.now < end {
      try await pause(.milliseconds(20))
    }
    try await pause(.milliseconds(300))
  }

  private var ends: [RequestID] { peer.all(.end).map(\.header.requestID) }

  func check() {
    let (ends, asked) = (ends, asked.withLock { $0 })
    #expect(Set(ends).count == ends.count, "an END came twice")
    #expect(Set(ends) == Set(asked), "\(asked.count) asked, \(ends.count) ended")
  }
}
