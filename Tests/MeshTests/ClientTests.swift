import GLTP
import Logging
import Mesh
import MeshTestSupport
import Synchronization
import Testing

/// Clients against gateways that are driven by hand.
@Suite(.serialized, .alone, .timeLimit(.minutes(2)))
struct ClientTests {
  private static let query = RankingQuery(user: "u1", count: 2)

  @Test func opensNothingBeforeItIsAsked() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withClient([gateway]) { client in
        let sequence = client.rank(Self.query)
        try await gateway.expectNo(.hello, for: .milliseconds(50))
        #expect(client.sessions == 0)
        withExtendedLifetime(sequence) {}
      }
    }
  }

  @Test func streamsAndAcknowledges() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withClient([gateway]) { client in
        var query = Self.query
        query.candidates = .items(["a", "b", "c"])
        query.exclude = ["x"]
        query.mode = .first
        query.exclusion = .train
        var options = RankOptions(deadline: .seconds(3))
        options.titles = true
        options.priority = .high
        options.bundle = Probe.bundle
        let (sentQuery, sentOptions) = (query, options)
        let updates = Task { () -> [RankingUpdate] in
          var updates: [RankingUpdate] = []
          for try await update in client.rank(sentQuery, options: sentOptions) { updates.append(update) }
          return updates
        }
        let request = try await gateway.next(.request)
        #expect(request.header.flags == [.stream, .titles] && request.header.priority == .high)
        #expect(request.header.attempt == 1 && request.header.bundle == Probe.bundle.prefix)
        #expect((2_000...3_000).contains(request.header.budgetMilliseconds))
        guard case .rank(let rank) = request.message.body else { throw Timeout() }
        #expect(rank.userID == "u1" && rank.count == 2 && rank.mode == .first && rank.exclusion == .train)
        #expect(rank.candidates?.strings == ["a", "b", "c"] && rank.exclude?.strings == ["x"])
        #expect(rank.items == nil && rank.allow == nil && rank.retrieve == nil)
        try await gateway.snapshot(request, 0, ["b", "a"])
        #expect(try await gateway.next(.ack).header.sequence == 1)
        try await Task.sleep(for: .milliseconds(20))
        try await gateway.snapshot(request, 1, ["a", "b"])
        #expect(try await gateway.next(.ack).header.sequence == 2)
        try await Task.sleep(for: .milliseconds(20))
        try await gateway.end(request, .ok, ["a", "c"])
        let found = try await updates.value
        #expect(found.map(\.ranking.ids) == [["b", "a"], ["a", "b"], ["a", "c"]])
        #expect(found.map(\.isFinal) == [false, false, true])
        #expect(found.last?.ranking.scores == [10, 9])
        #expect(found.last?.ranking.itemsSeen == 2 && found.last?.ranking.itemsTotal == 10)
        // An END that comes twice changes nothing.
        try await gateway.end(request, .ok, ["z"])
        try await gateway.expectNo(.cancel, for: .milliseconds(50))
      }
      try await gateway.next(.bye)
    }
  }

  @Test func skipsRankingsThatNobodyLooksAt() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withClient([gateway]) { client in
        let hasFirst = Sign()
        let goOn = Sign()
        let task = Task { () -> [[String]] in
          var found: [[String]] = []
          for try await update in client.rank(Self.query) {
            found.append(update.ranking.ids)
            hasFirst.give()
            while !goOn.isGiven { try await Task.sleep(for: .milliseconds(1)) }
          }
          return found
        }
        let request = try await gateway.next(.request)
        try await gateway.snapshot(request, 0, ["0"])
        try await eventually { hasFirst.isGiven }
        for sequence in 1..<10 { try await gateway.snapshot(request, UInt32(sequence), ["\(sequence)"]) }
        try await gateway.next(.ack) { $0.header.sequence == 10 }
        goOn.give()
        try await Task.sleep(for: .milliseconds(50))
        try await gateway.end(request, .ok, ["end"])
        #expect(try await task.value == [["0"], ["9"], ["end"]])
      }
    }
  }

  @Test func saysWhoCannotBeReached() async throws {
    try await withGatewayLoop { loop in
      let silent = try await ScriptedGateway.start(loop, greets: false)
      let gone = try await ScriptedGateway.start(loop)
      let endpoints = [try await silent.endpoint, try await gone.endpoint]
      try await gone.close()
      try await withClient(endpoints, { $0.connectDeadline = .milliseconds(300) }) { client in
        let start = ContinuousClock.now
        let error = try await failure { try await client.ranking(Self.query) }
        #expect(ContinuousClock.now - start < .seconds(2))
        #expect(error.code == .unreachable)
        #expect(error.failure?.state == .connecting)
        for endpoint in endpoints { #expect(error.message.contains("\(endpoint)"), "\(error)") }
        #expect(error.message.contains("nobody answers"), "\(error)")
      }
    }
  }

  @Test func sendsOnceAGatewayIsThere() async throws {
    try await withGatewayLoop { loop in
      let gone = try await ScriptedGateway.start(loop)
      let endpoint = try await gone.endpoint
      try await gone.close()
      try await withClient([endpoint]) { client in
        async let ranking = client.ranking(Self.query)
        try await Task.sleep(for: .milliseconds(150))
        let gateway = try await ScriptedGateway.start(loop, on: endpoint)
        let request = try await gateway.next(.request)
        try await gateway.end(request, .ok, ["a"])
        #expect(try await ranking.ids == ["a"])
      }
    }
  }

  @Test func refusesWhatNoGatewayTakes() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withClient([gateway]) { client in
        var queries = [
          RankingQuery(user: "u", count: 0), RankingQuery(user: "u", count: 1_001), RankingQuery(user: "", count: 1),
          RankingQuery(user: String(repeating: "u", count: 513), count: 1), RankingQuery(items: [""], count: 1),
          RankingQuery(items: [String(repeating: "i", count: 513)], count: 1),
          RankingQuery(items: Array(repeating: "i", count: 65_537), count: 1),
          RankingQuery(items: Array(repeating: String(repeating: "i", count: 500), count: 600), count: 1),
        ]
        var query = Self.query
        query.candidates = .best(0)
        queries.append(query)
        query.user = nil
        queries.append(query)
        for query in queries {
          let error = try await failure { try await client.ranking(query) }
          #expect(error.code == .invalidArgument)
        }
        let late = RankOptions(deadline: .zero)
        let error = try await failure { try await client.ranking(Self.query, options: late) }
        #expect(error.code == .deadline)
      }
      let far = MeshClient(gateways: [Endpoint(tcp: "192.0.2.1", port: 1)])
      #expect(try await failure { try await far.ranking(Self.query) }.code == .insecure)
      await far.close()
      let none = MeshClient(gateways: [])
      #expect(try await failure { try await none.ranking(Self.query) }.code == .invalidArgument)
      await none.close()
    }
  }

  @Test func passesOnHowARequestEnded() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let name = "\(try await gateway.endpoint)"
      try await withClient([gateway]) { client in
        async let refused = failure { try await client.ranking(Self.query) }
        try await gateway.end(try await gateway.next(.request), .unknownUser)
        let error = try await refused
        #expect(error.code == .refused && error.failure?.status == .unknownUser)
        #expect(error.failure?.gateway == name && error.failure?.state == .ended)
        #expect(error.message.contains("UNKNOWN_USER") && error.message.contains("scripted"), "\(error)")

        async let late = failure { try await client.ranking(Self.query) }
        try await gateway.end(try await gateway.next(.request), .deadline, ["best"])
        let deadline = try await late
        #expect(deadline.code == .deadline && deadline.failure?.status == .deadline)
        #expect(deadline.failure?.best?.ids == ["best"])
      }
    }
  }

  @Test func waitsNoLongerThanTheDeadline() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withClient([gateway]) { client in
        let start = ContinuousClock.now
        async let late = failure {
          try await client.ranking(Self.query, options: RankOptions(deadline: .milliseconds(200)))
        }
        let request = try await gateway.next(.request)
        try await gateway.snapshot(request, 0, ["best"])
        let error = try await late
        #expect(ContinuousClock.now - start < .seconds(2))
        #expect(error.code == .deadline && error.failure?.state == .streaming)
        #expect(error.failure?.best?.ids == ["best"])
      }
    }
  }

  @Test func cancelsWithTheTask() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withClient([gateway]) { client in
        let task = Task { try await client.ranking(Self.query) }
        let request = try await gateway.next(.request)
        try await gateway.snapshot(request, 0, ["best"])
        try await gateway.next(.ack)
        let start = ContinuousClock.now
        task.cancel()
        let error = try await failure { try await task.value }
        #expect(ContinuousClock.now - start < .seconds(1))
        #expect(error.code == .cancelled && error.failure?.best?.ids == ["best"])
        #expect(try await gateway.next(.cancel).header.requestID == request.header.requestID)

        // A task that is cancelled already asks for nothing, or takes it back.
        let late = Task {
          while !Task.isCancelled { await Task.yield() }
          return try await client.ranking(Self.query)
        }
        late.cancel()
        #expect(try await failure { try await late.value }.code == .cancelled)
        // Leaving the loop takes the request back. The one before may reach the gateway late: this one asks for more.
        var longer = Self.query
        longer.count += 1
        let left = Task { [longer] in
          for try await _ in client.rank(longer) { break }
        }
        let second = try await gateway.next(.request) { heard in
          if case .rank(let request) = heard.message.body { request.count == UInt32(longer.count) } else { false }
        }
        try await gateway.snapshot(second, 0, ["x"])
        try await left.value
        try await gateway.next(.cancel) { $0.header.requestID == second.header.requestID }
      }
    }
  }

  @Test func goesOnWithAnotherGateway() async throws {
    try await withGatewayLoop { loop in
      let gateways = [try await ScriptedGateway.start(loop), try await ScriptedGateway.start(loop)]
      try await withClient(gateways) { client in
        try await warmUp(client, gateways)
        async let ranking = client.ranking(Self.query)
        let (first, request) = try await whoHasIt(gateways, 1)
        try await gateways[first].disconnect()
        let again = try await gateways[1 - first].next(.request)
        #expect(again.header.requestID == request.header.requestID)
        #expect(again.header.attempt == 2 && again.header.flags.contains(.retry))
        #expect(again.header.budgetMilliseconds <= request.header.budgetMilliseconds)
        try await gateways[1 - first].end(again, .ok, ["a"])
        #expect(try await ranking.ids == ["a"])
      }
    }
  }

  @Test func asksElsewhereWhenAGatewayIsFull() async throws {
    try await withGatewayLoop { loop in
      let gateways = [try await ScriptedGateway.start(loop), try await ScriptedGateway.start(loop)]
      try await withClient(gateways) { client in
        try await warmUp(client, gateways)
        async let refused = failure { try await client.ranking(Self.query) }
        let (first, request) = try await whoHasIt(gateways, 1)
        try await gateways[first].end(request, .overloaded, retryAfter: 20)
        try await gateways[1 - first].end(try await gateways[1 - first].next(.request), .draining)
        // No fresh gateway is left: a third attempt, and no fourth.
        let (third, last) = try await whoHasIt(gateways, 3)
        #expect(last.header.attempt == 3)
        try await gateways[third].end(last, .overloaded, retryAfter: 5_000)
        let error = try await refused
        #expect(error.code == .refused && error.failure?.status == .overloaded)
        #expect(error.failure?.retryAfter == .seconds(5))
        #expect(error.failure?.gateways.count == 3)
      }
    }
  }

  @Test func givesUpAGatewayThatSkipsARanking() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      try await withClient([gateway]) { client in
        async let ranking = client.ranking(Self.query)
        let request = try await gateway.next(.request)
        try await gateway.snapshot(request, 1, ["wrong"])
        try await gateway.next(.cancel)
        let again = try await gateway.next(.request)
        #expect(again.header.attempt == 2)
        try await gateway.end(again, .ok, ["a"])
        #expect(try await ranking.ids == ["a"])
      }
    }
  }

  @Test func asksForReports() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let endpoint = try await gateway.endpoint
      let name = Endpoint(tcp: "gateways.test", port: endpoint.port)
      let resolver = ScriptedResolver(["127.0.0.1"])
      for target in [endpoint, name] {
        try await withClient([target], resolver: resolver) { client in
          async let report = client.status(of: target)
          let question = try await gateway.next(.status)
          let json = gateway.buffers.vector(.report, .u8, Array("{\"a\":1}".utf8))
          try await gateway.send(
            MessageHeader(.report, requestID: question.header.requestID), .report(StatusReport(json: json)))
          #expect(try await report == Array("{\"a\":1}".utf8))
          let silent = try await failure { try await client.status(of: target, deadline: .milliseconds(100)) }
          #expect(silent.code == .unreachable)
          try await gateway.next(.status)
        }
      }
      resolver.set([])
      try await withClient([name], resolver: resolver) { client in
        let unknown = try await failure { try await client.status(of: name, deadline: .milliseconds(100)) }
        #expect(unknown.code == .unreachable)
      }
    }
  }

  @Test func failsWhatIsUnderWayWhenItCloses() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let client = MeshClient(gateways: [try await gateway.endpoint], configuration: .test)
      async let error = failure { try await client.ranking(Self.query) }
      try await gateway.next(.request)
      let start = ContinuousClock.now
      await client.close()
      #expect(ContinuousClock.now - start < .seconds(3))
      #expect(try await error.code == .closed)
      #expect(try await failure { try await client.ranking(Self.query) }.code == .closed)
      await client.close()
      try await gateway.next(.bye)
    }
  }

  @Test func finishesWhatIsUnderWayWhenItMay() async throws {
    try await withGatewayLoop { loop in
      let gateway = try await ScriptedGateway.start(loop)
      let client = MeshClient(gateways: [try await gateway.endpoint], configuration: .test)
      async let ranking = client.ranking(Self.query)
      let request = try await gateway.next(.request)
      async let closed: Void = client.close(finishingWithin: .seconds(5))
      try await gateway.next(.drain)
      try await gateway.end(request, .ok, ["a"])
      #expect(try await ranking.ids == ["a"])
      await closed
    }
  }

  @Test func twentyAtOnce() async throws {
    try await withGatewayLoop { loop in
      let gateways = [try await ScriptedGateway.start(loop), try await ScriptedGateway.start(loop)]
      try await withClient(gateways) { client in
        try await warmUp(client, gateways)
        try await withThrowingTaskGroup(of: Void.self) { group in
          for user in 0..<20 {
            group.addTask {
              let ranking = try await client.ranking(RankingQuery(user: "u\(user)", count: 1))
              #expect(ranking.ids == ["u\(user)"])
            }
          }
          try await eventually { gateways.reduce(0) { $0 + $1.all(.request).count } == 20 }
          for gateway in gateways {
            #expect(gateway.all(.request).count == 10, "the load is not spread")
            for request in gateway.all(.request).reversed() {
              guard case .rank(let rank) = request.message.body else { continue }
              try await gateway.end(request, .ok, [rank.userID?.string ?? ""])
            }
          }
          try await group.waitForAll()
        }
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
        let client = MeshClient(gateways: [endpoint], configuration: .test)
        if round % 20 == 0 {
          let options = RankOptions(deadline: .milliseconds(1))
          _ = try await failure { try await client.ranking(Self.query, options: options) }
        } else {
          let limit = Duration.milliseconds(round % 4 == 0 ? 20 : 1)
          _ = try await failure { try await client.status(of: endpoint, deadline: limit) }
        }
        // One that is dropped ends, too.
        if round % 2 == 0 { await client.close() }
      }
      try await eventually { openDescriptors() <= descriptors + 8 }
    }
  }

  // MARK: Support

  /// Waits until the client has its sessions.
  private func warmUp(_ client: MeshClient, _ gateways: [ScriptedGateway]) async throws {
    _ = try await failure { try await client.status(of: client.gateways[0], deadline: .milliseconds(1)) }
    try await eventually { client.sessions == gateways.count }
  }

  /// The gateway that has the last of so many requests.
  private func whoHasIt(_ gateways: [ScriptedGateway], _ count: Int) async throws -> (Int, ScriptedGateway.Heard) {
    func all() -> [(Int, ScriptedGateway.Heard)] {
      gateways.indices.flatMap { index in gateways[index].all(.request).map { (index, $0) } }
    }
    try await eventually { all().count == count }
    return try #require(all().max { $0.1.at < $1.1.at })
  }
}

