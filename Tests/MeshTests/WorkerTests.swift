import GLTP
import Glibc
import Logging
import Mesh
import MeshTestSupport
import Synchronization
import Testing

/// Workers against a gateway that is driven by hand.
@Suite(.serialized, .alone, .timeLimit(.minutes(2)))
struct WorkerTests {
  // MARK: Sessions

  @Test func greetsAndGrantsItsSlots() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withWorker(Probe(.ranker) { _ in }, [gateway], { $0.slots = 3 }) { worker in
        guard case .hello(let hello) = try await gateway.next(.hello).message.body else { throw Timeout() }
        #expect(hello.role == .ranker && hello.slots == 3 && hello.bundles == [Probe.bundle])
        #expect(hello.peerID == "w" && hello.build == "test")
        #expect(try await gateway.next(.credit).message.body == .credit(total: 3))
        try await eventually { worker.isReady && worker.sessions == 1 }
        #expect(worker.state == .running)
      }
      try await gateway.next(.drain)
      let bye = try await gateway.next(.bye)
      #expect(bye.header.status == .ok)
    }
  }

  @Test func refusesToStart() async throws {
    let worker = Worker(handler: Probe(.ranker) { _ in }, configuration: MeshWorkerConfiguration(gateways: []))
    #expect(throws: MeshError.self) { try worker.start() }
    await worker.stop()
    var far = MeshWorkerConfiguration(gateways: [Endpoint(tcp: "192.0.2.1", port: 5571)])
    far.name = "far"
    let open = Worker(handler: Probe(.ranker) { _ in }, configuration: far)
    let error = #expect(throws: MeshError.self) { try open.start() }
    #expect(error?.code == .insecure)
    #expect(open.state == .stopped)
    await open.stop()
  }

  @Test func answersHeartbeatsWhileItComputes() async throws {
    let isOver = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop, heartbeat: 50, expiry: 400)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        while !isOver.isGiven { usleep(1_000) }
        try exchange.end(exchange.ranking("a"))
      }
      try await withWorker(probe, [gateway]) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        for sequence in 0..<10 {
          try await gateway.send(MessageHeader(.ping, sequence: UInt32(sequence)), .ping)
          #expect(try await gateway.next(.pong, .seconds(1)).header.sequence == UInt32(sequence))
          try await Task.sleep(for: .milliseconds(20))
        }
        // It pings where nothing else is to be said.
        try await gateway.next(.ping, .seconds(1))
        isOver.give()
        #expect(try await gateway.next(.end).header.status == .ok)
        #expect(worker.sessions == 1)
      }
    }
  }

  @Test func comesBackToAGatewayThatWasLost() async throws {
    let wasCancelled = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        do throws(StageFailure) {
          while true {
            usleep(1_000)
            try exchange.check()
          }
        } catch {
          wasCancelled.give()
          throw error
        }
      }
      try await withWorker(probe, [gateway]) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await Task.sleep(for: .milliseconds(50))
        try await gateway.disconnect()
        try await eventually { wasCancelled.isGiven }
        try await gateway.next(.hello)
        #expect(try await gateway.next(.credit).message.body == .credit(total: 1))
        #expect(gateway.all(.end).isEmpty, "nobody waits for the END of a lost session")
        // As a whole process that begins anew at its old address.
        let endpoint = try await gateway.endpoint
        try await gateway.close()
        try await eventually { worker.sessions == 0 }
        #expect(!worker.isReady)
        let reborn = try await ScriptedGateway.start(loop, on: endpoint)
        try await reborn.next(.credit)
        try await eventually { worker.isReady }
      }
    }
  }

  @Test func leavesAGatewayThatIsSilent() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop, heartbeat: 40, expiry: 200)
      gateway.stopPongs()
      try await withWorker(Probe(.ranker) { _ in }, [gateway]) { _ in
        try await gateway.next(.credit)
        try await gateway.next(.ping)
        // Silence for the expiry: a new socket and a new HELLO.
        try await gateway.next(.hello, .seconds(5))
        #expect(gateway.goneCount >= 1)
      }
    }
  }

  @Test func worksForAllAddressesOfAName() async throws {
    try await withGatewayLoop { loop in
      let first = try await ScriptedGateway.start(loop)
      let port = try await first.endpoint.port
      let second = try await ScriptedGateway.start(loop, on: Endpoint(tcp: "127.0.0.2", port: port))
      let resolver = ScriptedResolver(["127.0.0.1", "127.0.0.2"])
      var configuration = MeshWorkerConfiguration(gateways: [Endpoint(tcp: "gateways.test", port: port)])
      configuration.resolver = resolver
      configuration.resolveInterval = .milliseconds(30)
      configuration.slots = 2
      try await withWorker(Probe(.ranker) { _ in }, configuration) { worker in
        try await first.next(.credit)
        try await second.next(.credit)
        try await eventually { worker.sessions == 2 }
        resolver.set(["127.0.0.1"])
        try await second.next(.drain)
        try await second.next(.bye)
        try await eventually { worker.sessions == 1 }
        resolver.set(["127.0.0.1", "127.0.0.2"])
        try await second.next(.hello)
        try await eventually { worker.sessions == 2 }
      }
    }
  }

  @Test func speaksToGatewaysByKey() async throws {
    let (gatewayKeys, ours, stranger) = (try KeyPair.generate(), try KeyPair.generate(), try KeyPair.generate())
    let list = AllowList([ours.publicKey: .ranker])
    try await withGatewayLoop { loop in
      let source = try await loop.run { AllowListSource(list) }
      let scripted = try await ScriptedGateway.start(loop, security: .curve(gatewayKeys, source))
      for (keys, isLetIn) in [(stranger, false), (ours, true)] {
        try await withWorker(
          Probe(.ranker) { _ in }, [scripted], { $0.security = .curve(keys, gateway: gatewayKeys.publicKey) }
        ) { worker in
          if isLetIn {
            try await scripted.next(.credit)
          } else {
            try await scripted.expectNo(.hello, for: .milliseconds(200))
            #expect(!worker.isReady)
          }
        }
      }
    }
  }

  // MARK: Runs

  @Test func streamsInAndOut() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        #expect(exchange.flags == [.stream])
        #expect(exchange.request == .run(RunRequest(userID: "u1", count: 3, mode: .slots)))
        var seen: UInt32 = 0
        while let chunk = try exchange.receive() {
          guard case .candidates = chunk else { continue }
          seen += 2
          try exchange.send(.ranking(exchange.ranking("i", seen: seen)), isFinal: false, flags: .provisional)
        }
        try exchange.end(exchange.ranking("last", seen: seen))
      }
      try await withWorker(probe, [gateway]) { _ in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 7)
        try await gateway.candidates(7, 0)
        let partial = try await gateway.next(.partial)
        #expect(partial.header.flags == .provisional && partial.header.sequence == 0 && partial.header.stage == .ranker)
        #expect(partial.header.requestID == RequestID(high: 0, low: 7) && partial.header.attempt == 1)
        try await gateway.prompt(7)
        try await gateway.candidates(7, 1, isFinal: true)
        let end = try await gateway.next(.end)
        #expect(end.header.status == .ok && end.header.flags.isEmpty)
        guard case .end(let body) = end.message.body else { throw Timeout() }
        #expect(body.ranking?.items.strings == ["last"] && body.ranking?.itemsSeen == 4)
        let timing = try #require(body.rankerTiming)
        #expect(timing.attempt == 1 && timing.decode > 0)
        #expect(timing.queue < 1_000_000)
        #expect(try await gateway.next(.credit).message.body == .credit(total: 2))
        // Nothing waits for the ACK of a stream's last chunk.
        let acknowledged = gateway.all(.ack).map { "\($0.header.stream) \($0.header.sequence)" }
        #expect(acknowledged == ["candidates 1"])
      }
    }
  }

  @Test func blocksProducersWhileTheWindowIsClosed() async throws {
    let sent = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.encoder) { exchange throws(StageFailure) in
        try exchange.send(exchange.instruction, isFinal: true, flags: [])
        for item in 0..<20 {
          try exchange.send(exchange.candidate(Int32(item)), isFinal: item == 19, flags: [])
          sent.give()
        }
        try exchange.end(nil)
      }
      try await withWorker(probe, [gateway]) { _ in
        try await gateway.next(.credit)
        try await gateway.request(.encoder, 1)
        try await gateway.next(.partial) { $0.header.stream == .candidates && $0.header.sequence == 3 }
        try await gateway.expectNo(.partial)
        // Four are under way, and four wait here.
        #expect(sent.count == 8)
        var acknowledged: UInt32 = 0
        while acknowledged < 20 {
          acknowledged += 1
          try await gateway.acknowledge(.encoder, 1, .candidates, acknowledged)
          if acknowledged + 4 <= 20 {
            try await gateway.next(.partial) { $0.header.sequence == acknowledged + 3 }
          }
        }
        #expect(try await gateway.next(.end).header.status == .ok)
        let candidates = gateway.all(.partial).filter { $0.header.stream == .candidates }
        #expect(candidates.map(\.header.sequence) == Array(0..<20))
        #expect(candidates.last?.header.flags == .final)
        #expect(candidates.dropLast().allSatisfy { $0.header.flags.isEmpty })
      }
    }
  }

  @Test func replacesRankingsWhileTheWindowIsClosed() async throws {
    let sent = Sign()
    let goOn = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        for seen in 1...50 {
          try exchange.send(.ranking(exchange.ranking("i", seen: UInt32(seen))), isFinal: false, flags: [])
          sent.give()
        }
        while !goOn.isGiven { usleep(1_000) }
        try exchange.end(exchange.ranking("i", seen: 51))
      }
      try await withWorker(probe, [gateway]) { _ in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await eventually { sent.count == 50 }
        try await gateway.next(.partial) { $0.header.sequence == 3 }
        try await gateway.expectNo(.partial)
        try await gateway.acknowledge(.ranker, 1, .ranking, 4)
        let newest = try await gateway.next(.partial)
        guard case .partial(.ranking(let ranking)) = newest.message.body else { throw Timeout() }
        #expect(ranking.itemsSeen == 50 && newest.header.sequence == 4)
        goOn.give()
        guard case .end(let end) = try await gateway.next(.end).message.body else { throw Timeout() }
        #expect(end.ranking?.itemsSeen == 51)
      }
    }
  }

  @Test func acknowledgesOnlyWhatItHasRoomFor() async throws {
    let goOn = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        while !goOn.isGiven { usleep(1_000) }
        var count: UInt32 = 0
        while try exchange.receive() != nil { count += 1 }
        try exchange.end(exchange.ranking("i", seen: count))
      }
      try await withWorker(probe, [gateway], { $0.inputRoom = 2 }) { _ in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        for sequence in 0..<6 { try await gateway.candidates(1, UInt32(sequence)) }
        try await gateway.next(.ack) { $0.header.sequence == 2 }
        try await gateway.expectNo(.ack)
        goOn.give()
        try await gateway.next(.ack) { $0.header.sequence == 6 }
        try await gateway.candidates(1, 6, isFinal: true)
        try await gateway.prompt(1)
        guard case .end(let end) = try await gateway.next(.end).message.body else { throw Timeout() }
        #expect(end.ranking?.itemsSeen == 8)
      }
    }
  }

  @Test(arguments: [1, 2, 3]) func namesTheChunkThatIsCorrupt(part: Int) async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        // A stage that does not look at errors cannot hide them.
        do throws(StageFailure) {
          while try exchange.receive() != nil {}
        } catch {}
        try? exchange.end(exchange.ranking("wrong"))
      }
      try await withWorker(probe, [gateway]) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await gateway.candidates(1, 0)
        try await gateway.candidates(1, 1, damaging: part)
        let end = try await gateway.next(.end)
        #expect(end.header.status == .corrupt)
        #expect(end.header.stream == .candidates && end.header.sequence == 1)
        // The worker lives, and has its slot back.
        try await gateway.next(.credit) { $0.message.body == .credit(total: 2) }
        try await gateway.request(.ranker, 2)
        try await gateway.prompt(2)
        try await gateway.cancel(.ranker, 2)
        #expect(try await gateway.next(.end).header.status == .cancelled)
        #expect(worker.sessions == 1)
      }
    }
  }

  @Test func refusesGaps() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in while try exchange.receive() != nil {} }
      try await withWorker(probe, [gateway]) { _ in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await gateway.candidates(1, 0)
        try await gateway.candidates(1, 2)
        let end = try await gateway.next(.end)
        #expect(end.header.status == .sequenceGap && end.header.stream == .candidates && end.header.sequence == 2)
        try await gateway.next(.credit)
      }
    }
  }

  @Test func stopsWhatIsCancelledOrOverdue() async throws {
    let failures = Recorder<Status>()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      // Each waits in another call.
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        try exchange.send(.ranking(exchange.ranking("best")), isFinal: false, flags: .provisional)
        do throws(StageFailure) {
          while try exchange.receive() != nil {}
        } catch {
          failures.add(error.status)
          throw error
        }
      }
      try await withWorker(probe, [gateway]) { _ in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await gateway.next(.partial)
        try await gateway.cancel(.ranker, 1)
        let cancelled = try await gateway.next(.end, .seconds(1))
        #expect(cancelled.header.status == .cancelled)
        #expect(cancelled.header.flags == [.incomplete, .provisional])
        try await gateway.next(.credit)
        let start = ContinuousClock.now
        try await gateway.request(.ranker, 2, budget: 120)
        let late = try await gateway.next(.end, .seconds(2))
        #expect(late.header.status == .deadline)
        #expect(ContinuousClock.now - start > .milliseconds(100))
        guard case .end(let end) = late.message.body else { throw Timeout() }
        #expect(end.ranking?.items.strings == ["best"])
        try await gateway.next(.credit)
        try await eventually { failures.all == [.cancelled, .deadline] }
      }
    }
  }

  @Test func cancelsRunsThatWaitForAThread() async throws {
    let started = Sign()
    let goOn = Sign()
    try await withGatewayLoop { loop in
      let gateways = [try await ScriptedGateway.start(loop), try await ScriptedGateway.start(loop)]
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        started.give()
        while !goOn.isGiven { usleep(1_000) }
        try exchange.end(exchange.ranking("a"))
      }
      // Each gateway has credit for one run, and there is one thread.
      try await withWorker(probe, gateways) { _ in
        for gateway in gateways { try await gateway.next(.credit) }
        try await gateways[0].request(.ranker, 1)
        try await eventually { started.isGiven }
        try await gateways[1].request(.ranker, 2)
        try await gateways[1].expectNo(.end)
        try await gateways[1].cancel(.ranker, 2)
        #expect(try await gateways[1].next(.end, .seconds(1)).header.status == .cancelled)
        goOn.give()
        #expect(try await gateways[0].next(.end).header.status == .ok)
        #expect(started.count == 1)
      }
    }
  }

  @Test func tellsHowARunFailed() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let step = Atomic<Int>(0)
      let probe = Probe(.encoder) { exchange throws(StageFailure) in
        switch step.add(1, ordering: .relaxed).oldValue {
        case 0: throw StageFailure(.unknownUser, "nobody here")
        case 1: break  // returns without END
        case 2: try exchange.end(nil)  // without its streams
        case 3: try exchange.send(.ranking(exchange.ranking("a")), isFinal: false, flags: [])  // not an encoder's
        default: throw StageFailure(.ok, "a failure that is none")
        }
      }
      try await withWorker(probe, [gateway]) { _ in
        for (index, status) in [Status.unknownUser, .internal, .internal, .internal, .internal].enumerated() {
          try await gateway.next(.credit) { $0.message.body == .credit(total: UInt64(index + 1)) }
          try await gateway.request(.encoder, UInt64(index))
          let end = try await gateway.next(.end)
          #expect(end.header.status == status, "run \(index)")
          guard case .end(let body) = end.message.body else { throw Timeout() }
          if index == 0 { #expect(body.detail?.string == "nobody here") }
        }
        try await gateway.request(.encoder, 100, bundle: BundleHash(words: [1, 2, 3, 4]))
        #expect(try await gateway.next(.end).header.status == .bundleGone)
      }
    }
  }

  @Test func leavesWhenStuck() async throws {
    let goOn = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { _ in while !goOn.isGiven { usleep(1_000) } }
      try await withWorker(
        probe, [gateway],
        {
          $0.warmUpTime = .milliseconds(2)
          $0.stuckMultiple = 50
          $0.stuckAtLeast = .milliseconds(80)
          $0.stuckGrace = .milliseconds(20)
          #expect($0.stuckLimit == .milliseconds(100))
        }
      ) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        #expect(try await gateway.next(.end).header.status == .internal)
        #expect(try await gateway.next(.bye).header.status == .internal)
        #expect(await worker.waitForExit() == .stuck(RequestID(high: 0, low: 1)))
        #expect(!worker.isReady)
        goOn.give()
      }
    }
  }

  @Test func waitingIsNotBeingStuck() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        while try exchange.receive() != nil {}
        try exchange.end(exchange.ranking("a"))
      }
      try await withWorker(
        probe, [gateway],
        {
          $0.warmUpTime = .milliseconds(1)
          $0.stuckMultiple = 1
          $0.stuckAtLeast = .milliseconds(60)
        }
      ) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await Task.sleep(for: .milliseconds(200))
        try await gateway.candidates(1, 0, isFinal: true)
        try await Task.sleep(for: .milliseconds(200))
        try await gateway.prompt(1)
        let end = try await gateway.next(.end)
        #expect(end.header.status == .ok)
        guard case .end(let body) = end.message.body else { throw Timeout() }
        #expect(try #require(body.rankerTiming).compute < 100_000, "waiting is not computing")
        #expect(worker.exitReason == nil)
      }
    }
  }

  @Test func drains() async throws {
    let goOn = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        while !goOn.isGiven { usleep(1_000) }
        try exchange.end(exchange.ranking("a"))
      }
      try await withWorker(probe, [gateway], { $0.slots = 2 }) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await Task.sleep(for: .milliseconds(20))
        async let exit = worker.drain(deadline: .seconds(10))
        try await gateway.next(.drain)
        #expect(!worker.isReady)
        try await gateway.request(.ranker, 2)
        #expect(try await gateway.next(.end).header.status == .draining)
        goOn.give()
        #expect(try await gateway.next(.end).header.status == .ok)
        #expect(try await gateway.next(.bye).header.status == .ok)
        #expect(await exit == .drained)
        #expect(worker.state == .stopped)
      }
    }
  }

  @Test func givesUpDrainingAtTheDeadline() async throws {
    let goOn = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in
        while !goOn.isGiven {
          usleep(1_000)
          try exchange.check()
        }
      }
      try await withWorker(probe, [gateway]) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await Task.sleep(for: .milliseconds(20))
        let start = ContinuousClock.now
        #expect(await worker.drain(deadline: .milliseconds(100)) == .drainLimit(unfinished: 1))
        #expect(ContinuousClock.now - start < .seconds(3))
        try await gateway.next(.bye)
      }
    }
  }

  @Test func doesNotHangOnAThreadThatDoesNotReturn() async throws {
    let goOn = Sign()
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { _ in while !goOn.isGiven { usleep(1_000) } }
      try await withWorker(probe, [gateway]) { worker in
        try await gateway.next(.credit)
        try await gateway.request(.ranker, 1)
        try await Task.sleep(for: .milliseconds(20))
        let start = ContinuousClock.now
        await worker.stop()
        #expect(ContinuousClock.now - start < .seconds(6))
        goOn.give()
      }
    }
  }

  @Test func reports() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let probe = Probe(.ranker) { exchange throws(StageFailure) in try exchange.end(exchange.ranking("a")) }
      try await withWorker(probe, [gateway]) { _ in
        try await gateway.next(.credit)
        for id in 0..<5 {
          try await gateway.request(.ranker, UInt64(id))
          try await gateway.next(.end)
          try await gateway.next(.credit)
        }
        try await gateway.send(MessageHeader(.status, requestID: RequestID(high: 9, low: 9)), .status)
        let report = try await gateway.next(.report)
        #expect(report.header.requestID == RequestID(high: 9, low: 9))
        guard case .report(let body) = report.message.body else { throw Timeout() }
        let json = String(decoding: body.json.array(of: UInt8.self), as: UTF8.self)
        for part in [
          "\"role\":\"ranker\"", "\"peer\":\"w\"", "\"runs\":5", "\"failed\":0", "\"credit_total\":6",
          "\"stages\":{\"ranker\":{\"queue\":{\"count\":5",
        ] { #expect(json.contains(part), "\(part) is not in \(json)") }
      }
    }
  }

  @Test func startsAndStopsWithoutLeaks() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let endpoint = try await gateway.endpoint
      var descriptors = 0
      for round in 0..<200 {
        if round == 20 { descriptors = openDescriptors() }
        let worker = Worker(handler: Probe(.ranker) { _ in }, configuration: .test([endpoint]))
        try worker.start()
        if round % 4 == 0 { try await eventually { worker.sessions == 1 } }
        let start = ContinuousClock.now
        await worker.stop()
        #expect(ContinuousClock.now - start < .seconds(5), "round \(round)")
      }
      try await eventually { openDescriptors() <= descriptors + 8 }
    }
  }
}

