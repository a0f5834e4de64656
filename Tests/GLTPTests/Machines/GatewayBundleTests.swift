import GLTP
import Testing

/// Bundles: pinning, the current one, upgrades (gltp-1.md 7.8).
@Suite struct GatewayBundleTests {
  private static let old = GatewayHarness.bundle
  private static let new = GatewayHarness.otherBundle

  private func upgrade(_ mesh: SmallMesh, credit: UInt64 = 4) -> [GatewayHarness.Peer] {
    [Role.encoder, .aligner, .ranker].map { mesh.h.worker($0, credit: credit, bundles: [Self.new]) }
  }

  @Test func aBundleBecomesCurrentWhenEveryStageHasAWorkerOfIt() {
    let h = GatewayHarness()
    _ = h.worker(.encoder)
    _ = h.worker(.aligner)
    #expect(h.machine.report().bundle == nil)
    _ = h.worker(.ranker)
    #expect(h.machine.report().bundle == Self.old)
  }

  @Test func theNewBundleTakesOverOnlyWhenItIsServedThroughout() throws {
    let mesh = SmallMesh()
    _ = mesh.h.worker(.encoder, bundles: [Self.new])
    _ = mesh.h.worker(.aligner, bundles: [Self.new])
    mesh.h.request(1, from: mesh.client)
    #expect(try mesh.h.run(mesh.encoder).bundle == Self.old.prefix)
    _ = mesh.h.worker(.ranker, bundles: [Self.new])
    #expect(mesh.h.machine.report().bundle == Self.new)
    mesh.h.request(2, from: mesh.client)
    #expect(mesh.h.take(mesh.encoder).isEmpty)
  }

  @Test func anOldWorkerThatComesBackDoesNotTurnTheMeshBack() {
    let mesh = SmallMesh()
    _ = upgrade(mesh)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    _ = mesh.h.worker(.ranker, bundles: [Self.old])
    #expect(mesh.h.machine.report().bundle == Self.new)
  }

  @Test func whenTheNewBundleIsTakenBackTheOldOneServesAgain() {
    let mesh = SmallMesh()
    let workers = upgrade(mesh)
    mesh.h.handle(.disconnected(workers[2].id))
    #expect(mesh.h.machine.report().bundle == Self.old)
  }

  @Test func aRequestStaysOnItsBundle() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    let workers = upgrade(mesh)
    mesh.h.encode(e, from: mesh.encoder)
    #expect(mesh.h.take(workers[2]).isEmpty && mesh.h.take(mesh.ranker, .request).count == 1)
  }

  @Test func aClientMayPinItsRequest() throws {
    let mesh = SmallMesh()
    _ = upgrade(mesh)
    mesh.h.request(from: mesh.client, bundle: Self.old.prefix)
    #expect(try mesh.h.run(mesh.encoder).bundle == Self.old.prefix)
  }

  @Test func aRequestWhoseBundleIsGoneIsDoneAgainOnTheCurrentOne() throws {
    let mesh = SmallMesh(credit: 0)
    mesh.h.credit(4, from: mesh.encoder)
    mesh.h.request(from: mesh.client)
    mesh.h.encode(try mesh.h.run(mesh.encoder), from: mesh.encoder)
    let workers = upgrade(mesh)
    // Its ranker's run waits, and now no ranker of the old bundle is left.
    mesh.h.send(MessageHeader(.drain), .drain(detail: nil), from: mesh.ranker)
    let run = try mesh.h.run(workers[0])
    #expect(run.bundle == Self.new.prefix && run.attempt == 2)
    #expect(mesh.h.machine.counters.retries == 0 && mesh.h.machine.footprint.waitingRuns == 0)
  }

  @Test func aPinnedRequestWhoseBundleIsGoneEnds() throws {
    let mesh = SmallMesh(credit: 0)
    _ = upgrade(mesh)
    mesh.h.request(from: mesh.client, bundle: Self.old.prefix)
    mesh.h.handle(.disconnected(mesh.encoder.id))
    #expect(try mesh.clientEnd().header.status == .bundleGone)
  }

  @Test func aStageWithoutAnyWorkerIsWaitedFor() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client, bundle: Self.old.prefix)
    mesh.h.encode(try mesh.h.run(mesh.encoder), from: mesh.encoder)
    mesh.h.handle(.disconnected(mesh.ranker.id))
    #expect(mesh.h.take(mesh.client, .end).isEmpty)
    let ranker = mesh.h.worker(.ranker)
    #expect(mesh.h.take(ranker, .request).count == 1)
  }

  @Test func aWorkerWithoutTheBundleMovesTheRequestOnce() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let e = try mesh.h.run(mesh.encoder)
    let workers = upgrade(mesh)
    mesh.h.end(.bundleGone, of: e, from: mesh.encoder)
    let again = try mesh.h.run(workers[0])
    #expect(again.bundle == Self.new.prefix)
    mesh.h.end(.bundleGone, of: again, from: workers[0])
    #expect(try mesh.clientEnd().header.status == .bundleGone)
  }

  @Test func aWorkerWithoutThePinnedBundleEndsTheRequest() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client, bundle: Self.old.prefix)
    mesh.h.end(.bundleGone, of: try mesh.h.run(mesh.encoder), from: mesh.encoder)
    #expect(try mesh.clientEnd().header.status == .bundleGone)
  }

  @Test func aWorkerOfSeveralBundlesServesEach() throws {
    let mesh = SmallMesh(bundles: [Self.old, Self.new])
    for (number, bundle) in [Self.old, Self.new].enumerated() {
      mesh.h.request(UInt64(number + 1), from: mesh.client, bundle: bundle.prefix)
      #expect(try mesh.h.run(mesh.encoder).bundle == bundle.prefix)
    }
  }

  @Test func oneCreditServesTheOldestOverAllBundles() throws {
    let mesh = SmallMesh(credit: 0, bundles: [Self.old, Self.new])
    mesh.h.request(1, from: mesh.client, bundle: Self.new.prefix)
    mesh.h.request(2, from: mesh.client, bundle: Self.old.prefix)
    mesh.h.request(3, from: mesh.client, priority: .high, bundle: Self.new.prefix)
    var order: [UInt64] = []
    for credit in 1...3 {
      mesh.h.credit(UInt64(credit), from: mesh.encoder)
      order.append(try mesh.h.run(mesh.encoder).requestID.low)
    }
    #expect(order == [3, 1, 2])
  }
}
