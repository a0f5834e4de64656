import GLTP
import Glibc
import Mesh
import MeshTestSupport
import Synchronization
import Testing

extension TransportTests {
  @Suite struct Messages {
    @Test("Messages come back over TCP and within the process", arguments: ["tcp://127.0.0.1:0", "inproc://echo"])
    func echo(_ address: String) async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.echo(address)
        let dialer = try await loop.dialer(listener.endpoint, heard)
        try await heard.wait(until: { $0.contains(.connected) })
        let parts: [[UInt8]] = [[1, 2, 3], [], Array(repeating: 7, count: 100_000)]
        let outcome = try await loop.run {
          let message = loop.messages.take()
          for part in parts { message.append(copying: part) }
          return dialer.send(message)
        }
        #expect(outcome == .sent)
        try await heard.wait(until: { $0.contains(.message(parts)) })
      }
    }

    @Test("Parts are forwarded and shared without copying; their memory stays where it is")
    func forwarding() async throws {
      try await withLoop { loop in
        struct Seen: Sendable, Equatable {
          let received: UInt
          let moved: UInt
          let shared: UInt
        }
        let seen = Recorder<Seen>()
        let heard = Recorder<Heard>()
        let listener = try await loop.listener("tcp://127.0.0.1:0", Recorder()) { listener, event in
          guard case .message(let message, let peer) = event else { return }
          let received = UInt(bitPattern: message[1].baseAddress)
          let replay = loop.messages.take()
          replay.append(sharingPart: 1, of: message)
          let onward = loop.messages.take()
          onward.append(copying: [9])
          onward.append(movingPart: 1, of: message)
          seen.add(
            Seen(
              received: received, moved: UInt(bitPattern: onward[1].baseAddress),
              shared: UInt(bitPattern: replay[0].baseAddress)))
          #expect(listener.send(onward, to: peer) == .sent)
          #expect(listener.send(replay, to: peer) == .sent)
        }
        let dialer = try await loop.dialer(listener.endpoint, heard)
        try await heard.wait(until: { $0.contains(.connected) })
        let payload = [UInt8](repeating: 5, count: 200_000)
        _ = try await loop.run { dialer.send(Multipart([1], payload)) }
        try await heard.wait(until: { $0.contains(.message([[9], payload])) && $0.contains(.message([payload])) })
        let places = try #require(seen.all.first)
        #expect(places.received == places.moved && places.received == places.shared)
      }
    }

    @Test("Pooled buffers are sent in place and return to their pool")
    func pooledBuffers() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.echo()
        let dialer = try await loop.dialer(listener.endpoint, heard)
        try await heard.wait(until: { $0.contains(.connected) })
        let places = Mutex<Set<UInt>>([])
        for round in 0..<20 {
          _ = try await loop.run {
            let buffer = loop.buffers.take(60_000)
            #expect(UInt(bitPattern: buffer.base) % 64 == 0)
            places.withLock { _ = $0.insert(UInt(bitPattern: buffer.base)) }
            buffer.base.initializeMemory(as: UInt8.self, repeating: UInt8(round), count: 60_000)
            let message = loop.messages.take()
            message.append(
              MessagePart(owner: buffer, bytes: UnsafeRawBufferPointer(start: buffer.base, count: 60_000)))
            return dialer.send(message)
          }
          try await heard.wait(until: { $0.last == .message([[UInt8](repeating: UInt8(round), count: 60_000)]) })
        }
        #expect(places.withLock { $0.count } <= 3)
      }
    }

    @Test("Too many parts and too many bytes are dropped, reported, and leave the next message whole")
    func caps() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let atDialer = Recorder<Heard>()
        var limits = EdgeLimits.client
        limits.maxParts = 3
        limits.maxPartBytes = 1_000
        limits.maxMessageBytes = 1_500
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard, limits: limits)
        let dialer = try await loop.dialer(listener.endpoint, atDialer)
        try await atDialer.wait(until: { $0.contains(.connected) })
        _ = try await loop.run {
          _ = dialer.send(Multipart([1], [2], [3], [4], [5]))
          _ = dialer.send(Multipart([UInt8](repeating: 0, count: 900), [UInt8](repeating: 0, count: 900)))
          return dialer.send(Multipart([6], [7], [8]))
        }
        try await heard.wait(until: { $0.contains(.message([[6], [7], [8]])) })
        #expect(
          heard.all == [.arrived(nil), .offence(.tooManyParts), .offence(.tooManyBytes), .message([[6], [7], [8]])])

        // A part over the limit is refused by libzmq before it is read; the connection ends.
        _ = try await loop.run { dialer.send(Multipart([UInt8](repeating: 0, count: 5_000))) }
        try await heard.wait(until: { $0.last == .gone })
      }
    }
  }

  @Suite struct Queues {
    @Test("A full queue parks messages; control goes first and each lane keeps its order; a bound is kept")
    func parking() async throws {
      try await withLoop { loop in
        var limits = EdgeLimits.mesh
        limits.sendHighWater = 2
        limits.receiveHighWater = 2
        limits.maxParkedMessages = 10
        let heard = Recorder<Heard>()
        let peers = Mutex<[Peer]>([])
        let listener = try await loop.listener("inproc://parking", heard, limits: limits) { _, event in
          if case .peerArrived(let peer) = event { peers.withLock { $0.append(peer) } }
        }
        let received = Recorder<Heard>()
        let dialer = try await loop.dialer(listener.endpoint, received, limits: limits)
        try await received.wait(until: { $0.contains(.connected) })
        _ = try await loop.run { dialer.send(Multipart([0])) }
        try await eventually { peers.withLock { $0.count == 1 } }
        let peer = try #require(peers.withLock { $0.first })
        // The dialer shares the loop, so nothing leaves while this runs.
        let outcomes = try await loop.run {
          var outcomes: [SendOutcome] = []
          for number in 0..<20 { outcomes.append(listener.send(Multipart([1, UInt8(number)]), to: peer)) }
          for number in 0..<3 {
            outcomes.append(listener.send(Multipart([2, UInt8(number)]), to: peer, lane: .control))
          }
          return outcomes
        }
        let sent = outcomes.prefix { $0 == .sent }.count
        #expect(sent >= 2 && sent <= 5)
        #expect(outcomes[sent..<(sent + 10)].allSatisfy { $0 == .parked })
        #expect(outcomes[(sent + 10)..<20].allSatisfy { $0 == .full })
        #expect(outcomes[20...].allSatisfy { $0 == .parked })
        try await received.wait(until: { $0.count == 1 + sent + 10 + 3 })
        let order = received.all.dropFirst().compactMap { event -> [UInt8]? in
          guard case .message(let parts) = event else { return nil }
          return parts[0]
        }
        let data = (0..<(sent + 10)).map { [1, UInt8($0)] }
        let control = (0..<3).map { [2, UInt8($0)] }
        #expect(order == Array(data[..<sent]) + control + Array(data[sent...]))
        try await heard.wait(until: { $0.contains(.unparked) })
      }
    }

    @Test("A slow reader over TCP gets everything in order")
    func slowReader() async throws {
      try await withLoop { loop in
        let reader = try IOThread()
        var limits = EdgeLimits.mesh
        limits.sendHighWater = 4
        limits.maxParkedMessages = 100_000
        limits.maxParkedBytes = 1 << 30
        let peers = Mutex<[Peer]>([])
        let listener = try await loop.listener("tcp://127.0.0.1:0", Recorder(), limits: limits) { _, event in
          if case .peerArrived(let peer) = event { peers.withLock { $0.append(peer) } }
        }
        let numbers = Recorder<UInt32>()
        let heard = Recorder<Heard>()
        let dialer = try await reader.loop.run {
          try Dialer(to: listener.endpoint, loop: reader.loop, security: .open(allowPublic: false)) { dialer, event in
            switch event {
            case .connected:
              heard.add(.connected)
              _ = dialer.send(Multipart([0]))
            case .message(let message):
              numbers.add(message[0].load(as: UInt32.self))
              if message[0].load(as: UInt32.self) == 0 { usleep(300_000) }
            default: break
            }
          }
        }
        try await eventually { peers.withLock { $0.count == 1 } }
        let peer = try #require(peers.withLock { $0.first })
        let total = UInt32(400)
        let parked = try await loop.run {
          var parked = 0
          for number in 0..<total {
            let message = loop.messages.take()
            let part = message.appendPart(byteCount: 100_000)
            part.storeBytes(of: number, as: UInt32.self)
            if listener.send(message, to: peer) == .parked { parked += 1 }
          }
          return parked
        }
        #expect(parked > 0)
        try await numbers.wait(until: { $0.count == Int(total) })
        #expect(numbers.all == Array(0..<total))
        withExtendedLifetime(dialer) {}
        #expect(await reader.stop())
      }
    }
  }
}
