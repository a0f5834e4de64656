import Glibc
import Mesh
import MeshTestSupport
import Synchronization
import Testing

extension TransportTests {
  @Suite struct Peers {
    @Test("A peer that closes is reported at once, and sends to it say so")
    func peerGone() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let peers = Mutex<[Peer]>([])
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard) { _, event in
          if case .peerArrived(let peer) = event { peers.withLock { $0.append(peer) } }
        }
        let other = try IOThread()
        let connected = Recorder<Heard>()
        let dialer = try await other.loop.dialer(listener.endpoint, connected)
        try await connected.wait(until: { $0.contains(.connected) })
        _ = try await other.loop.run { dialer.send(Multipart([1])) }
        try await heard.wait(until: { $0.contains(.message([[1]])) })
        let start = ContinuousClock.now
        try await other.loop.run { dialer.close() }
        try await heard.wait(until: { $0.last == .gone })
        #expect(ContinuousClock.now - start < .seconds(1))
        let peer = try #require(peers.withLock { $0.first })
        let outcome = try await loop.run { listener.send(Multipart([2]), to: peer) }
        #expect(outcome == .gone)
        #expect(heard.all == [.arrived(nil), .message([[1]]), .gone])
        #expect(await other.stop())
      }
    }

    @Test("Within the process, MANDATORY tells that a peer has gone")
    func inprocGone() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let peers = Mutex<[Peer]>([])
        let listener = try await loop.listener("inproc://gone", heard) { _, event in
          if case .peerArrived(let peer) = event { peers.withLock { $0.append(peer) } }
        }
        let connected = Recorder<Heard>()
        let dialer = try await loop.dialer(listener.endpoint, connected)
        try await connected.wait(until: { $0.contains(.connected) })
        _ = try await loop.run { dialer.send(Multipart([1])) }
        try await eventually { peers.withLock { $0.count == 1 } }
        try await loop.run { dialer.close() }
        let peer = try #require(peers.withLock { $0.first })
        try await eventually {
          try await loop.run { listener.send(Multipart([2]), to: peer) } == .gone
        }
        try await heard.wait(until: { $0.last == .gone })
      }
    }

    @Test("A dialer reconnects when its listener comes back, and reports every step")
    func reconnect() async throws {
      try await withLoop { loop in
        let events = Recorder<Heard>()
        let first = try await loop.echo()
        let endpoint = first.endpoint
        let dialer = try await loop.dialer(endpoint, events)
        try await events.wait(until: { $0 == [.connected] })
        try await loop.run { first.close() }
        try await events.wait(until: { $0.contains(.disconnected) })
        let outcome = try await loop.run { dialer.send(Multipart([1])) }
        #expect(outcome == .gone)
        try await events.wait(until: { $0.contains(.retrying) })
        // The port is free once the closed socket has gone in the background.
        let second = Mutex<Listener?>(nil)
        try await eventually {
          guard let listener = try? await loop.echo(endpoint.description) else { return false }
          second.withLock { $0 = listener }
          return true
        }
        try await events.wait(until: { $0.filter { $0 == .connected }.count == 2 })
        _ = try await loop.run { dialer.send(Multipart([2])) }
        try await events.wait(until: { $0.last == .message([[2]]) })
      }
    }

    @Test("A dialer knows the port that the system chose, and two listeners cannot have the same one")
    func ports() async throws {
      try await withLoop { loop in
        let listener = try await loop.echo()
        #expect(listener.endpoint.port > 0 && listener.endpoint.host == "127.0.0.1")
        let error = await #expect(throws: MeshError.self) {
          _ = try await loop.echo(listener.endpoint.description)
        }
        #expect(error?.code == .endpointUnavailable)
      }
    }

    @Test("A disconnected peer is cut at its socket, and nothing more of it is heard")
    func disconnect() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard) { listener, event in
          if case .message(_, let peer) = event { listener.disconnect(peer) }
        }
        let events = Recorder<Heard>()
        let dialer = try await loop.dialer(listener.endpoint, events)
        try await events.wait(until: { $0.contains(.connected) })
        _ = try await loop.run {
          _ = dialer.send(Multipart([1]))
          return dialer.send(Multipart([2]))
        }
        try await events.wait(until: { $0.contains(.disconnected) })
        try await heard.wait(until: { $0.contains(.gone) })
        #expect(heard.all == [.arrived(nil), .message([[1]]), .gone])
        try await events.wait(until: { $0.last == .connected && $0.count >= 3 })
      }
    }

    @Test("A peer that stops answering is given up after the heartbeat's timeout")
    func heartbeat() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.run {
          var timings = LinkTimings.quick
          timings.heartbeatInterval = .milliseconds(100)
          timings.heartbeatTimeout = .milliseconds(300)
          return try Listener(
            on: Endpoint("tcp://127.0.0.1:0"), loop: loop, security: .open(allowPublic: false), limits: .client,
            timings: timings
          ) { _, event in heard.add(Heard(event)) }
        }
        // Shakes hands, sends one message and never answers a ping.
        let peer = try RawPeer(port: listener.endpoint.port)
        #expect(await onOwnThread { peer.shakeHands() && peer.send([0, 1, 42]) })
        try await heard.wait(until: { $0.contains(.message([[42]])) })
        try await heard.wait(.seconds(3), until: { $0.last == .gone })
      }
    }

    @Test("Strangers that do not speak ZMTP fail their handshake and disturb nobody")
    func strangers() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.echo("tcp://127.0.0.1:0", heard)
        let events = Recorder<Heard>()
        let dialer = try await loop.dialer(listener.endpoint, events)
        try await events.wait(until: { $0.contains(.connected) })
        for greeting in [Array("GET / HTTP/1.1\r\n\r\n".utf8), [UInt8](repeating: 0xFF, count: 200), [1, 0], []] {
          let stranger = try RawPeer(port: listener.endpoint.port)
          stranger.send(greeting)
        }
        try await heard.wait(until: {
          $0.filter { if case .handshakeFailed = $0 { true } else { false } }.count >= 2
        })
        _ = try await loop.run { dialer.send(Multipart([1])) }
        try await events.wait(until: { $0.last == .message([[1]]) })
      }
    }

    @Test("Dialers appear and disappear with the addresses of a name; failures change nothing")
    func resolver() async throws {
      final class Answers: AddressResolver {
        let answer = Mutex<Result<[String], MeshError>>(.success([]))
        func addresses(of host: String) throws(MeshError) -> [String] { try answer.withLock { $0 }.get() }
      }
      try await withLoop { loop in
        // Every address of 127.0.0.0/8 is this machine.
        let first = try await loop.echo("tcp://127.0.0.2:0")
        let port = first.endpoint.port
        _ = try await loop.echo("tcp://127.0.0.3:\(port)")
        let answers = Answers()
        let seen = Recorder<String>()
        let group = try await loop.run {
          try DialerGroup(
            to: [Endpoint("tcp://gateway.test:\(port)")], loop: loop, security: .open(allowPublic: false),
            timings: .quick, resolver: answers, interval: .milliseconds(20)
          ) { _, event in
            switch event {
            case .appeared(let dialer): seen.add("+\(dialer.endpoint.host)")
            case .disappeared(let dialer):
              seen.add("-\(dialer.endpoint.host)")
              dialer.close()
            case .dialer(let dialer, .connected): seen.add("connected \(dialer.endpoint.host)")
            case .dialer: break
            case .failed(_, let error): seen.add("failed \(error.code)")
            }
          }
        }
        answers.answer.withLock { $0 = .success(["127.0.0.2"]) }
        try await seen.wait(until: { $0 == ["+127.0.0.2", "connected 127.0.0.2"] })
        answers.answer.withLock { $0 = .success(["127.0.0.3", "127.0.0.2"]) }
        try await seen.wait(until: { $0.contains("connected 127.0.0.3") })
        answers.answer.withLock { $0 = .failure(MeshError(.endpointUnavailable, "no name server")) }
        try await seen.wait(until: { $0.contains("failed endpoint unavailable") })
        #expect(try await loop.run { group.dialers.count } == 2)
        answers.answer.withLock { $0 = .success(["127.0.0.3"]) }
        try await seen.wait(until: { $0.contains("-127.0.0.2") })
        #expect(try await loop.run { group.dialers.map(\.endpoint.host) } == ["127.0.0.3"])
        // A name that turns out to lie beyond this machine is not dialled without keys.
        answers.answer.withLock { $0 = .success(["127.0.0.3", "192.0.2.1"]) }
        try await seen.wait(until: { $0.contains("failed insecure") })
        try await loop.run { group.close() }
      }
    }

    @Test("The system's resolver knows localhost")
    func systemResolver() async throws {
      let addresses = try await onOwnThread { Result { try SystemResolver().addresses(of: "localhost") } }.get()
      #expect(addresses.contains("127.0.0.1") || addresses.contains("::1"))
    }
  }
}
