import Foundation
import GLTP
import Mesh
import MeshTesting
import Synchronization
import TestSupport
import Testing

/// Gateways that die, come and go, are overrun, or let in whom they should not.
extension MeshScenarios {
  @Test func s12_aKilledGatewayIsLeftForTheOther() async throws {
    let mesh = try await ProcessMesh.small(gateways: 2)
    let report = try await mesh.load(["--rate", "100", "--duration", "6"]) {
      try await pause(.seconds(2))
      try mesh.signal("gateway-0", SIGKILL)
    }
    #expect(Double(report.ok) >= 0.99 * Double(report.requests), "\(report)")
    #expect(report.ok + report.refused == report.requests, "\(report)")
    // It comes back, and workers find it by themselves.
    try mesh.startGateway(0)
    try await mesh.waitUntilReady()
    await mesh.stop()
  }

  @Test func s13_gatewaysThatComeAndGoInTheNameServiceCostNoRequest() async throws {
    // Both under one name, as a headless service has them: same port, other address.
    let mesh = try await ProcessMesh.small(gateways: 2, spreadsAddresses: true)
    let names = NameService(["127.0.0.1"])
    var configuration = MeshClient.Configuration()
    configuration.resolveInterval = .milliseconds(100)
    let client = MeshClient(
      gateways: [Endpoint(tcp: "gateways.test", port: mesh.clientEndpoint().port)], security: .insecure,
      resolver: names,
      configuration: configuration)
    let answers = BackgroundLoad(client, users: 20)
    try await pause(.seconds(1))
    names.set(["127.0.0.1", "127.0.0.2"])
    try await answers.waitFor(sessions: 2, of: client)
    // The first leaves the name, then for good.
    names.set(["127.0.0.2"])
    try await answers.waitFor(sessions: 1, of: client)
    try mesh.signal("gateway-0", SIGTERM)
    #expect(try await mesh.waitForExit(of: "gateway-0") == 0)
    try await pause(.seconds(1))
    let (sent, failures) = await answers.stop()
    #expect(sent > 50 && failures.isEmpty, "\(sent) sent, \(failures)")
    #expect(try await mesh.report(of: 1).requests.accepted > 0)
    await client.close()
    await mesh.stop()
  }

  @Test func s14_moreThanItCanDoIsRefusedAtOnceAndNothingIsLost() async throws {
    let mesh = try await ProcessMesh.small(gatewayArguments: ["--queue", "8"])
    let report = try await mesh.load(["--concurrency", "200", "--duration", "4", "--deadline", "3000"]) {}
    #expect(report.ok > 0 && report.ok + report.refused == report.requests, "\(report)")
    #expect(Set(report.errors.keys) == ["OVERLOADED"], "\(report)")
    // It serves on as before.
    let calm = try await mesh.load(["--concurrency", "2", "--duration", "1"]) {}
    #expect(calm.isFaultless, "\(calm)")
    await mesh.stop()
  }

  @Test func s15_keysLetInWhoIsListedAndNobodyElse() async throws {
    let folder = try TemporaryFolder()
    let (keys, others) = (folder.path + "/keys", folder.path + "/others")
    try Tool.succeed(["keys", "new", "--out", keys])
    try Tool.succeed(["keys", "new", "--out", others])
    try Tool.refuse(["keys", "new", "--out", keys], saying: ["never replaced"])
    let mesh = try await ProcessMesh.small(keys: keys)
    let arguments = ["--user", "u1", "--top", "3", "--json"]
    #expect(try mesh.rank(arguments).status == 0)
    for wrong in [[], ["--keys", others]] {
      let output = try Tool.run(
        ["rank", "--gateway", "\(mesh.clientEndpoint())"] + wrong + arguments + ["--deadline", "2000"])
      #expect(output.status != 0 && output.json.isEmpty, "\(output.out)")
    }
    // A client's key does not make a worker: the role is in the list, and it is read again when it changes.
    let list = try String(contentsOfFile: keys + "/allow.list", encoding: .utf8)
    let without = list.split(separator: "\n").filter { !$0.hasSuffix(" client") }.joined(separator: "\n") + "\n"
    try without.write(toFile: keys + "/allow.list", atomically: true, encoding: .utf8)
    try await pause(.milliseconds(1_500))
    #expect(try Tool.run(["rank"] + mesh.clientArguments + arguments + ["--deadline", "2000"]).status != 0)
    try list.write(toFile: keys + "/allow.list", atomically: true, encoding: .utf8)
    try await pause(.milliseconds(1_500))
    #expect(try mesh.rank(arguments).status == 0)
    await mesh.stop()
  }

  @Test func s16_refusesToStandOpenOnAPublicAddress() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: ProcessMesh.executables + "/glta-gateway")
    process.arguments = ["--clients", "tcp://0.0.0.0:0", "--workers", "tcp://127.0.0.1:0"]
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 1 && text.contains("insecure"), "\(text)")
  }
}

/// A name whose addresses a test changes.
private final class NameService: AddressResolver {
  private let list: Mutex<[String]>

  init(_ addresses: [String]) { list = Mutex(addresses) }

  func set(_ addresses: [String]) { list.withLock { $0 = addresses } }
  func addresses(of host: String) -> [String] { list.withLock { $0 } }
}

/// Requests, one after another, until it is stopped.
private final class BackgroundLoad: Sendable {
  private struct State {
    var sent = 0
    var failures: [String] = []
    var isOver = false
  }
  private final class Shared: Sendable { let state = Mutex(State()) }

  private let shared = Shared()
  private let tasks: [Task<Void, Never>]

  init(_ client: MeshClient, users: Int) {
    let shared = shared
    tasks = (0..<3).map { lane in
      Task {
        var number = lane
        while !shared.state.withLock({ $0.isOver }) {
          number += 3
          shared.state.withLock { $0.sent += 1 }
          do {
            _ = try await client.ranking(RankingQuery(user: "u\(number % users)", count: 3))
          } catch { shared.state.withLock { $0.failures.append("\(error)") } }
        }
      }
    }
  }

  @inline(never)
  func waitFor(sessions: Int, of client: MeshClient) async throws {
    let end = ContinuousClock.now + .seconds(10)
    while client.sessions != sessions {
      try #require(ContinuousClock.now < end, "\(client.sessions) sessions, expected \(sessions)")
      try await pause(.milliseconds(10))
    }
  }

  @inline(never)
  func stop() async -> (sent: Int, failures: [String]) {
    shared.state.withLock { $0.isOver = true }
    for task in tasks { await task.value }
    return shared.state.withLock { ($0.sent, $0.failures) }
  }
}
