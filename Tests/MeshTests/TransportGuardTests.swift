import Glibc
import Mesh
import MeshTestSupport
import Synchronization
import Testing

extension TransportTests {
  @Suite struct Guard {
    /// Sends parts that all say that more follow until the connection is cut; the bytes sent.
    private func attack(_ port: Int, part size: Int, atOnce: Int) async throws -> (bytes: Int, wasCut: Bool) {
      let peer = try RawPeer(port: port)
      return await onOwnThread {
        guard peer.shakeHands() else { return (0, false) }
        let header: [UInt8] =
          size > 255
          ? [3] + withUnsafeBytes(of: UInt64(size).bigEndian) { Array($0) } : [1, UInt8(size)]
        let frame = header + [UInt8](repeating: 0x5A, count: size)
        let burst = Array((0..<atOnce).map { _ in frame }.joined())
        var total = 0
        let end = MonotonicInstant.now.advanced(by: .seconds(20))
        while MonotonicInstant.now < end {
          guard peer.send(burst) else { return (total, true) }
          total += burst.count
        }
        return (total, false)
      }
    }

    @Test("Endless parts are cut off, and memory stays within the stated bound", arguments: [100_000, 200, 1, 0])
    func endlessParts(_ size: Int) async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.echo("tcp://127.0.0.1:0", heard)
        let events = Recorder<Heard>()
        let dialer = try await loop.dialer(listener.endpoint, events)
        try await events.wait(until: { $0.contains(.connected) })
        try await loop.run { dialer.close() }

