import GLTP
import Testing

/// The rows of gltp-1.md 10.2, and who is let in.
@Suite struct GatewaySessionTests {
  @Test func aWorkerIsWelcomedWithASessionOfItsOwn() throws {
    let h = GatewayHarness { $0.firstSessionID = 77 }
    let peer = h.newPeer(.workers)
    let answer = try #require(h.hello(Hello(role: .encoder, slots: 2, bundles: [GatewayHarness.bundle]), as: peer))
    guard case .control(.welcome(let welcome)) = answer.body else { throw SmallMesh.NoEnd() }
    #expect(answer.header.sessionID == 77)
    #expect(welcome.version == .current && welcome.role == .gateway)
    #expect(welcome.heartbeatMilliseconds == 2000 && welcome.expiryMilliseconds == 6000)
    #expect(welcome.limits == .mesh && welcome.bundles.isEmpty)
    #expect(h.client().session == 78)
  }

  @Test func aClientLearnsTheCurrentBundleAndItsSmallerLimits() throws {
    let mesh = SmallMesh()
    let answer = try #require(mesh.h.hello(Hello(role: .client), as: mesh.h.newPeer(.clients)))
    guard case .control(.welcome(let welcome)) = answer.body else { throw SmallMesh.NoEnd() }
    #expect(welcome.bundles == [GatewayHarness.bundle] && welcome.limits == .clientEdge)
  }

  @Test func aHigherMinorIsNegotiatedDownAndAnotherMajorRefused() throws {
    let h = GatewayHarness()
    func range(_ low: (UInt8, UInt8), _ high: (UInt8, UInt8)) -> VersionRange {
      VersionRange(lowest: .init(major: low.0, minor: low.1), highest: .init(major: high.0, minor: high.1))
    }
    let newer = try #require(h.hello(Hello(role: .client, versions: range((1, 0), (1, 1))), as: h.newPeer(.clients)))
    #expect(newer.header.kind == .welcome)
    for versions in [range((1, 1), (1, 4)), range((2, 0), (2, 0)), range((0, 1), (0, 9))] {
      let answer = try #require(h.hello(Hello(role: .client, versions: versions), as: h.newPeer(.clients)))
      #expect(answer.header.status == .version && answer.header.sessionID == 0)
      guard case .control(.reject(let reject)) = answer.body else { throw SmallMesh.NoEnd() }
      #expect(reject.versions == .supported)
    }
  }

  @Test(arguments: [
    (Role.client, PeerID.Listener.workers, Role?.none), (.encoder, .clients, nil), (.gateway, .workers, nil),
    (.encoder, .workers, .ranker), (.encoder, .workers, .client), (.client, .clients, .aligner),
  ])
  func aKeyOrASocketThatMayNotPlayTheRoleIsRefused(_ role: Role, _ listener: PeerID.Listener, _ key: Role?) throws {
    let h = GatewayHarness()
    let hello = Hello(role: role, slots: 1, bundles: [GatewayHarness.bundle])
    let answer = try #require(h.hello(hello, as: h.newPeer(listener), key: key))
    #expect(answer.header.kind == .reject && answer.header.status == .unauthorized)
    #expect(h.machine.footprint.sessions == 0)
  }

  @Test func aKeyThatMayPlayTheRoleIsWelcome() throws {
    let h = GatewayHarness()
    let hello = Hello(role: .ranker, slots: 1, bundles: [GatewayHarness.bundle])
    #expect(h.hello(hello, as: h.newPeer(.workers), key: .ranker)?.header.kind == .welcome)
  }

  @Test func aWorkerWithoutSlotsOrBundlesIsRefused() throws {
    let h = GatewayHarness()
    for hello in [
      Hello(role: .ranker, slots: 0, bundles: [GatewayHarness.bundle]), Hello(role: .ranker, slots: 1),
      Hello(role: .ranker, bundles: [GatewayHarness.bundle]),
    ] {
      #expect(h.hello(hello, as: h.newPeer(.workers))?.header.status == .protocol)
    }
  }

  @Test func sessionsAndBundlesAreBounded() throws {
    let h = GatewayHarness {
      $0.maximumClients = 1
      $0.maximumBundles = 2
    }
    _ = h.client()
    #expect(h.hello(Hello(role: .client), as: h.newPeer(.clients))?.header.status == .overloaded)
    func hash(_ n: UInt64) -> BundleHash { BundleHash(words: [n, 0, 0, 0]) }
    let first = h.worker(.ranker, bundles: [hash(1), hash(2)])
    let third = Hello(role: .ranker, slots: 1, bundles: [hash(3)])
    #expect(h.hello(third, as: h.newPeer(.workers))?.header.status == .overloaded)
    h.handle(.disconnected(first.id))
    #expect(h.hello(third, as: h.newPeer(.workers))?.header.kind == .welcome)
    #expect(h.machine.footprint.bundles == 2)
  }

  @Test func aPeerWithoutSessionIsToldToBeginAgainOnceASecond() throws {
    let h = GatewayHarness()
    let ghost = GatewayHarness.Peer(id: h.newPeer(.workers), session: 99, role: .ranker)
    for _ in 0..<5 { h.send(MessageHeader(.ping), .ping, from: ghost) }
    let answers = h.take(ghost)
    #expect(answers.count == 1)
    #expect(answers[0].header.status == .unknownSession && answers[0].header.sessionID == 99)
    h.pass(.seconds(1))
    h.send(MessageHeader(.ping), .ping, from: ghost)
    #expect(h.take(ghost).count == 1)
    h.pass(.seconds(3))
    #expect(h.machine.footprint.strangers == 0)
  }

