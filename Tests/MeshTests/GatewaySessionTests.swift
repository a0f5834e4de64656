import GLTP
import Glibc
import Logging
import Mesh
import MeshTestSupport
import Testing

extension GatewayTests {
  @Suite struct Sessions {
    @Test("HELLO gets WELCOME with a session of its own; PING gets PONG; BYE ends the session")
    func welcome() async throws {
      try await withGateway({ $0.name = "g1" }) { fixture in
        let client = try await HandPeer(#require(fixture.gateway.clientEndpoint), fixture.loop)
        try await client.connected()
        let welcome = try await client.greet(Hello(role: .client))
        #expect(welcome.role == .gateway && welcome.peerID == "g1" && welcome.limits == .clientEdge)
        #expect(welcome.heartbeatMilliseconds == 2_000 && welcome.expiryMilliseconds == 6_000)
        #expect(welcome.bootID != nil && welcome.bundles.isEmpty)
        let worker = try await fixture.worker(.encoder)
        #expect(client.sessionID != 0 && worker.sessionID != 0 && client.sessionID != worker.sessionID)

        try await client.send(MessageHeader(.ping, sequence: 77), .ping)
        let pong = try await client.next(.pong)
        #expect(pong.header.sequence == 77 && pong.header.sessionID == client.sessionID)

        try await client.send(MessageHeader(.bye), .bye(detail: nil))
        try await eventually { try await fixture.status().footprint.sessions == 1 }
        try await client.send(MessageHeader(.ping, sequence: 78), .ping)
        let reject = try await client.next(.reject)
        #expect(reject.header.status == .unknownSession && reject.header.sessionID == client.sessionID)
        let before = client.sessionID
        try await client.greet(Hello(role: .client))
        #expect(client.sessionID != before)
      }
    }

    @Test("A version that the gateway does not speak is refused with the range that it does")
    func versions() async throws {
      try await withGateway { fixture in
        let client = try await HandPeer(#require(fixture.gateway.clientEndpoint), fixture.loop)
        try await client.connected()
        let two = ProtocolVersion(major: 2, minor: 0)
        try await client.send(
          MessageHeader(.hello), .hello(Hello(role: .client, versions: VersionRange(lowest: two, highest: two))))
        let reject = try await client.next(.reject)
        #expect(reject.header.status == .version)
        guard case .reject(let body) = reject.message.body else { throw Timeout() }
        #expect(body.versions == .supported)

        // A range that reaches down to ours is fine.
        try await client.greet(Hello(role: .client, versions: VersionRange(lowest: .current, highest: two)))

        // A head of another major cannot be read at all.
        let stranger = try await HandPeer(#require(fixture.gateway.clientEndpoint), fixture.loop)
        try await stranger.connected()
        var parts = stranger.bytes(Message(header: MessageHeader(.hello), body: .hello(Hello(role: .client))))
        parts[0][4] = 2
        parts[0] = sealed(parts[0], checksumAt: 60)
        try await stranger.send(raw: parts)
        #expect(try await stranger.next(.reject).header.status == .protocol)
      }
    }

    @Test("Roles belong to their endpoint, and to their key")
    func roles() async throws {
      try await withGateway { fixture in
        let worker = try await HandPeer(#require(fixture.gateway.clientEndpoint), fixture.loop)
        try await worker.connected()
        try await worker.send(
          MessageHeader(.hello), .hello(Hello(role: .ranker, slots: 1, bundles: [GatewayFixture.bundle])))
        #expect(try await worker.next(.reject).header.status == .unauthorized)
        let client = try await HandPeer(#require(fixture.gateway.workerEndpoint), fixture.loop)
        try await client.connected()
        try await client.send(MessageHeader(.hello), .hello(Hello(role: .client)))
        #expect(try await client.next(.reject).header.status == .unauthorized)
      }

      let keys = try KeyPair.generate()
      let ranker = try KeyPair.generate()
      let stranger = try KeyPair.generate()
      let list = AllowList([ranker.publicKey: .ranker])
      try await withGateway({ $0.security = .curve(keys, allowing: .list(list)) }) { fixture in
        let endpoint = try #require(fixture.gateway.workerEndpoint)
        let security = DialerSecurity.curve(ranker, server: keys.publicKey)
        let peer = try await HandPeer(endpoint, fixture.loop, security: security)
        try await peer.connected()
        let bundles = [GatewayFixture.bundle]
        try await peer.send(MessageHeader(.hello), .hello(Hello(role: .encoder, slots: 1, bundles: bundles)))
        #expect(try await peer.next(.reject).header.status == .unauthorized)
        try await peer.greet(Hello(role: .ranker, slots: 1, bundles: bundles))

        let unknown = try await HandPeer(
          endpoint, fixture.loop, security: .curve(stranger, server: keys.publicKey))
        let failure = try await unknown.next("a refusal") {
          if case .handshakeFailed(let failure) = $0 { failure } else { nil }
        }
        #expect(failure == .refused(400))
        let keyless = try await HandPeer(endpoint, fixture.loop)
        try await keyless.next("a refusal") { if case .handshakeFailed = $0 { true } else { nil } }
      }
    }

    @Test("An allow-list in a file lets in whom it names, as soon as it names them")
    func allowListFile() async throws {
      let path = "/tmp/glta-allow-list-\(UInt64.random(in: 0 ... .max))"
      defer { unlink(path) }
      let keys = try KeyPair.generate()
      let client = try KeyPair.generate()
      func write(_ text: String) throws {
        let file = try #require(fopen(path + ".new", "w"))
        fputs(text, file)
        fclose(file)
        try #require(rename(path + ".new", path) == 0)
      }
      try write("# nobody yet\n")
      try await withGateway({ $0.security = .curve(keys, allowing: .file(path)) }) { fixture in
        let peer = try await HandPeer(
          #require(fixture.gateway.clientEndpoint), fixture.loop, security: .curve(client, server: keys.publicKey))
        try await peer.next("a refusal") { if case .handshakeFailed(.refused(400)) = $0 { true } else { nil } }
        try write("\(client.publicKey) client laptop\n")
        try await peer.connected()
        try await peer.greet(Hello(role: .client))
        try write("# nobody any more\n")
        try await peer.disconnected()
        try await eventually { try await fixture.status().footprint.sessions == 0 }
        #expect(fixture.log.lines.all.contains { $0.text == "allow-list is read again" })
      }
    }

    @Test("A silent peer gets PINGs, then BYE(EXPIRED); one that answers stays")
    func expiry() async throws {
      try await withGateway({
        $0.rules.heartbeat = .milliseconds(50)
        $0.rules.expiry = .milliseconds(200)
      }) { fixture in
        let lively = try await fixture.worker(.ranker)
        let silent = try await fixture.worker(.encoder, answersPings: false)
        _ = try await silent.next(.ping)
        #expect(try await silent.next(.bye).header.status == .expired)
        try await Task.sleep(for: .milliseconds(400))
        let sessions = try await fixture.status().report.sessions
        #expect(sessions.map(\.session) == [lively.sessionID])
        #expect(fixture.log.lines.all.contains { $0.text == "session ended" && "\($0.metadata)".contains("expired") })
        // It may come back.
        try await silent.greet(Hello(role: .encoder, slots: 1, bundles: [GatewayFixture.bundle]))
      }
    }

    @Test("A peer that goes away is forgotten at once")
    func disconnection() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        #expect(try await fixture.status().footprint.sessions == 1)
        try await client.close()
        try await eventually { try await fixture.status().footprint.sessions == 0 }
      }
    }

    @Test("A gateway refuses to listen in the open on a public address, and says every minute that it was told to")
    func exposure() async throws {
      func configuration(_ host: String) throws -> Gateway.Configuration {
        try Gateway.Configuration(
          clientEndpoint: Endpoint("tcp://\(host):0"), workerEndpoint: Endpoint("tcp://127.0.0.1:0"))
      }
      let log = LogRecorder()
      let refused = Gateway(try configuration("0.0.0.0"), logger: log.logger(.info))
      let error = #expect(throws: MeshError.self) { try refused.start() }
      #expect(error?.code == .insecure && error?.hint?.contains("--insecure") == true)
      #expect(refused.clientEndpoint == nil)
      await refused.stop()

      var insecure = try configuration("0.0.0.0")
      insecure.security = .insecure
      let gateway = Gateway(insecure, logger: log.logger(.info))
      try gateway.start()
      #expect(gateway.clientEndpoint?.port ?? 0 > 0)
      #expect(log.lines.all.contains { $0.level == .warning && $0.text.hasPrefix("insecure") })
      await gateway.stop()

      let quiet = LogRecorder()
      var local = try configuration("127.0.0.1")
      local.security = .insecure
      let loopback = Gateway(local, logger: quiet.logger(.info))
      try loopback.start()
      await loopback.stop()
      #expect(!quiet.lines.all.contains { $0.level >= .warning })
    }

    @Test("Settings that cannot work, taken ports and second starts are refused")
    func refusals() async throws {
      let log = LogRecorder().logger(.error)
      let port = try Endpoint("tcp://127.0.0.1:0")
      var configuration = Gateway.Configuration(clientEndpoint: port, workerEndpoint: port)
      configuration.rules.expiry = configuration.rules.heartbeat
      let hasty = Gateway(configuration, logger: log)
      #expect(#expect(throws: MeshError.self) { try hasty.start() }?.code == .invalidArgument)
      configuration.rules.expiry = .seconds(6)
      configuration.name = ""
      let nameless = Gateway(configuration, logger: log)
      #expect(#expect(throws: MeshError.self) { try nameless.start() }?.code == .invalidArgument)

      configuration.name = "first"
      let first = Gateway(configuration, logger: log)
      try first.start()
      #expect(#expect(throws: MeshError.self) { try first.start() }?.code == .closed)
      configuration.workerEndpoint = try #require(first.clientEndpoint)
      let second = Gateway(configuration, logger: log)
      #expect(#expect(throws: MeshError.self) { try second.start() }?.code == .endpointUnavailable)
      configuration.security = .curve(try .generate(), allowing: .file("/no/such/list"))
      #expect(#expect(throws: MeshError.self) { try Gateway(configuration, logger: log).start() }?.code == .inputOutput)
      #expect(first.isAlive)
      #expect(await first.stop())
      #expect(!first.isAlive && first.clientEndpoint == nil)
      #expect(await first.status() == nil)
      #expect(await first.drain(deadline: .milliseconds(10)) == false)
      #expect(await first.stop())
    }

    @Test("Gateways start and are dropped without a trace")
    func lifecycle() async throws {
      let log = LogRecorder().logger(.error)
      func once() async throws {
        let port = try Endpoint("tcp://127.0.0.1:0")
        let gateway = Gateway(.init(clientEndpoint: port, workerEndpoint: port), logger: log)
        try gateway.start()
        _ = await gateway.status()
      }
      try await once()
      try await eventually { openDescriptors() < 1_000 }
      try await Task.sleep(for: .milliseconds(200))
      let before = openDescriptors()
      for _ in 0..<50 { try await once() }
      try await eventually(.seconds(5), "descriptors to close: \(openDescriptors()), were \(before)") {
        openDescriptors() <= before
      }
    }

    @Test("Draining: requests in flight are finished, new ones refused, everybody is told")
    func drain() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        let request = try await workers.encoder.next(.request)
        let drained = Task { await fixture.gateway.drain(deadline: .seconds(20)) }
        _ = try await client.next(.drain)
        _ = try await workers.ranker.next(.drain)
        try await client.rank(.test(2))
        let refusal = try await client.next(.end)
        #expect(refusal.header.status == .draining && refusal.header.requestID == .test(2))

        let newcomer = try await HandPeer(#require(fixture.gateway.clientEndpoint), fixture.loop)
        try await newcomer.connected()
        try await newcomer.send(MessageHeader(.hello), .hello(Hello(role: .client)))
        #expect(try await newcomer.next(.reject).header.status == .draining)

        try await workers.encoder.encode(request)
        try await workers.finish(from: .aligner)
        let end = try await client.next(.end)
        #expect(end.header.status == .ok && end.header.requestID == .test(1))
        #expect(await drained.value)
        #expect(try await client.next(.bye).header.status == .ok)
        #expect(try await workers.encoder.next(.bye).header.status == .ok)
        #expect(try await fixture.status().footprint.sessions == 0)
      }
      // With nothing in flight it is over at once.
      try await withGateway { fixture in
        let client = try await fixture.client()
        #expect(await fixture.gateway.drain(deadline: .seconds(5)))
        #expect(try await client.next(.bye).header.status == .ok)
      }
    }

    @Test("A drain that takes too long says so")
    func drainDeadline() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        _ = try await workers.encoder.next(.request)
        #expect(await fixture.gateway.drain(deadline: .milliseconds(100)) == false)
      }
    }
  }
}

/// One worker of each stage.
struct Workers {
  let encoder: HandPeer
  let aligner: HandPeer
  let ranker: HandPeer

  @inline(never)
  init(_ fixture: GatewayFixture) async throws {
    encoder = try await fixture.worker(.encoder, name: "encoder")
    aligner = try await fixture.worker(.aligner, name: "aligner")
    ranker = try await fixture.worker(.ranker, name: "ranker")
  }

  /// Plays the runs that follow the encoder's.
  @inline(never)
  func finish(from stage: Stage, _ items: [String] = ["a", "b", "c"]) async throws {
    if stage == .aligner {
      let request = try await aligner.next(.request)
      _ = try await aligner.next(.input)
      try await aligner.send(
        aligner.header(.partial, request, flags: .final, stream: .instruction), .partial(aligner.prompt()))
      try await aligner.end(request, .aligner)
    }
    let request = try await ranker.next(.request)
    _ = try await ranker.next(.input) { $0.stream == .instruction }
    try await ranker.end(request, .ranker, ranking: ranker.ranking(items))
  }
}
