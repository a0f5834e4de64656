import GLTP
import Testing

/// Windows, the replay buffer and sequence numbers (gltp-1.md 6.5, 6.6).
@Suite struct GatewayStreamTests {
  @Test func aProducerIsAcknowledgedAsItsChunksAreKept() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    for sequence in 0..<6 { mesh.h.chunk(.candidates, UInt32(sequence), final: false, of: e, from: mesh.encoder) }
    let acks = mesh.h.take(mesh.encoder)
    #expect(acks.map(\.header.sequence) == [1, 2, 3, 4, 5, 6])
    #expect(
      acks.allSatisfy { $0.header.kind == .ack && $0.header.stream == .candidates && $0.header.stage == .encoder })
  }

  @Test(arguments: [UInt32(1), 2, 4, 9, 0])
  func aConsumerIsSentNoMoreThanItsWindow(_ window: UInt32) throws {
    let mesh = SmallMesh()
    mesh.h.handle(.disconnected(mesh.ranker.id))
    let ranker = mesh.h.worker(.ranker, window: window)
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    for sequence in 0..<8 {
      mesh.h.chunk(.candidates, UInt32(sequence), final: sequence == 7, of: e, from: mesh.encoder)
    }
    let expected = Int(min(max(window, 1), 4))
    let first = mesh.h.take(ranker)
    let r = first[0].header
    #expect(first.dropFirst().map(\.header.sequence) == (0..<expected).map { UInt32($0) })
    mesh.h.ack(.candidates, 1, of: r, from: ranker)
    #expect(mesh.h.take(ranker).map(\.header.sequence) == [UInt32(expected)])
    // An ACK that says no more than the last one opens nothing.
    mesh.h.ack(.candidates, 1, of: r, from: ranker)
    mesh.h.ack(.candidates, 0, of: r, from: ranker)
    #expect(mesh.h.take(ranker).isEmpty)
  }

  @Test func theTwoStreamsOfARankerHaveWindowsOfTheirOwn() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    for sequence in 0..<6 { mesh.h.chunk(.candidates, UInt32(sequence), final: false, of: e, from: mesh.encoder) }
    mesh.h.chunk(.instruction, of: e, from: mesh.encoder)
    mesh.h.align(try mesh.h.run(mesh.aligner), from: mesh.aligner)
    let inputs = mesh.h.take(mesh.ranker, .input)
    #expect(inputs.map(\.header.stream) == [.candidates, .candidates, .candidates, .candidates, .instruction])
    #expect(inputs.last?.header.flags == .final)
  }

  @Test func anAckOfWhatWasNeverSentIsABreach() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker()
    mesh.h.ack(.candidates, 2, of: runs.ranker, from: mesh.ranker)
    #expect(mesh.h.take(mesh.ranker).last?.header.status == .protocol)
    let other = SmallMesh()
    other.h.request(from: other.client, flags: .stream)
    other.h.ackRanking(1, from: other.client)
    #expect(other.h.take(other.client).last?.header.status == .protocol)
  }

  @Test func aDuplicateChunkIsDropped() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.candidates, 0, final: false, of: e, from: mesh.encoder)
    mesh.h.chunk(.candidates, 0, final: false, of: e, from: mesh.encoder)
    #expect(mesh.h.take(mesh.ranker, .input).count == 1 && mesh.h.machine.counters.duplicates == 1)
  }

  @Test func aChunkOfAnEarlierAttemptOrAnotherSessionIsLate() throws {
    let mesh = SmallMesh()
    let other = mesh.h.worker(.encoder)
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    var wrong = e
    wrong.attempt = 9
    mesh.h.chunk(.candidates, of: wrong, from: mesh.encoder)
    mesh.h.chunk(.candidates, of: e, from: other)
    #expect(mesh.h.take(mesh.ranker).isEmpty && mesh.h.machine.counters.late == 2)
  }

  @Test func aFullBufferHoldsItsProducerBackUntilTheRankerHasReadOn() throws {
    let mesh = SmallMesh { $0.replayBytes = 10_000 }
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    for sequence in 0..<6 {
      mesh.h.chunk(.candidates, UInt32(sequence), final: false, bytes: 3000, of: e, from: mesh.encoder)
    }
    #expect(mesh.h.take(mesh.encoder).map(\.header.sequence) == [1, 2, 3])
    let r = try mesh.h.run(mesh.ranker)
    mesh.h.ack(.candidates, 3, of: r, from: mesh.ranker)
    #expect(mesh.h.take(mesh.encoder).map(\.header.sequence) == [6])
    #expect(mesh.h.machine.footprint.heldBytes == 3 * 3256)
    // What was dropped cannot be replayed: with the ranker, the request starts again.
    let spare = mesh.h.worker(.ranker)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    #expect(mesh.h.take(spare).isEmpty)
    #expect(mesh.h.take(mesh.encoder).map(\.header.kind) == [.cancel, .request])
    #expect(mesh.h.machine.footprint.heldBytes == 0)
  }

  @Test func chunksAgainstAClosedWindowFailTheRun() throws {
    let mesh = SmallMesh { $0.replayBytes = 1000 }
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    for sequence in 0..<4 {
      mesh.h.chunk(.candidates, UInt32(sequence), final: false, bytes: 3000, of: e, from: mesh.encoder)
    }
    #expect(mesh.h.take(mesh.encoder).isEmpty)
    mesh.h.chunk(.candidates, 4, final: false, bytes: 3000, of: e, from: mesh.encoder)
    #expect(mesh.h.take(mesh.encoder).map(\.header.kind) == [.cancel, .request])
  }

  @Test func theAlignersInputIsForgottenWithItsEnd() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.instruction, bytes: 1000, of: e, from: mesh.encoder)
    let a = try mesh.h.run(mesh.aligner)
    mesh.h.chunk(.instruction, bytes: 500, of: a, from: mesh.aligner)
    #expect(mesh.h.machine.footprint.heldBytes == 1256 + 756)
    mesh.h.end(of: a, from: mesh.aligner)
    #expect(mesh.h.machine.footprint.heldBytes == 756)
  }

  @Test func tooManyBytesInAllRefuseNewRequests() throws {
    let mesh = SmallMesh { $0.totalReplayBytes = 1000 }
    mesh.h.request(1, from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.candidates, final: false, bytes: 2000, of: e, from: mesh.encoder)
    mesh.h.request(2, from: mesh.client)
    #expect(try mesh.clientEnd().header.status == .overloaded)
  }

  // MARK: Snapshots

  @Test func aSlowClientGetsTheNewestSnapshotOnly() throws {
    let mesh = SmallMesh(clientWindow: 2)
    let runs = try mesh.reachRanker(flags: .stream)
    var snapshots: [GatewayTestPayload] = []
    for sequence in 0..<6 {
      snapshots.append(mesh.h.snapshot(UInt32(sequence), of: runs.ranker, from: mesh.ranker))
    }
    #expect(mesh.h.take(mesh.client).map(\.header.sequence) == [0, 1])
    #expect(mesh.h.take(mesh.ranker, .ack).map(\.header.sequence) == [1, 2, 3, 4, 5, 6], "rankers are not held up")
    mesh.h.ackRanking(1, from: mesh.client)
    let next = mesh.h.take(mesh.client)
    guard next.count == 1, case .chunk(snapshots[5]) = next[0].body else { throw SmallMesh.NoEnd() }
    #expect(next[0].header.sequence == 2 && mesh.h.machine.counters.skippedSnapshots == 3)
    mesh.h.ackRanking(3, from: mesh.client)
    #expect(mesh.h.take(mesh.client).isEmpty)
  }

  @Test func aClientThatTakesNothingForHalfAMinuteIsStalled() throws {
    let mesh = SmallMesh(clientWindow: 1)
    let runs = try mesh.reachRanker(flags: .stream, budget: 600_000)
    mesh.h.snapshot(0, of: runs.ranker, from: mesh.ranker)
    mesh.h.pass(.seconds(29), alive: mesh.all)
    mesh.h.ackRanking(1, from: mesh.client)
    mesh.h.snapshot(1, of: runs.ranker, from: mesh.ranker)
    mesh.h.pass(.seconds(29), alive: mesh.all)
    #expect(mesh.h.machine.footprint.requests == 1)
    mesh.h.pass(.seconds(1), alive: mesh.all)
    let end = try mesh.clientEnd()
    #expect(end.header.status == .stalled && end.ranking == nil && end.header.flags.isEmpty)
    #expect(mesh.h.take(mesh.ranker, .cancel).count == 1)
  }

  @Test func anAckOfAnotherSendingIsLate() throws {
    let mesh = SmallMesh(clientWindow: 1)
    let runs = try mesh.reachRanker(flags: .stream)
    mesh.h.snapshot(0, of: runs.ranker, from: mesh.ranker)
    mesh.h.snapshot(1, of: runs.ranker, from: mesh.ranker)
    _ = mesh.h.take(mesh.client)
    mesh.h.ackRanking(1, attempt: 2, from: mesh.client)
    #expect(mesh.h.take(mesh.client).isEmpty)
  }
}