  @Test func strangersBeyondTheBoundGetNoAnswer() {
    let h = GatewayHarness { $0.maximumStrangers = 10 }
    for number in 0..<100 {
      h.send(MessageHeader(.ping), .ping, from: .init(id: PeerID(.clients, UInt64(number)), session: 1, role: .client))
    }
    #expect(h.sent.count == 10 && h.machine.footprint.strangers == 10)
  }

  @Test func aMessageOfAnotherSessionDoesNotTouchThePeersOwn() throws {
    let mesh = SmallMesh()
    var wrong = mesh.ranker
    wrong.session += 1000
    mesh.h.send(MessageHeader(.bye), .bye(detail: nil), from: wrong)
    #expect(mesh.h.take(mesh.ranker).map(\.header.status) == [.unknownSession])
    #expect(mesh.h.machine.footprint.sessions == 4)
  }

  @Test func aPingIsAnsweredWithItsNumber() throws {
    let h = GatewayHarness()
    let client = h.client()
    h.send(MessageHeader(.ping, sequence: 42), .ping, from: client)
    let pong = try #require(h.take(client).first)
    #expect(pong.header.kind == .pong && pong.header.sequence == 42 && pong.header.sessionID == client.session)
  }

  @Test func aQuietGatewayPingsEveryHeartbeat() {
    let h = GatewayHarness()
    let client = h.client()
    h.pass(.milliseconds(1999))
    #expect(h.take(client).isEmpty)
    h.pass(.milliseconds(1))
    #expect(h.take(client).map(\.header.kind) == [.ping])
    h.pass(.seconds(2))
    #expect(h.take(client).map(\.header.kind) == [.ping])
  }

  @Test func aSilentPeerExpires() {
    let h = GatewayHarness()
    let client = h.client()
    h.pass(.milliseconds(5999))
    #expect(h.machine.footprint.sessions == 1)
    h.pass(.milliseconds(1))
    #expect(h.take(client).last?.header.status == .expired)
    #expect(h.machine.footprint.sessions == 0)
    // On waking up it is told to begin again.
    h.send(MessageHeader(.pong), .pong, from: client)
    #expect(h.take(client).map(\.header.status) == [.unknownSession])
  }

  @Test func anyMessageProvesLife() {
    let h = GatewayHarness()
    let client = h.client()
    h.pass(.seconds(60), alive: [client])
    #expect(h.machine.footprint.sessions == 1)
  }

  @Test func aSecondHelloEndsTheSession() throws {
    let mesh = SmallMesh()
    mesh.h.request(from: mesh.client)
    let run = try mesh.h.run(mesh.encoder)
    let welcome = try #require(
      mesh.h.hello(Hello(role: .encoder, slots: 1, bundles: [GatewayHarness.bundle]), as: mesh.encoder.id))
    #expect(welcome.header.kind == .welcome && welcome.header.sessionID != mesh.encoder.session)
    mesh.encoder.session = welcome.header.sessionID
    mesh.h.credit(1, from: mesh.encoder)
    let again = try mesh.h.run(mesh.encoder)
    #expect(again.attempt == run.attempt + 1)
  }

  @Test func aStructuralErrorCostsThePeerItsSessionAndNobodyElse() {
    let mesh = SmallMesh()
    mesh.h.handle(.refused(.closesSession, nil, from: mesh.client.id))
    #expect(mesh.h.take(mesh.client).map(\.header.status) == [.protocol])
    #expect(mesh.h.closed == [mesh.client.id])
    #expect(mesh.h.machine.footprint.sessions == 3)
  }

  @Test func whatAPeerOfThisRoleNeverSendsIsABreach() {
    for (kind, body) in [
      (MessageKind.welcome, MessageBody.welcome(Welcome())), (.reject, .reject(Reject())), (.credit, .credit(total: 1)),
    ] {
      let h = GatewayHarness()
      let client = h.client()
      h.send(MessageHeader(kind), body, from: client)
      #expect(h.take(client).map(\.header.status) == [.protocol])
    }
    let h = GatewayHarness()
    let worker = h.worker(.ranker)
    h.request(from: worker)
    #expect(h.take(worker).map(\.header.status) == [.protocol])
  }

  @Test func theThirdDamageWithinAMinuteEndsTheSession() {
    let h = GatewayHarness()
    let client = h.client()
    for _ in 0..<2 {
      h.handle(.refused(.failsRequest, nil, from: client.id))
      h.pass(.seconds(31), alive: [client])
    }
    // The first is more than a minute ago.
    h.handle(.refused(.failsRequest, nil, from: client.id))
    #expect(h.machine.footprint.sessions == 1)
    h.handle(.refused(.failsRequest, nil, from: client.id))
    #expect(h.take(client).last?.header.status == .protocol)
    #expect(h.machine.footprint.sessions == 0)
  }

  @Test func aByeEndsTheSessionWithoutAnAnswer() {
    let h = GatewayHarness()
    let client = h.client()
    h.send(MessageHeader(.bye), .bye(detail: nil), from: client)
    #expect(h.take(client).isEmpty && h.closed.isEmpty && h.machine.footprint.sessions == 0)
  }

  @Test func eventsOfUnknownPeersAndTicketsAreHarmless() {
    let h = GatewayHarness()
    h.handle(.disconnected(PeerID(.workers, 7)))
    h.handle(.verified(ticket: 5, isIntact: false))
    h.handle(.refused(.closesSession, nil, from: PeerID(.workers, 7)))
    h.handle(.timer)
    #expect(h.machine.footprint.sessions == 0)
  }
}