extension MeshClient.Configuration {
  static var test: MeshClient.Configuration {
    var configuration = MeshClient.Configuration()
    configuration.timings = .quick
    return configuration
  }
}

func withClient(
  _ gateways: [ScriptedGateway], _ body: (MeshClient) async throws -> Void
) async throws {
  var endpoints: [Endpoint] = []
  for gateway in gateways { endpoints.append(try await gateway.endpoint) }
  try await withClient(endpoints, { _ in }, body)
}

func withClient(
  _ gateways: [Endpoint], resolver: any AddressResolver = SystemResolver(),
  _ change: (inout MeshClient.Configuration) -> Void = { _ in }, _ body: (MeshClient) async throws -> Void
) async throws {
  var configuration = MeshClient.Configuration.test
  configuration.resolveInterval = .milliseconds(30)
  change(&configuration)
  let client = MeshClient(gateways: gateways, resolver: resolver, configuration: configuration)
  do {
    try await body(client)
  } catch {
    await client.close()
    throw error
  }
  let start = ContinuousClock.now
  await client.close()
  #expect(ContinuousClock.now - start < .seconds(4), "the client took too long to close")
}

/// The error that `body` throws.
func failure(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> some Sendable
) async throws -> MeshError {
  do {
    let value = try await body()
    Issue.record("expected an error, got \(value)", sourceLocation: sourceLocation)
  } catch let error as MeshError { return error }
  throw Timeout()
}
