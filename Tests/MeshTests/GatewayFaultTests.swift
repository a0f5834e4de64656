import GLTP
import Logging
import Mesh
import MeshTestSupport
import Testing

extension GatewayTests {
  @Suite struct Faults {
    @Test("A damaged payload from a client fails its request; the third within a minute ends the session")
    func damagedClient() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let other = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        for number in 1...3 as ClosedRange<UInt64> {
          let list = try client.buffers.strings(.requestExclude, (0..<50).map { "item \($0)" })
          try await client.send(
            MessageHeader(.request, attempt: 1, requestID: .test(number)),
            .rank(RankRequest(userID: "42", count: 3, exclude: list)), change: flip(2, at: -9))
          let end = try await client.next(.end)
          #expect(end.header.status == .corrupt && end.header.requestID == .test(number))
        }
        #expect(try await client.next(.bye).header.status == .protocol)
        try await client.disconnected()
        #expect(workers.encoder.all(.request).isEmpty)

        // Nobody else has noticed.
        try await other.rank(.test(9))
        try await workers.encoder.encode(workers.encoder.next(.request))
        try await workers.finish(from: .aligner)
        #expect(try await other.next(.end).header.status == .ok)
        let counters = try await fixture.status().report.counters
        #expect(counters.damaged == 3 && counters.lostSessions == 1)

