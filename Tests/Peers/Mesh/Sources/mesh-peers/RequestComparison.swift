import Foundation

/// Rankings through a mesh of ours and through the same mesh made of others' parts, in turns.
struct RequestComparison {
  var seconds: Double
  var rounds: Int
  var python: String

  private static let target = 2.0

  func run() async throws -> (rows: [Report.RequestRow], skipped: [String]) {
    let ours = try await GLTPMesh.start()
    var peers: [(peer: any RankingPeer, target: Double?)] = [
      (try await GRPCMesh.start(), RequestComparison.target),
      (try await GRPCCall.start(), nil),
    ]
    var skipped: [String] = []
    for shape in [PythonPeer.Shape.mesh, .proxy] {
      do {
        peers.append((try await PythonPeer.start(python, shape), shape == .mesh ? RequestComparison.target : nil))
      } catch let missing as PythonPeer.Missing {
        skipped.append("pyzmq + lz4 (\(shape.rawValue)): \(missing.reason)")
      }
    }
    var rows: [Report.RequestRow] = []
    for payloadBytes in [1 << 10, 64 << 10] {
      let workload = Workload(payloadBytes: payloadBytes)
      for concurrency in [1, 32] {
        rows += try await compare(workload, concurrency, ours, peers)
      }
    }
    for (peer, _) in peers { await peer.stop() }
    await ours.stop()
    return (rows, skipped)
  }

  private func compare(
    _ workload: Workload, _ concurrency: Int, _ ours: GLTPMesh, _ peers: [(peer: any RankingPeer, target: Double?)]
  ) async throws -> [Report.RequestRow] {
    var our: [Double] = []
    var their = [[Double]](repeating: [], count: peers.count)
    for _ in 0..<rounds {
      our.append(try await rate(ours, workload, concurrency))
      for index in peers.indices {
        their[index].append(try await rate(peers[index].peer, workload, concurrency))
      }
    }
    return peers.indices.map { index in
      let ratios = zip(our, their[index]).map { $0 / $1 }
      return Report.RequestRow(
        payloadBytes: workload.payloadBytes, concurrency: concurrency, peer: peers[index].peer.name,
        ours: median(our), theirs: median(their[index]), ratio: median(ratios), target: peers[index].target)
    }
  }

  private func rate(_ peer: any RankingPeer, _ workload: Workload, _ concurrency: Int) async throws -> Double {
    if let remote = peer as? PythonPeer { return try await remote.rate(workload, concurrency, seconds: seconds) }
    // A fifth of the time to get warm.
    _ = try await requests(peer, workload, concurrency, seconds / 5)
    let start = ContinuousClock.now
    let count = try await requests(peer, workload, concurrency, seconds)
    return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
  }

  /// So many tasks, each of which asks again as soon as it is answered.
  private func requests(
    _ peer: any RankingPeer, _ workload: Workload, _ concurrency: Int, _ seconds: Double
  ) async throws -> Int {
    let end = ContinuousClock.now + .seconds(seconds)
    return try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<concurrency {
        group.addTask { try await RequestComparison.ask(peer, workload, until: end) }
      }
      var count = 0
      for try await part in group { count += part }
      return count
    }
  }

  @inline(never)
  private static func ask(
    _ peer: any RankingPeer, _ workload: Workload, until end: ContinuousClock.Instant
  ) async throws -> Int {
    var count = 0
    while ContinuousClock.now < end {
      try await peer.rank(workload)
      count += 1
    }
    return count
  }
}
