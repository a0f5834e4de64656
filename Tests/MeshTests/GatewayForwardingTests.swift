import GLTP
import Logging
import Mesh
import MeshTestSupport
import Testing

extension GatewayTests {
  @Suite struct Forwarding {
    @Test("Chunks reach their readers bit for bit, but for their headers; snapshots and the END reach the client")
    func bits() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        let (encoder, aligner, ranker) = (workers.encoder, workers.aligner, workers.ranker)
        try await fixture.ready()
        try await client.rank(.test(7), flags: [.stream, .titles])

        let encoding = try await encoder.next(.request)
        #expect(encoding.header.stage == .encoder && encoding.header.attempt == 1)
        #expect(encoding.header.bundle == HandPeer.bundle)
        #expect((1...20_000).contains(encoding.header.budgetMilliseconds))
        guard case .rank(let asked) = encoding.message.body else { throw Timeout() }
        #expect(asked.userID == "42" && asked.count == 3)

        var sent: [[[UInt8]]] = []
        func keep(_ parts: [[UInt8]]) -> [[UInt8]] {
          sent.append(parts)
          return parts
        }
        try await encoder.send(
          encoder.header(.partial, encoding, flags: .final, stream: .instruction), .partial(encoder.instruction()),
          change: keep)
        try await encoder.send(
          encoder.header(.partial, encoding, stream: .candidates), .partial(encoder.candidates(1_000)), change: keep)
        let acknowledged = try await encoder.next(.ack).header
        #expect(acknowledged.stream == .candidates && acknowledged.sequence == 1)
        try await encoder.send(
          encoder.header(.partial, encoding, flags: .final, stream: .candidates, sequence: 1),
          .partial(encoder.candidates(31)), change: keep)
        try await encoder.end(encoding, .encoder)

        let aligning = try await aligner.next(.request)
        #expect(aligning.header.stage == .aligner && aligning.header.attempt == 1)
        let instruction = try await aligner.next(.input)
        try compare(instruction, sent[0], aligning, .final, 0)
        try await aligner.send(
          aligner.header(.partial, aligning, flags: .final, stream: .instruction), .partial(aligner.prompt()),
          change: keep)
        try await aligner.end(aligning, .aligner)

        let scoring = try await ranker.next(.request)
        #expect(scoring.header.stage == .ranker && scoring.header.flags == [.stream, .titles])
        let first = try await ranker.next(.input) { $0.stream == .candidates }
        try compare(first, sent[1], scoring, [], 0)
        let others = try await [ranker.next(.input), ranker.next(.input)]
        let second = try #require(others.first { $0.header.stream == .candidates })
        try compare(second, sent[2], scoring, .final, 1)
        let prompt = try #require(others.first { $0.header.stream == .instruction })
        try compare(prompt, sent[3], scoring, .final, 0)

        try await ranker.send(
          ranker.header(.partial, scoring, flags: .provisional, stream: .ranking),
          .partial(.ranking(ranker.ranking(["x", "y"]))), change: keep)
        let snapshot = try await client.next(.partial)
        #expect(snapshot.header.stage == .none && snapshot.header.flags == .provisional)
        #expect(snapshot.header.sessionID == client.sessionID && snapshot.header.sequence == 0)
        #expect(Array(snapshot.bytes[1...]) == Array(sent[4][1...]))
        #expect(snapshot.bytes[0][64...] == sent[4][0][64...])
        try await client.send(
          MessageHeader(.ack, stream: .ranking, attempt: 1, requestID: .test(7), sequence: 1), .ack)

        var end: [[UInt8]] = []
        try await ranker.send(
          ranker.header(.end, scoring),
          .end(
            RunEnd(
              ranking: ranker.ranking(), rankerTiming: RunTiming(queue: 1, decode: 2, compute: 3, encode: 4))),
          change: {
            end = $0
            return $0
          })
        let answer = try await client.next(.end)
        #expect(answer.header.status == .ok && answer.header.flags.isEmpty && answer.header.attempt == 1)
        #expect(answer.header.requestID == .test(7) && answer.header.bundle == HandPeer.bundle)
        #expect(Array(answer.bytes[1...]) == Array(end[1...]))
        guard case .end(let body) = answer.message.body else { throw Timeout() }
        #expect(body.ranking?.items.strings == ["a", "b", "c"])
        #expect(body.ranking?.itemsSeen == 700 && body.ranking?.itemsTotal == 700)
        #expect(body.encoderTiming?.compute == 3 && body.alignerTiming?.encode == 4)
        #expect(body.rankerTiming?.compute == 3 && body.rankerTiming?.queue ?? 0 >= 1)

