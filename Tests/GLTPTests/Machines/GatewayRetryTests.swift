import GLTP
import Testing

/// The rows of gltp-1.md 7.7.
@Suite struct GatewayRetryTests {
  // MARK: Sessions lost

  @Test func aLostRankerIsReplacedAndItsInputReplayed() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker(chunks: 3)
    let before = mesh.h.take(mesh.ranker, .input)
    mesh.h.ack(.candidates, 2, of: runs.ranker, from: mesh.ranker)
    let spare = mesh.h.worker(.ranker)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    let sent = mesh.h.take(spare)
    #expect(sent[0].header.kind == .request && sent[0].header.attempt == 2)
    #expect(sent[0].header.flags.contains(.retry))
    let after = sent.dropFirst()
    #expect(after.map(\.header.sequence).sorted() == [0, 0, 1, 2] && after.count == before.count)
    #expect(after.allSatisfy { $0.header.attempt == 2 && $0.header.sessionID == spare.session })
    mesh.h.end(of: sent[0].header, from: spare)
    #expect(try mesh.clientEnd().header.status == .ok)
    #expect(mesh.h.machine.counters.retries == 0 && mesh.h.machine.counters.replacements == 1)
  }

  @Test func aLostEncoderRestartsTheRequest() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.encoder)
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.instruction, of: e, from: mesh.encoder)
    mesh.h.chunk(.candidates, final: false, of: e, from: mesh.encoder)
    let a = try mesh.h.run(mesh.aligner)
    let r = try mesh.h.run(mesh.ranker)
    mesh.h.handle(.disconnected(mesh.encoder.id))
    #expect(mesh.h.take(mesh.aligner, .cancel).map(\.header.attempt) == [a.attempt])
    #expect(mesh.h.take(mesh.ranker, .cancel).map(\.header.attempt) == [r.attempt])
    let again = try mesh.h.run(spare)
    #expect(again.attempt == 2)
    mesh.h.encode(again, from: spare)
    #expect(try mesh.h.run(mesh.aligner).attempt == 2)
    #expect(try mesh.h.run(mesh.ranker).attempt == 2)
  }

  @Test func aLostAlignerRestartsTheRequest() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    mesh.h.encode(try mesh.h.run(mesh.encoder), from: mesh.encoder)
    mesh.h.handle(.disconnected(mesh.aligner.id))
    #expect(try mesh.h.run(mesh.encoder).attempt == 2)
  }

  @Test func aWorkerLostAfterItsLastChunkCostsNothing() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.instruction, of: e, from: mesh.encoder)
    mesh.h.chunk(.candidates, of: e, from: mesh.encoder)
    mesh.h.handle(.disconnected(mesh.encoder.id))
    let a = try mesh.h.run(mesh.aligner)
    mesh.h.chunk(.instruction, of: a, from: mesh.aligner)
    mesh.h.handle(.disconnected(mesh.aligner.id))
    #expect(mesh.h.take(mesh.ranker, .cancel).isEmpty)
    #expect(mesh.h.machine.counters.replacements == 0 && mesh.h.machine.footprint.requests == 1)
  }

  @Test func silenceIsALossToo() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker(budget: 60_000)
    let spare = mesh.h.worker(.ranker)
    mesh.h.pass(.seconds(7), alive: [mesh.client, mesh.encoder, mesh.aligner, spare])
    #expect(try mesh.h.run(spare).attempt == runs.ranker.attempt + 1)
  }

  @Test func theClientSeesSnapshotsGoOnAcrossARestart() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.ranker)
    let runs = try mesh.reachRanker(flags: .stream)
    mesh.h.snapshot(0, of: runs.ranker, from: mesh.ranker)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    mesh.h.snapshot(0, of: try mesh.h.run(spare), from: spare)
    #expect(mesh.h.take(mesh.client).map(\.header.sequence) == [0, 1])
  }

  @Test(arguments: [Role.encoder, .aligner, .ranker])
  func aSecondWorkerLostOnTheSameStagePoisonsTheRequest(_ role: Role) throws {
    let mesh = SmallMesh()
    let spares = [Role.encoder, .aligner, .ranker].map { mesh.h.worker($0) }
    _ = try mesh.reachRankerLosing(role, spares: spares)
    let end = try mesh.clientEnd()
    #expect(end.header.status == .poisoned && end.ranking == nil)
    #expect(mesh.h.machine.footprint.requests == 0)
  }

  @Test func aWorkerThatReconnectsIsNoSecondWorker() throws {
    let mesh = SmallMesh(credit: 0)
    var encoder = mesh.h.worker(.encoder, credit: 1, process: 7)
    mesh.h.request(from: mesh.client)
    for _ in 0..<5 {
      _ = try mesh.h.run(encoder)
      mesh.h.handle(.disconnected(encoder.id))
      encoder = mesh.h.worker(.encoder, credit: 1, process: 7)
    }
    #expect(mesh.h.take(mesh.client, .end).isEmpty)
    // Restarted after a crash, it is another process: the request kills whoever takes it.
    mesh.h.handle(.disconnected(encoder.id))
    encoder = mesh.h.worker(.encoder, credit: 1, process: 8)
    mesh.h.handle(.disconnected(encoder.id))
    #expect(try mesh.clientEnd().header.status == .poisoned)
  }

  @Test func lossesOnDifferentStagesDoNotPoison() throws {
    let mesh = SmallMesh()
    let encoder = mesh.h.worker(.encoder)
    let ranker = mesh.h.worker(.ranker)
    mesh.h.request(from: mesh.client)
    _ = try mesh.h.run(mesh.encoder)
    mesh.h.handle(.disconnected(mesh.encoder.id))
    mesh.h.encode(try mesh.h.run(encoder), from: encoder)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    #expect(try mesh.h.run(ranker).attempt == 2)
    #expect(mesh.h.take(mesh.client, .end).isEmpty)
  }

  @Test func anOrderlyByeIsNoEvidenceOfPoison() throws {
    let mesh = SmallMesh(credit: 0)
    mesh.h.request(from: mesh.client)
    for _ in 0..<8 {
      let encoder = mesh.h.worker(.encoder, credit: 1)
      _ = try mesh.h.run(encoder)
      mesh.h.send(MessageHeader(.bye), .bye(detail: nil), from: encoder)
    }
    #expect(mesh.h.take(mesh.client, .end).isEmpty)
    let ninth = mesh.h.worker(.encoder, credit: 1)
    mesh.h.send(MessageHeader(.bye), .bye(detail: nil), from: ninth)
    #expect(try mesh.clientEnd().header.status == .overloaded, "eight times at most")
  }

  // MARK: Overloaded, draining

  @Test(arguments: [Status.overloaded, .draining])
  func aWorkerThatIsFullIsAvoidedAtNoCost(_ status: Status) throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.ranker, credit: 0)
    let runs = try mesh.reachRanker()
    _ = mesh.h.take(mesh.ranker)
    mesh.h.end(status, of: runs.ranker, from: mesh.ranker)
    #expect(mesh.h.take(mesh.ranker).isEmpty, "the run waits for another worker")
    mesh.h.credit(99, from: mesh.ranker)
    #expect(mesh.h.take(mesh.ranker).isEmpty)
    mesh.h.credit(1, from: spare)
    #expect(mesh.h.take(spare).map(\.header.kind) == [.request, .input, .input])
    #expect(mesh.h.machine.counters.retries == 0)
  }

  @Test func whereNoOtherWorkerIsTheSameOneIsAskedEightTimes() throws {
    let mesh = SmallMesh(credit: 100)
    let runs = try mesh.reachRanker()
    var run = runs.ranker
    _ = mesh.h.take(mesh.ranker)
    for _ in 0..<8 {
      mesh.h.end(.overloaded, of: run, from: mesh.ranker)
      run = try mesh.h.run(mesh.ranker)
    }
    mesh.h.end(.overloaded, of: run, from: mesh.ranker)
    let end = try mesh.clientEnd()
    #expect(end.header.status == .overloaded && end.end.retryAfterMilliseconds != nil)
  }

  @Test func aRunThatAvoidsTheOnlyOtherWorkerGetsItWhenTheRestAreGone() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.ranker, credit: 0)
    let runs = try mesh.reachRanker()
    _ = mesh.h.take(mesh.ranker)
    mesh.h.end(.overloaded, of: runs.ranker, from: mesh.ranker)
    mesh.h.handle(.disconnected(spare.id))
    #expect(mesh.h.take(mesh.ranker, .request).count == 1)
  }

  // MARK: Internal

  @Test func anInternalErrorCostsARetryElsewhere() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.ranker)
    let runs = try mesh.reachRanker()
    mesh.h.end(.internal, of: runs.ranker, from: mesh.ranker)
    #expect(try mesh.h.run(spare).attempt == 2)
    #expect(mesh.h.machine.counters.retries == 1)
  }

  @Test func anEncodersInternalErrorRestartsTheRequest() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.encoder)
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.candidates, final: false, of: e, from: mesh.encoder)
    mesh.h.end(.internal, of: e, from: mesh.encoder)
    #expect(try mesh.h.run(spare).attempt == 2)
    #expect(mesh.h.take(mesh.ranker, .cancel).count == 1)
  }

  @Test func theThirdInternalErrorEndsTheRequest() throws {
    let mesh = SmallMesh(credit: 100)
    mesh.h.request(from: mesh.client)
    for _ in 0..<3 { mesh.h.end(.internal, of: try mesh.h.run(mesh.encoder), from: mesh.encoder) }
    #expect(try mesh.clientEnd().header.status == .internal)
    #expect(mesh.h.take(mesh.encoder).isEmpty && mesh.h.machine.counters.retries == 2)
  }

  @Test func allRequestsTogetherRunOutOfRetries() throws {
    let mesh = SmallMesh(credit: 10_000)
    var failed = 0
    for number in 1...60 {
      mesh.h.request(UInt64(number), from: mesh.client)
      while let run = mesh.h.take(mesh.encoder, .request).first?.header {
        mesh.h.end(.internal, of: run, from: mesh.encoder)
        failed += 1
      }
    }
    // 100 tokens at first, and a tenth for each request; each request costs a first run besides.
    #expect(failed == 60 + 105)
    #expect(mesh.h.take(mesh.client, .end).count == 60)
  }

  @Test(arguments: [Role.encoder, .aligner])
  func anEndBeforeTheLastChunkIsAnInternalError(_ role: Role) throws {
    let mesh = SmallMesh()
    let spares = [mesh.h.worker(.encoder), mesh.h.worker(.aligner)]
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.instruction, of: e, from: mesh.encoder)
    if role == .encoder {
      mesh.h.end(of: e, from: mesh.encoder)
    } else {
      mesh.h.end(of: try mesh.h.run(mesh.aligner), from: mesh.aligner)
    }
    #expect(mesh.h.machine.counters.retries == 1)
    #expect(try mesh.h.run(spares[0]).attempt == 2)
  }

  @Test func aChunkAfterTheLastIsAnInternalError() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.candidates, of: e, from: mesh.encoder)
    _ = mesh.h.take(mesh.encoder)
    mesh.h.chunk(.candidates, 1, of: e, from: mesh.encoder)
    #expect(mesh.h.take(mesh.encoder).map(\.header.kind) == [.cancel, .request])
    #expect(mesh.h.machine.counters.retries == 1)
  }

  @Test func anInstructionThatGoesOnOrAnotherBundlesChunkIsAnInternalError() throws {
    for flaw in 0..<2 {
      let mesh = SmallMesh()
      mesh.h.request(from: mesh.client)
      var e = try mesh.h.run(mesh.encoder)
      if flaw == 1 { e.bundle = GatewayHarness.otherBundle.prefix }
      mesh.h.chunk(.instruction, final: flaw == 1, of: e, from: mesh.encoder)
      #expect(mesh.h.machine.counters.retries == 1)
      #expect(mesh.h.take(mesh.aligner).isEmpty)
    }
  }

  // MARK: Damage

  @Test func aGapFailsTheRunAtOnceAndBlamesItsMaker() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.encoder)
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    mesh.h.chunk(.candidates, 0, final: false, of: e, from: mesh.encoder)
    mesh.h.chunk(.candidates, 2, final: false, of: e, from: mesh.encoder)
    #expect(mesh.h.take(mesh.encoder, .cancel).count == 1)
    #expect(try mesh.h.run(spare).attempt == 2)
    #expect(mesh.h.blamed == [mesh.encoder.session] && mesh.h.machine.counters.retries == 1)
  }

  @Test func aGapInSnapshotsRestartsTheRequest() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker()
    mesh.h.snapshot(3, of: runs.ranker, from: mesh.ranker)
    #expect(try mesh.h.run(mesh.encoder).attempt == 2)
    #expect(mesh.h.blamed == [mesh.ranker.session])
  }

  @Test func aWorkersGapIsItsOwnFault() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker()
    mesh.h.end(.sequenceGap, of: runs.ranker, from: mesh.ranker, stream: .candidates, sequence: 0)
    #expect(mesh.h.verifications.isEmpty && mesh.h.blamed == [mesh.ranker.session])
    #expect(try mesh.h.run(mesh.encoder).attempt == 2)
  }

  @Test(arguments: [true, false])
  func aDamagedChunkIsBlamedOnWhoeverDamagedIt(_ isIntact: Bool) throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    let chunk = mesh.h.chunk(.candidates, of: e, from: mesh.encoder)
    _ = mesh.h.take(mesh.encoder)
    let r = try mesh.h.run(mesh.ranker)
    mesh.h.end(.corrupt, of: r, from: mesh.ranker, stream: .candidates, sequence: 0)
    #expect(mesh.h.verifications.map(\.payload) == [chunk])
    #expect(mesh.h.take(mesh.encoder).isEmpty, "the verdict comes first")
    mesh.h.handle(.verified(ticket: mesh.h.verifications[0].ticket, isIntact: isIntact))
    #expect(mesh.h.blamed == [isIntact ? mesh.ranker.session : mesh.encoder.session])
    #expect(mesh.h.take(mesh.encoder).map(\.header.kind) == [.cancel, .request])
    #expect(mesh.h.machine.counters.retries == 1)
  }

  @Test func aDamagedPromptIsTheAligners() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.aligner)
    let runs = try mesh.reachRanker()
    mesh.h.end(.corrupt, of: runs.ranker, from: mesh.ranker, stream: .instruction, sequence: 0)
    mesh.h.handle(.verified(ticket: mesh.h.verifications[0].ticket, isIntact: false))
    #expect(mesh.h.blamed == [mesh.aligner.session])
    mesh.h.encode(try mesh.h.run(mesh.encoder), from: mesh.encoder)
    #expect(mesh.h.take(mesh.aligner, .request).isEmpty && mesh.h.take(spare, .request).count == 1)
  }

  @Test func aComplaintAboutAChunkThatWasNotSentBlamesTheComplainer() throws {
    for (stream, sequence) in [(StreamKind.none, UInt32(0)), (.candidates, 9), (.ranking, 0)] {
      let mesh = SmallMesh()
      let runs = try mesh.reachRanker()
      mesh.h.end(.corrupt, of: runs.ranker, from: mesh.ranker, stream: stream, sequence: sequence)
      #expect(mesh.h.verifications.isEmpty && mesh.h.blamed == [mesh.ranker.session])
    }
  }

  @Test func aVerdictAfterTheEndIsOfNoUse() throws {
    let mesh = SmallMesh()
    let runs = try mesh.reachRanker()
    mesh.h.end(.corrupt, of: runs.ranker, from: mesh.ranker, stream: .candidates, sequence: 0)
    mesh.h.cancel(from: mesh.client)
    mesh.h.handle(.verified(ticket: mesh.h.verifications[0].ticket, isIntact: true))
    #expect(try mesh.clientEnd().header.status == .cancelled)
    #expect(mesh.h.take(mesh.client).isEmpty && mesh.h.take(mesh.encoder, .request).isEmpty)
  }

  @Test func aChunkThatComesDamagedRestartsTheRequest() throws {
    let mesh = SmallMesh()
    let spare = mesh.h.worker(.encoder)
    mesh.h.request(from: mesh.client)
    var e = try mesh.h.run(mesh.encoder)
    e.kind = .partial
    e.stream = .candidates
    mesh.h.handle(.refused(.failsRequest, e, from: mesh.encoder.id))
    #expect(try mesh.h.run(spare).attempt == 2)
    #expect(mesh.h.blamed == [mesh.encoder.session])
  }

  @Test func theThirdDamageEndsTheSessionButNotItsRequests() throws {
    let mesh = SmallMesh(credit: 100)
    for number in 1...3 {
      mesh.h.request(UInt64(number), from: mesh.client)
      let e = try #require(mesh.h.take(mesh.encoder, .request).last).header
      mesh.h.chunk(.candidates, 5, final: false, of: e, from: mesh.encoder)
    }
    #expect(mesh.h.take(mesh.encoder).last?.header.status == .protocol)
    #expect(mesh.h.closed == [mesh.encoder.id] && mesh.h.machine.footprint.requests == 3)
    let spare = mesh.h.worker(.encoder)
    #expect(mesh.h.take(spare, .request).count == 3)
  }

  // MARK: Any other status

  @Test(arguments: [
    (Status.unknownUser, Status.unknownUser), (.unknownItem, .unknownItem), (.notEnoughItems, .notEnoughItems),
    (.badRequest, .badRequest), (.unsupported, .unsupported), (.cancelled, .cancelled), (.deadline, .deadline),
    (.poisoned, .internal), (.stalled, .internal), (.version, .internal), (Status(rawValue: 999), .internal),
  ])
  func anyOtherStatusEndsTheRequest(_ status: Status, _ expected: Status) throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    mesh.h.end(status, of: try mesh.h.run(mesh.encoder), from: mesh.encoder)
    #expect(try mesh.clientEnd().header.status == expected)
    #expect(mesh.h.take(mesh.encoder).isEmpty)
  }
}

extension GatewayHarness {
  /// The sessions that were blamed for damage.
  var blamed: [UInt64] {
    notes.compactMap { note in
      if case .blamed(let session, _) = note { session } else { nil }
    }
  }
}

extension SmallMesh {
  /// A request of which one stage's workers die: the mesh's, then the spare.
  fileprivate func reachRankerLosing(_ role: Role, spares: [GatewayHarness.Peer]) throws -> Bool {
    let own = [encoder, aligner, ranker].first { $0.role == role }
    let spare = spares.first { $0.role == role }
    h.request(from: client)
    var lost = 0
    for _ in 0..<10 where lost < 2 {
      for worker in [encoder, aligner, ranker] + spares {
        guard let run = h.take(worker, .request).first?.header else { continue }
        if worker.role == role {
          #expect(worker.id == own?.id || worker.id == spare?.id)
          h.handle(.disconnected(worker.id))
          lost += 1
        } else if worker.role == .encoder {
          h.encode(run, from: worker)
        } else if worker.role == .aligner {
          h.align(run, from: worker)
        }
      }
    }
    return lost == 2
  }
}
