import Foundation
import GLTP
import Mesh
import MeshTestSupport
import MeshTesting
import TestSupport
import Testing

/// Peers that are slow, broken or hostile, on the sockets of a real gateway.
extension MeshScenarios {
  @Test func s17_aClientThatTakesNothingIsLetGoAndOthersAreServed() async throws {
    let mesh = try await ProcessMesh.small(gatewayArguments: ["--stall", "1000"])
    try await withLoop { loop in
      let client = try await HandPeer(mesh.clientEndpoint(), loop)
      try await client.connected()
      // Room for one snapshot, which it never acknowledges; the prompt never comes, so that the request goes on.
      var limits = PeerLimits.clientEdge
      limits.window = 1
      try await client.greet(Hello(role: .client, limits: limits))
      try mesh.signal("aligner-0", SIGSTOP)
      try await client.send(
        MessageHeader(.request, flags: .stream, attempt: 1, requestID: .test(1), budgetMilliseconds: 20_000),
        .rank(RankRequest(userID: "u1", count: 3, mode: .slots)))
      let end = try await client.next(.end)
      #expect(end.header.status == .stalled)
      #expect(client.all(.partial).count == 1, "the window is one snapshot")
      try mesh.signal("aligner-0", SIGCONT)
      try await expectService(of: mesh)
    }
    await mesh.stop()
  }

  @Test func s18_aDamagedByteFromAClientFailsItsRequestAlone() async throws {
    let mesh = try await ProcessMesh.small()
    try await withLoop { loop in
      let client = try await HandPeer.client(of: mesh, loop)
      for number in 1...3 as ClosedRange<UInt64> {
        try await client.send(
          MessageHeader(.request, attempt: 1, requestID: .test(number)), client.excluding(), change: flip(2, at: -9))
        let end = try await client.next(.end)
        #expect(end.header.status == .corrupt && end.header.requestID == .test(number))
      }
      // Counted, and the third is one too many.
      #expect(try await client.next(.bye).header.status == .protocol)
      try await client.disconnected()
      #expect(try await mesh.report().requests.damaged == 3)
      try await expectService(of: mesh)
    }
    await mesh.stop()
  }

  @Test(arguments: ["a damaged byte", "a missing chunk", "nonsense"])
  func s19_aBrokenWorkerCostsNoRequest(fault: String) async throws {
    let mesh = try await ProcessMesh.small()
    try await withLoop { loop in
      let encoder = try await HandPeer.encoder(of: mesh, loop)
      let load = try await mesh.load(["--rate", "40", "--duration", "4"]) {
        for _ in 0..<3 {
          guard let run = try await encoder.nextRun(.seconds(2)) else { break }
          switch fault {
          case "a damaged byte":
            try await encoder.send(
              encoder.header(.partial, run, flags: .final, stream: .candidates), .partial(encoder.candidates(40)),
              change: flip(2, at: -3))
          case "a missing chunk":
            try await encoder.send(
              encoder.header(.partial, run, flags: .final, stream: .candidates, sequence: 1),
              .partial(encoder.candidates(40)))
          default: try await encoder.send(raw: [[1, 2, 3]])
          }
        }
        try await encoder.close()
      }
      #expect(encoder.all(.request).count >= 1, "the broken encoder was never asked")
      #expect(load.isFaultless, "\(load)")
    }
    await mesh.stop()
  }

  @Test func s20_anotherVersionIsToldWhatIsSpoken() async throws {
    let mesh = try await ProcessMesh.small()
    try await withLoop { loop in
      let client = try await HandPeer(mesh.clientEndpoint(), loop)
      try await client.connected()
      let future = ProtocolVersion(major: 2, minor: 0)
      try await client.send(
        MessageHeader(.hello),
        .hello(Hello(role: .client, versions: VersionRange(lowest: future, highest: future))), session: 0)
      let reject = try await client.next(.reject)
      #expect(reject.header.status == .version)
      guard case .reject(let body) = reject.message.body else { return }
      #expect(body.versions == .supported)
      try await expectService(of: mesh)
    }
    await mesh.stop()
  }

  @Test func s21_messagesWithoutEndDoNotFillTheGateway() async throws {
    let mesh = try await ProcessMesh.small()
    try await expectService(of: mesh)
    let before = try await mesh.report().residentBytes
    let port = mesh.clientEndpoint().port
    // Parts with MORE set, on and on: 8 peers, up to 64 MiB each. 2 MiB of a client are held, 32 MiB of all of them.
    async let sent = withTaskGroup(of: Int.self) { group in
      for _ in 0..<8 { group.addTask { await onOwnThread { EndlessPeer.send(64 << 20, to: port) } } }
      return await group.reduce(into: [Int]()) { $0.append($1) }
    }
    try await expectService(of: mesh)
    let counts = await sent
    #expect(counts.allSatisfy { (1..<32 << 20).contains($0) }, "bytes taken of each: \(counts)")
    let after = try await mesh.report().residentBytes
    #expect(after - before < 64 << 20, "\(before) bytes before, \(after) after")
    try await expectService(of: mesh)
    await mesh.stop()
  }