        let status = try await fixture.status()
        #expect(status.footprint.requests == 0 && status.footprint.heldBytes == 0 && status.report.counters.late == 0)
      }
    }

    private func compare(
      _ input: Received, _ sent: [[UInt8]], _ run: Received, _ flags: MessageFlags, _ sequence: UInt32,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      #expect(Array(input.bytes[1...]) == Array(sent[1...]), sourceLocation: sourceLocation)
      #expect(input.bytes[0][64...] == sent[0][64...], sourceLocation: sourceLocation)
      let header = input.header
      #expect(header.kind == .input && header.flags == flags, sourceLocation: sourceLocation)
      #expect(header.stage == run.header.stage && header.attempt == run.header.attempt, sourceLocation: sourceLocation)
      #expect(header.sessionID == run.header.sessionID && header.sequence == sequence, sourceLocation: sourceLocation)
      #expect(header.requestID == run.header.requestID, sourceLocation: sourceLocation)
      #expect(header.bundle == run.header.bundle && header.budgetMilliseconds > 0, sourceLocation: sourceLocation)
    }

    @Test("A thousand requests leave nothing behind, and the pools stop growing")
    func steadyState() async throws {
      try await withGateway(level: .info) { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        for peer in [workers.encoder, workers.aligner, workers.ranker] {
          try await peer.send(MessageHeader(.credit), .credit(total: 1_000_000))
        }
        var allocations = 0
        for number in 1...300 as ClosedRange<UInt64> {
          try await client.rank(.test(number))
          try await workers.encoder.encode(workers.encoder.next(.request))
          try await workers.finish(from: .aligner)
          #expect(try await client.next(.end).header.status == .ok)
          if number == 50 { allocations = try await fixture.status().memory.allocations }
        }
        let status = try await fixture.status()
        // The report that `status` makes may take a buffer of its own.
        #expect(status.memory.allocations <= allocations + 2)
        #expect(status.footprint.heldBytes == 0 && status.footprint.requests == 0)
        #expect(status.report.counters.accepted == 300 && status.report.counters.endsByStatus[0] == 300)
      }
    }

    @Test("The deadline ends a request with the best ranking so far, marked so")
    func deadline() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1), budget: 600)
        try await workers.encoder.encode(workers.encoder.next(.request))
        let scoring = try await workers.ranker.next(.request)
        try await workers.ranker.send(
          workers.ranker.header(.partial, scoring, flags: .provisional, stream: .ranking),
          .partial(.ranking(workers.ranker.ranking())))
        let end = try await client.next(.end)
        #expect(end.header.status == .deadline && end.header.flags == [.incomplete, .provisional])
        guard case .end(let body) = end.message.body else { throw Timeout() }
        #expect(body.ranking?.items.strings == ["a", "b", "c"])
        #expect(try await workers.ranker.next(.cancel).header.requestID == .test(1))
        #expect(try await workers.aligner.next(.cancel).header.attempt == 1)
      }
    }

    @Test("A worker that dies in the middle is replaced; the client sees one END")
    func replacement() async throws {
      try await withGateway { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        try await workers.encoder.encode(workers.encoder.next(.request))
        _ = try await workers.ranker.next(.request)
        let other = try await fixture.worker(.ranker, name: "other")
        try await workers.ranker.close()
        let again = try await other.next(.request)
        #expect(again.header.attempt == 2)
        let aligning = try await workers.aligner.next(.request)
        try await workers.aligner.send(
          workers.aligner.header(.partial, aligning, flags: .final, stream: .instruction),
          .partial(workers.aligner.prompt()))
        try await workers.aligner.end(aligning, .aligner)
        _ = try await other.next(.input) { $0.stream == .candidates }
        _ = try await other.next(.input) { $0.stream == .instruction }
        try await other.end(again, .ranker, ranking: other.ranking())
        #expect(try await client.next(.end).header.status == .ok)
        #expect(client.all(.end).count == 1)
      }
    }

    @Test("STATUS gets a REPORT: JSON with the workers' own reports, as far as they are JSON")
    func report() async throws {
      try await withGateway({ $0.name = "g\"1" }) { fixture in
        let client = try await fixture.client()
        let workers = try await Workers(fixture)
        try await fixture.ready()
        try await client.rank(.test(1))
        try await workers.encoder.encode(workers.encoder.next(.request))
        try await workers.finish(from: .aligner)
        _ = try await client.next(.end)
        try await client.send(MessageHeader(.status, requestID: .test(2)), .status)
        for (peer, text) in [
          (workers.encoder, #"{"role": "encoder", "slots": 4}"#), (workers.aligner, #"{"unfinished": "#),
          (workers.ranker, "nonsense"),
        ] {
          let asked = try await peer.next(.status)
          let json = peer.buffers.vector(.report, .u8, Array(text.utf8))
          try await peer.send(
            MessageHeader(.report, requestID: asked.header.requestID), .report(StatusReport(json: json)))
        }
        let received = try await client.next(.report)
        #expect(received.header.requestID == .test(2))
        guard case .report(let report) = received.message.body else { throw Timeout() }
        let bytes = report.json.withUnsafeBytes { Array($0) }
        #expect(bytes.withUnsafeBytes { JSONCheck.isObject($0) })
        let text = String(decoding: bytes, as: UTF8.self)
        for member in [
          #""role":"gateway""#, #""peer":"g\"1""#, #""bundle":"0102030405060708"#, #""report":{"role": "encoder""#,
          #""report":null"#, #""accepted":1"#, #""by_status":{"OK":1}"#, #""queue":{"encoder":0"#,
          #""compute":{"count":1"#,
        ] {
          #expect(text.contains(member), "\(member) is missing in \(text)")
        }
      }
    }

    @Test("JSON is told from what only looks like it")
    func json() {
      func check(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { JSONCheck.isObject($0) } }
      for text in [
        "{}", " { } ", #"{"a":[1,-0,2.5e-3,1E+9,true,false,null,"\u00e9\n\"",{}]}"#, #"{"ä":{"b":[[]]}}"#,
      ] {
        #expect(check(text), "\(text)")
      }
      let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
      for text in [
        "", "1", "[]", "{", "}", "{}}", "{} x", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{a:1}"#, #"{"a":01}"#,
        #"{"a":1.}"#, #"{"a":.5}"#, #"{"a":+1}"#, #"{"a":1e}"#, #"{"a":"\x"}"#, #"{"a":"\u12g4"}"#, "{\"a\":\"\n\"}",
        #"{"a":"x}"#, #"{"a":nul}"#, #"{"a":[1 2]}"#, #"{"a":\#(deep)}"#,
      ] {
        #expect(!check(text), "\(text)")
      }
      #expect(![0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D].withUnsafeBytes { JSONCheck.isObject($0) })
    }
  }
}
