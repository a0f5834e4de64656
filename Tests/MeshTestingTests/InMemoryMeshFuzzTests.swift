import GLTP
import MeshTesting
import Testing

/// Meshes that live through random trouble. Whatever happens: each request has one answer in its time, an answer that
/// says OK is the right one, no rule of the protocol is broken, and when it is over nothing is left.
@Suite struct InMemoryMeshFuzzTests {
  @Test(arguments: 0..<40)
  func trouble(seed: UInt64) {
    var answers: [String: Int] = [:]
    InMemoryMeshFuzzTests.live(seed) { answers[$0, default: 0] += 1 }
    #expect(answers["OK"] ?? 0 > 10, "\(answers)")
  }

  /// - Parameter count: is called with the status of each request.
  static func live(_ seed: UInt64, count: (String) -> Void) {
    var random = SplitMix(state: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
    var mesh = InMemoryMesh(
      gateways: Int.random(in: 1...3, using: &random), encoders: 2, aligners: 2,
      rankers: Int.random(in: 1...3, using: &random), clients: 2, slots: Int.random(in: 1...4, using: &random))
    var requests: [(handle: RankHandle, user: String, budget: MonotonicDuration)] = []
    var stopped: [MeshProcess] = []
    for number in 0..<60 {
      let user = "user \(number)"
      let budget = MonotonicDuration.milliseconds(.random(in: 20...4000, using: &random))
      let handle = mesh.rank(
        user: user, deadline: budget, stream: .random(using: &random), from: Int.random(in: 0...1, using: &random))
      requests.append((handle, user, budget))
      if Int.random(in: 0..<8, using: &random) == 0 { mesh.cancel(handle) }
      mesh.clock.advance(by: .microseconds(.random(in: 0...40_000, using: &random)))
      let victims = mesh.processes.filter { $0.role != .client }
      guard let victim = victims.randomElement(using: &random) else { continue }
      switch Int.random(in: 0..<14, using: &random) {
      case 0: mesh.kill(victim)
      case 1: mesh.vanish(victim)
      case 2:
        mesh.stop(victim)
        stopped.append(victim)
      case 3: if let sleeper = stopped.popLast() { mesh.resume(sleeper) }
      case 4: if victim.role != .gateway, mesh.isAlive(victim) { mesh.drain(victim, limit: .seconds(1)) }
      case 5: for process in mesh.processes where !mesh.isAlive(process) { mesh.restart(process) }
      case 6: mesh.add([.encoder, .aligner, .ranker].randomElement(using: &random) ?? .ranker)
      case 7: mesh.faults.append(fault(&random))
      case 8:
        if let client = mesh.processes.filter({ $0.role == .client }).randomElement(using: &random) {
          mesh.disconnect(client, .gateway(0))
        }
      default: break
      }
    }
    // The trouble is over.
    mesh.heal()
    for process in stopped { mesh.resume(process) }
    // Those that drain have left by then.
    mesh.clock.advance(by: .seconds(2))
    for process in mesh.processes where !mesh.isAlive(process) { mesh.restart(process) }
    mesh.settle(within: .seconds(60))
    #expect(mesh.isIdle, "something is left, seed \(seed)")
    #expect(mesh.breaches.isEmpty, "\(mesh.breaches), seed \(seed)")
    for (handle, user, budget) in requests {
      let answer = mesh.answer(handle)
      count(answer.status?.description ?? answer.failure.map { "\($0.cause)" } ?? "none")
      #expect(answer.completions == 1, "\(answer), seed \(seed)")
      #expect((answer.elapsed ?? .zero) <= budget + .milliseconds(250), "seed \(seed)")
      if let ranking = answer.ranking {
        #expect(ranking == mesh.standard.ranking(user: user, count: 10), "seed \(seed)")
      }
    }
    // And the mesh is as good as new.
    mesh.clock.advance(by: .seconds(15))
    let last = mesh.rank(user: "last")
    #expect(mesh.finish(last).status == .ok, "\(mesh.answer(last)), seed \(seed)")
  }

  private static func fault(_ random: inout SplitMix) -> LinkFault {
    let effects: [LinkFault.Effect] = [
      .drop, .duplicate, .corrupt, .cut, .delay(.milliseconds(.random(in: 1...50, using: &random))),
      .reorder(.milliseconds(.random(in: 1...50, using: &random))),
    ]
    let kinds: [MessageKind] = [.input, .partial, .end, .ack, .request, .cancel, .credit, .ping, .hello, .welcome]
    let kind = kinds.randomElement(using: &random) ?? .input
    return LinkFault(effects.randomElement(using: &random) ?? .drop, times: .random(in: 1...3, using: &random)) {
      $0.header.kind == kind
    }
  }
}

/// A small generator with a seed.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