        // The socket dials again by itself, and may begin anew.
        try await client.connected()
        try await client.greet(Hello(role: .client))
      }
    }

    @Test("A damaged head cannot be answered, but it counts")
    func damagedHead() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        for number in 1...3 as ClosedRange<UInt64> { try await client.rank(.test(number), change: flip(0, at: 17)) }
        #expect(try await client.next(.bye).header.status == .protocol)
        #expect(client.all(.end).isEmpty)
      }
    }

    @Test("Breaches of structure end the session at once, and no other", arguments: 0..<5)
    func breaches(_ kind: Int) async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let other = try await fixture.client()
        let header = MessageHeader(.request, attempt: 1, requestID: .test(1))
        let body = MessageBody.rank(RankRequest(userID: "42", count: 3))
        switch kind {
        // A part too many.
        case 0: try await client.send(header, body) { $0 + [[1, 2, 3]] }
        // What only gateways send.
        case 1:
          try await client.send(MessageHeader(.input, stage: .ranker, stream: .candidates), .input(client.candidates()))
        // A reserved byte.
        case 2:
          try await client.send(header, body) { parts in
            var head = parts[0]
            head[11] = 1
            return [sealed(head, checksumAt: 60)]
          }
        // Nothing at all.
        case 3: try await client.send(raw: [[]])
        // What only gateways send, well formed and without tensors.
        default: try await client.send(MessageHeader(.credit), .credit(total: 3))
        }
        #expect(try await client.next(.bye).header.status == .protocol)
        try await client.disconnected()
        try await other.send(MessageHeader(.ping, sequence: 3), .ping)
        #expect(try await other.next(.pong).header.sequence == 3)
        #expect(try await fixture.status().footprint.sessions == 1)
      }
    }

    @Test("A chunk that its maker damaged is traced to the maker")
    func damagedByProducer() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        let other = try await fixture.worker(.encoder, name: "other")
        try await fixture.ready()
        try await client.rank(.test(1))
        try await eventually { !workers.encoder.all(.request).isEmpty || !other.all(.request).isEmpty }
        let (bad, good) = workers.encoder.all(.request).isEmpty ? (other, workers.encoder) : (workers.encoder, other)
        // The payload is damaged, not its descriptor: the gateway passes it on unopened.
        try await bad.encode(bad.next(.request), change: flip(3, at: -20))
        let scoring = try await workers.ranker.next(.request)
        _ = try await workers.ranker.next(.undecodable)
        try await workers.ranker.send(
          workers.ranker.header(.end, scoring, stream: .candidates, status: .corrupt), .end(RunEnd()))

        // The request starts again, at the other encoder.
        let again = try await good.next(.request)
        #expect(again.header.attempt == 2)
        try await good.encode(again)
        let aligning = try await workers.aligner.next(.request) { $0.attempt == 2 }
        _ = try await workers.aligner.next(.input)
        try await workers.aligner.send(
          workers.aligner.header(.partial, aligning, flags: .final, stream: .instruction),
          .partial(workers.aligner.prompt()))
        try await workers.aligner.end(aligning, .aligner)
        let rescoring = try await workers.ranker.next(.request)
        #expect(rescoring.header.attempt == 2)
        try await workers.ranker.end(rescoring, .ranker, ranking: workers.ranker.ranking())
        #expect(try await client.next(.end).header.status == .ok)
        #expect(fixture.log.blamed == [bad.sessionID])
        #expect(try await fixture.status().report.counters.retries == 1)
      }
    }

    @Test("A reader that calls an intact chunk damaged is the one to blame")
    func damagedByReader() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        try await workers.encoder.encode(workers.encoder.next(.request))
        let aligning = try await workers.aligner.next(.request)
        try await workers.aligner.send(
          workers.aligner.header(.end, aligning, stream: .instruction, status: .corrupt), .end(RunEnd()))
        #expect(try await workers.encoder.next(.request).header.attempt == 2)
        #expect(fixture.log.blamed == [workers.aligner.sessionID])
      }
    }

    @Test("A chunk whose table or head is damaged goes no further")
    func damagedTable() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        let encoding = try await workers.encoder.next(.request)
        try await workers.encoder.send(
          workers.encoder.header(.partial, encoding, flags: .final, stream: .candidates),
          .partial(workers.encoder.candidates()), change: flip(1, at: 30))
        #expect(try await workers.encoder.next(.cancel).header.attempt == 1)
        #expect(try await workers.encoder.next(.request).header.attempt == 2)
        #expect(workers.ranker.all(.request).isEmpty)
        #expect(fixture.log.blamed == [workers.encoder.sessionID])
      }
    }

    @Test("A worker's payload that is no LZ4 frame, though its checksum is right, ends that worker's session only")
    func forgedFrame() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        let encoding = try await workers.encoder.next(.request)
        try await workers.encoder.send(
          workers.encoder.header(.partial, encoding, flags: .final, stream: .candidates),
          .partial(workers.encoder.candidates())
        ) { parts in
          var parts = parts
          parts[3][0] ^= 1
          let checksum = parts[3].withUnsafeBytes { XXH32.tree($0) }
          for byte in 0..<4 { parts[1][8 + 64 + 44 + byte] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(byte))) }
          parts[1] = sealed(parts[1], checksumAt: 4)
          return parts
        }
        #expect(try await workers.encoder.next(.bye).header.status == .protocol)
        #expect(workers.ranker.all(.request).isEmpty)
        #expect(try await fixture.status().footprint.sessions == 3)
      }
    }

    @Test("A chunk that is missing from a stream starts the request again")
    func gap() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        let encoding = try await workers.encoder.next(.request)
        try await workers.encoder.send(
          workers.encoder.header(.partial, encoding, stream: .candidates, sequence: 1),
          .partial(workers.encoder.candidates()))
        let cancel = try await workers.encoder.next(.cancel)
        #expect(cancel.header.requestID == .test(1) && cancel.header.attempt == 1 && cancel.header.stage == .encoder)
        try await workers.encoder.send(workers.encoder.header(.end, encoding, status: .cancelled), .end(RunEnd()))
        let again = try await workers.encoder.next(.request)
        #expect(again.header.attempt == 2)
        try await workers.encoder.encode(again)
        try await workers.finish(from: .aligner)
        #expect(try await client.next(.end).header.status == .ok)
        #expect(client.all(.end).count == 1)
      }
    }

    @Test("A peer that sends endless parts is cut; the gateway's memory stays within its bound")
    func endlessParts() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let port = try #require(fixture.gateway.clientEndpoint?.port)
        let before = residentBytes()
        let sent = await onOwnThread { () -> Int in
          guard let peer = try? RawPeer(port: port), peer.shakeHands() else { return -1 }
          // Long frames with MORE, of 64 KiB each.
          let frame = [3, 0, 0, 0, 0, 0, 1, 0, 0] + [UInt8](repeating: 7, count: 1 << 16)
          var sent = 0
          while sent < 1 << 30, peer.send(frame) { sent += frame.count }
          return sent
        }
        #expect(sent > 0 && sent < 256 << 20, "sent \(sent) bytes")
        let grown = residentBytes() - before
        #expect(grown < 64 << 20, "memory grew by \(grown >> 10) KiB")
        try await client.send(MessageHeader(.ping, sequence: 9), .ping)
        #expect(try await client.next(.pong).header.sequence == 9)
      }
    }

    @Test("Bombs are refused without the memory that they ask for")
    func bombs() async throws {
      try await withGateway { fixture in
        let idle = try await fixture.status().memory
        for isTooLarge in [true, false] {
          let client = try await fixture.client()
          let items = try client.buffers.strings(.requestItems, Array(repeating: "x", count: 60_000))
          let header = MessageHeader(.request, attempt: 1, requestID: .test(1))
          try await client.send(header, .rank(RankRequest(items: items, count: 3))) { parts in
            var parts = parts
            // 180,000 bytes compress to a few hundred. Say that they are 8 MiB, or that they are fewer than they are.
            let promised = isTooLarge ? 8 << 20 : 90_000
            for byte in 0..<4 {
              let value = UInt8(truncatingIfNeeded: promised >> (8 * byte))
              parts[1][8 + 8 + byte] = value
              parts[1][8 + 32 + byte] = value
              if !isTooLarge { parts[2][6 + byte] = value }
            }
            if !isTooLarge {
              let digest = Array(parts[2][4..<14]).withUnsafeBytes { XXH32.hash($0) }
              parts[2][14] = UInt8(truncatingIfNeeded: digest >> 8)
              let checksum = parts[2].withUnsafeBytes { XXH32.tree($0) }
              for byte in 0..<4 { parts[1][8 + 44 + byte] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(byte))) }
            }
            parts[1] = sealed(parts[1], checksumAt: 4)
            return parts
          }
          if isTooLarge {
            #expect(try await client.next(.bye).header.status == .protocol)
          } else {
            #expect(try await client.next(.end).header.status == .corrupt)
          }
        }
        let after = try await fixture.status().memory
        #expect(after.peakBytes - idle.peakBytes < 1 << 20, "\(after)")
      }
    }

    @Test(
      "Every broken message of the specification is refused, from clients and from workers, and nobody else is hurt")
    func brokenVectors() async throws {
      let vectors = brokenMessages()
      try #require(vectors.count > 50)
      try await withGateway(level: .info) { fixture in
        let client = try await fixture.client()
        let worker = try await fixture.worker(.ranker)
        for endpoint in [fixture.gateway.clientEndpoint, fixture.gateway.workerEndpoint] {
          for batch in stride(from: 0, to: vectors.count, by: 40) {
            let peer = try await HandPeer(#require(endpoint), fixture.loop)
            try await peer.connected()
            for vector in vectors[batch..<min(batch + 40, vectors.count)] { try await peer.send(raw: vector) }
            _ = try await peer.next(.reject)
            try await peer.close()
          }
        }
        let status = try await fixture.status()
        #expect(status.memory.peakBytes < 4 << 20, "\(status.memory)")
        #expect(status.footprint.requests == 0)
        for peer in [client, worker] {
          try await peer.send(MessageHeader(.ping, sequence: 9), .ping)
          #expect(try await peer.next(.pong).header.sequence == 9)
        }
      }
    }

    @Test("A stranger that sends nothing but rubbish is cut")
    func rubbish() async throws {
      try await withGateway(level: .info) { fixture in
        let peer = try await HandPeer(#require(fixture.gateway.clientEndpoint), fixture.loop)
        try await peer.connected()
        for _ in 0..<64 { try await peer.send(raw: [[1, 2, 3]]) }
        try await peer.disconnected()
        #expect(peer.all(.reject).count == 1)
      }
    }

    @Test("A peer that does not read is cut, and its memory bounded")
    func deafClient() async throws {
      try await withGateway(level: .info) { fixture in
        let port = try #require(fixture.gateway.clientEndpoint?.port)
        let client = try await fixture.client()
        let before = residentBytes()
        let hello = client.bytes(Message(header: MessageHeader(.hello), body: .hello(Hello(role: .client))))
        let status = client.bytes(Message(header: MessageHeader(.status), body: .status))
        let isCut = await onOwnThread { () -> Bool in
          guard let peer = try? RawPeer(port: port), peer.shakeHands() else { return false }
          func frame(_ bytes: [UInt8]) -> [UInt8] { [0, UInt8(bytes.count)] + bytes }
          _ = peer.send(frame(hello[0]))
          // Behind what is left of the handshake comes WELCOME, whose head has the session's id at 32.
          var seen: [UInt8] = []
          while !seen.ends(with: Array("GLT1".utf8)) {
            guard let byte = peer.receive(1), seen.count < 1_000 else { return false }
            seen += byte
          }
          guard let welcome = peer.receive(60) else { return false }
          // Each STATUS asks for a REPORT, which nobody reads.
          var head = status[0]
          head.replaceSubrange(32..<40, with: welcome[28..<36])
          let question = frame(sealed(head, checksumAt: 60))
          for _ in 0..<200_000 where !peer.send(question) { return true }
          return false
        }
        #expect(isCut)
        let grown = residentBytes() - before
        #expect(grown < 64 << 20, "memory grew by \(grown >> 10) KiB")
        try await client.send(MessageHeader(.ping, sequence: 9), .ping)
        #expect(try await client.next(.pong).header.sequence == 9)
      }
    }
  }
}

extension Array where Element: Equatable {
  fileprivate func ends(with other: [Element]) -> Bool { count >= other.count && Array(suffix(other.count)) == other }
}

extension LogRecorder {
  /// The sessions that were blamed.
  var blamed: [UInt64] {
    lines.all.filter { $0.text.contains("damaged chunk") }.compactMap {
      $0.metadata["session"].flatMap { UInt64("\($0)") }
    }
  }
}

extension HandPeer {
  enum Undecodable { case undecodable }

  /// The next message that this peer could not decode.
  @discardableResult @inline(never)
  func next(_: Undecodable) async throws -> FrameError {
    try await next("a damaged message") { if case .undecodable(let error) = $0 { error } else { nil } }
  }
}