        var limits = EdgeLimits.client
        limits.maxUndeliveredBytes = 4 << 20
        let edge = try await loop.listener("tcp://127.0.0.1:0", heard, limits: limits)
        let highest = Mutex(0)
        let isOver = Atomic<Bool>(false)
        let before = residentBytes()
        async let watch: Void = onOwnThread {
          while !isOver.load(ordering: .relaxed) {
            let now = residentBytes()
            highest.withLock { $0 = max($0, now) }
            usleep(500)
          }
        }
        let result = try await attack(edge.endpoint.port, part: size, atOnce: max(1, 65_536 / (size + 2)))
        isOver.store(true, ordering: .relaxed)
        await watch
        #expect(result.wasCut)
        try await heard.wait(until: {
          $0.contains { if case .refused(.endlessMessage) = $0 { true } else { false } }
        })
        // 4 MiB, and what a loopback at 3 GB/s brings within three looks (the machine is shared); times 64 bytes a part.
        let wire = (4 << 20) + 90_000_000
        let factor = size > 255 ? 1.2 : Double(64 + size) / Double(size + 2)
        let grown = highest.withLock { $0 } - before
        print("endless parts of \(size) bytes: \(result.bytes >> 10) KiB sent, memory grew by \(grown >> 10) KiB")
        #expect(Double(grown) < Double(wire) * factor)
        #expect(grown < 400 << 20)
      }
    }

    @Test("An endless message from a peer that has sent honest ones is cut, too, and its end reported")
    func endlessAfterHonest() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard, limits: .client)
        let peer = try RawPeer(port: listener.endpoint.port)
        let wasCut = await onOwnThread {
          guard peer.shakeHands() else { return false }
          for number in 0..<100 { peer.send([0, 1, UInt8(number)]) }
          let frame = [3] + withUnsafeBytes(of: UInt64(60_000).bigEndian) { Array($0) }
          let part = frame + [UInt8](repeating: 0, count: 60_000)
          for _ in 0..<100_000 where !peer.send(part) { return true }
          return false
        }
        #expect(wasCut)
        try await heard.wait(until: { $0.last == .gone })
        #expect(heard.all.filter { if case .message = $0 { true } else { false } }.count == 100)
        #expect(heard.all.contains { if case .offence(.endlessMessage) = $0 { true } else { false } })
      }
    }

    @Test("Many peers together stay under the common bound; honest ones are not cut")
    func manyAttackers() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        var limits = EdgeLimits.client
        limits.maxUndeliveredBytes = 4 << 20
        limits.maxUndeliveredBytesInAll = 6 << 20
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard, limits: limits) { listener, event in
          if case .message(let message, let peer) = event { _ = listener.send(message, to: peer) }
        }
        let events = Recorder<Heard>()
        let honest = try await loop.dialer(listener.endpoint, events)
        try await events.wait(until: { $0.contains(.connected) })
        _ = try await loop.run { honest.send(Multipart([1])) }
        // Each sends three megabytes of one message, which alone would be allowed, and then nothing.
        let attackers = try (0..<5).map { _ in try RawPeer(port: listener.endpoint.port) }
        for attacker in attackers {
          await onOwnThread {
            guard attacker.shakeHands() else { return }
            let part =
              [3] + withUnsafeBytes(of: UInt64(60_000).bigEndian) { Array($0) }
              + [UInt8](repeating: 0, count: 60_000)
            for _ in 0..<50 where !attacker.send(part) { return }
          }
        }
        try await heard.wait(until: {
          $0.filter { if case .refused(.endlessMessage) = $0 { true } else { false } }.count >= 3
        })
        _ = try await loop.run { honest.send(Multipart([2])) }
        try await events.wait(until: { $0.last == .message([[2]]) })
        #expect(!events.all.contains(.disconnected))
        withExtendedLifetime(attackers) {}
      }
    }

    @Test("A busy honest peer is never cut: far more than the bound passes, heartbeats and all")
    func honestLoad() async throws {
      try await withLoop { loop in
        let heard = Recorder<Int>()
        let listener = try await loop.run {
          var limits = EdgeLimits.client
          limits.maxUndeliveredBytes = 3 << 20
          var timings = LinkTimings.quick
          timings.heartbeatInterval = .milliseconds(1)
          timings.heartbeatTimeout = .seconds(3)
          return try Listener(
            on: Endpoint("tcp://127.0.0.1:0"), loop: loop, security: .open(allowPublic: false), limits: limits,
            timings: timings
          ) { _, event in
            switch event {
            case .message(let message, _): heard.add(message.byteCount)
            case .offence, .refused, .peerGone: heard.add(-1)
            default: break
            }
          }
        }
        let other = try IOThread()
        let events = Recorder<Heard>()
        var roomy = EdgeLimits.mesh
        roomy.maxParkedBytes = 1 << 30
        roomy.maxParkedMessages = 10_000
        let dialer = try await other.loop.dialer(listener.endpoint, events, limits: roomy)
        try await events.wait(until: { $0.contains(.connected) })
        for _ in 0..<20 {
          _ = try await other.loop.run {
            for _ in 0..<50 { _ = dialer.send(Multipart([1], [UInt8](repeating: 2, count: 100_000))) }
          }
          try await Task.sleep(for: .milliseconds(20))
        }
        try await heard.wait(until: { $0.count >= 1_000 })
        #expect(heard.all.allSatisfy { $0 == 100_001 })
        #expect(await other.stop())
      }
    }

    @Test("Connections beyond the limit, silent ones and those with an id of their own are cut")
    func refusals() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        var limits = EdgeLimits.client
        limits.maxConnections = 3
        limits.firstMessage = .milliseconds(300)
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard, limits: limits)
        let silent = try (0..<4).map { _ in try RawPeer(port: listener.endpoint.port) }
        try await heard.wait(until: { $0.contains(.refused(.tooManyConnections)) })
        try await heard.wait(until: { $0.filter { $0 == .refused(.noMessage) }.count == 3 })
        withExtendedLifetime(silent) {}
        for identity in [Array("gateway".utf8), [1], [UInt8](repeating: 9, count: 100)] {
          let before = heard.all.filter { $0 == .refused(.ownRoutingID) }.count
          try await eventually {
            let peer = try RawPeer(port: listener.endpoint.port)
            _ = await onOwnThread { peer.shakeHands(identity: identity) && peer.send([0, 1, 42]) }
            try await Task.sleep(for: .milliseconds(20))
            withExtendedLifetime(peer) {}
            return heard.all.filter { $0 == .refused(.ownRoutingID) }.count > before
          }
        }
        #expect(!heard.all.contains { if case .message = $0 { true } else { false } })
      }
    }
  }
}