extension MeshWorkerConfiguration {
  static func test(_ gateways: [Endpoint]) -> MeshWorkerConfiguration {
    var configuration = MeshWorkerConfiguration(gateways: gateways)
    configuration.name = "w"
    configuration.build = "test"
    configuration.timings = .quick
    return configuration
  }
}

/// Gives `body` a loop for scripted gateways.
func withGatewayLoop(_ body: (EventLoop) async throws -> Void) async throws { try await withLoop(body) }

/// Gives `body` a worker of some scripted gateways, and stops it.
func withWorker(
  _ probe: Probe, _ gateways: [ScriptedGateway], _ change: (inout MeshWorkerConfiguration) -> Void = { _ in },
  _ body: (Worker<Probe>) async throws -> Void
) async throws {
  var endpoints: [Endpoint] = []
  for gateway in gateways { endpoints.append(try await gateway.endpoint) }
  var configuration = MeshWorkerConfiguration.test(endpoints)
  change(&configuration)
  try await withWorker(probe, configuration, body)
}

func withWorker(
  _ probe: Probe, _ configuration: MeshWorkerConfiguration, _ body: (Worker<Probe>) async throws -> Void
) async throws {
  var configuration = configuration
  configuration.timings = .quick
  let worker = Worker(
    handler: probe, configuration: configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  try worker.start()
  do {
    try await body(worker)
  } catch {
    await worker.stop()
    throw error
  }
  let start = ContinuousClock.now
  await worker.stop()
  #expect(ContinuousClock.now - start < .seconds(6), "the worker took too long to stop")
}

/// Addresses as the test says.
final class ScriptedResolver: AddressResolver {
  private let found: Mutex<[String]>
  init(_ addresses: [String]) { found = Mutex(addresses) }
  func set(_ addresses: [String]) { found.withLock { $0 = addresses } }
  func addresses(of host: String) throws(MeshError) -> [String] { found.withLock { $0 } }
}