  @Test func s22_anLZ4BombIsRefusedWithoutBeingUnpacked() async throws {
    let mesh = try await ProcessMesh.small()
    try await expectService(of: mesh)
    let before = try await mesh.report().residentBytes
    try await withLoop { loop in
      for number in 1...30 as ClosedRange<UInt64> {
        let client = try await HandPeer.client(of: mesh, loop)
        try await client.send(
          MessageHeader(.request, attempt: 1, requestID: .test(number)), client.excluding(400), change: bomb)
        #expect(try await client.next(.end).header.status == .corrupt)
        try await client.close()
      }
    }
    let after = try await mesh.report().residentBytes
    #expect(after - before < 16 << 20, "\(before) bytes before, \(after) after")
    try await expectService(of: mesh)
    await mesh.stop()
  }

  @Test func s23_everyAttackVectorLeavesTheGatewayServing() async throws {
    let mesh = try await ProcessMesh.small()
    try await withLoop { loop in
      for endpoint in [mesh.clientEndpoint(), mesh.workerEndpoint()] {
        let stranger = try await HandPeer(endpoint, loop)
        try await stranger.connected()
        let vectors = brokenMessages()
        #expect(vectors.count > 100)
        for parts in vectors { try await stranger.send(raw: parts) }
      }
      try await expectService(of: mesh)
    }
    #expect(mesh.exitStatus(of: "gateway-0") == nil)
    await mesh.stop()
  }

  /// An honest client is served.
  @inline(never)
  private func expectService(of mesh: ProcessMesh, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let ranking = try await mesh.client.ranking(RankingQuery(user: "u3", count: 3))
    #expect(ranking.ids.count == 3, sourceLocation: sourceLocation)
  }
}

extension HandPeer {
  /// A client with a session.
  @inline(never)
  fileprivate static func client(of mesh: ProcessMesh, _ loop: EventLoop) async throws -> HandPeer {
    let peer = try await HandPeer(mesh.clientEndpoint(), loop)
    try await peer.connected()
    try await peer.greet(Hello(role: .client))
    return peer
  }

  /// An encoder of the mesh's bundle with room for many runs.
  @inline(never)
  fileprivate static func encoder(of mesh: ProcessMesh, _ loop: EventLoop) async throws -> HandPeer {
    let text = try #require(try await mesh.report().bundle)
    let bundle = try #require(BundleHash(hexadecimal: text))
    let peer = try await HandPeer(mesh.workerEndpoint(), loop)
    try await peer.connected()
    try await peer.greet(
      Hello(
        role: .encoder, peerID: "broken", bootID: BootID(high: 1, low: .random(in: 1 ... .max)), build: "test",
        slots: 8, bundles: [bundle]))
    try await peer.send(MessageHeader(.credit), .credit(total: 8))
    return peer
  }

  /// The next run, or nil where none comes.
  @inline(never)
  fileprivate func nextRun(_ limit: Duration) async throws -> Received? {
    let known = all(.request).count
    let end = ContinuousClock.now + limit
    while all(.request).count == known, ContinuousClock.now < end { try await pause(.milliseconds(5)) }
    return all(.request).count > known ? all(.request)[known] : nil
  }

  /// A request with a list of `count` long ids.
  fileprivate func excluding(_ count: Int = 50) throws -> MessageBody {
    let ids = (0..<count).map { String(repeating: "a", count: 500) + "\($0)" }
    return .rank(RankRequest(userID: "u1", count: 3, exclude: try buffers.strings(.requestExclude, ids)))
  }
}

/// Makes the list of a request promise 4 KiB while its LZ4 blocks hold all of it, every checksum right.
private func bomb(_ parts: [[UInt8]]) -> [[UInt8]] {
  let promised: [UInt8] = [0, 0x10, 0, 0]
  var (table, payload) = (parts[1], parts[2])
  let entry = 8
  table.replaceSubrange(entry + 8..<entry + 12, with: promised)
  table.replaceSubrange(entry + 32..<entry + 40, with: promised + [0, 0, 0, 0])
  payload.replaceSubrange(6..<14, with: promised + [0, 0, 0, 0])
  payload[14] = payload[4..<14].withUnsafeBytes { LZ4Frame.checkByte($0) }
  let checksum = payload.withUnsafeBytes { XXH32.tree($0) }
  table.replaceSubrange(entry + 44..<entry + 48, with: withUnsafeBytes(of: checksum.littleEndian) { Array($0) })
  return [parts[0], sealed(table, checksumAt: 4), payload]
}

/// A connection that never ends its message.
private enum EndlessPeer {
  /// Sends parts until `limit` bytes have gone or the connection is cut; how many bytes went.
  static func send(_ limit: Int, to port: Int) -> Int {
    guard let peer = try? RawPeer(port: port), peer.shakeHands() else { return 0 }
    // ZMTP: flags MORE and LONG, a size of 8 bytes, the part.
    let part: [UInt8] = [3, 0, 0, 0, 0, 0, 1, 0, 0] + [UInt8](repeating: 7, count: 65_536)
    var sent = 0
    while sent < limit, peer.send(part) { sent += part.count }
    return sent
  }
}
