import GLTP
import Logging
import Mesh
import MeshTestSupport
import Synchronization
import Testing

/// All tests of the gateway, one at a time: some measure the memory of the process.
@Suite(.serialized, .alone, .timeLimit(.minutes(3)))
struct GatewayTests {}

/// A gateway for tests with its peers' thread.
struct GatewayFixture {
  let gateway: Gateway
  let loop: EventLoop
  let log: LogRecorder
  static let bundle = HandPeer.bundleHash

  @inline(never)
  func client(answersPings: Bool = true) async throws -> HandPeer {
    let peer = try await HandPeer(#require(gateway.clientEndpoint), loop, answersPings: answersPings)
    try await peer.connected()
    try await peer.greet(Hello(role: .client))
    return peer
  }

  /// A worker that has said HELLO and given credit.
  @inline(never)
  func worker(
    _ role: Role, name: String = "worker", bundle: BundleHash = bundle, credit: UInt64 = 4, answersPings: Bool = true
  ) async throws -> HandPeer {
    let peer = try await HandPeer(#require(gateway.workerEndpoint), loop, answersPings: answersPings)
    try await peer.connected()
    let boot = BootID(high: .random(in: 1 ... .max), low: .random(in: 1 ... .max))
    try await peer.greet(
      Hello(role: role, peerID: WireText(name), bootID: boot, build: "test", slots: 4, bundles: [bundle]))
    try await peer.send(MessageHeader(.credit), .credit(total: credit))
    return peer
  }

  /// Waits until the gateway serves.
  @inline(never)
  func ready() async throws {
    try await eventually { await gateway.status()?.isReady ?? false }
  }

  @inline(never)
  func status() async throws -> Gateway.Status { try #require(await gateway.status()) }
}

/// Gives `body` a running gateway on free loopback ports and makes sure that it ends.
@inline(never)
func withGateway(
  _ configure: (inout Gateway.Configuration) -> Void = { _ in }, level: Logger.Level = .trace,
  _ body: (GatewayFixture) async throws -> Void
) async throws {
  var configuration = try Gateway.Configuration(
    clientEndpoint: Endpoint("tcp://127.0.0.1:0"), workerEndpoint: Endpoint("tcp://127.0.0.1:0"))
  configure(&configuration)
  let log = LogRecorder()
  let gateway = Gateway(configuration, logger: log.logger(level))
  try gateway.start()
  do {
    try await withLoop { loop in try await body(GatewayFixture(gateway: gateway, loop: loop, log: log)) }
  } catch {
    await gateway.stop()
    throw error
  }
  #expect(await gateway.stop(), "the gateway did not end")
}

/// Keeps what is logged.
final class LogRecorder: Sendable {
  struct Line: Sendable {
    var level: Logger.Level
    var text: String
    var metadata: Logger.Metadata
  }

  let lines = Recorder<Line>()

  func logger(_ level: Logger.Level) -> Logger {
    let lines = lines
    return Logger(label: "test") { _ in Handler(lines: lines, logLevel: level) }
  }

  private struct Handler: LogHandler {
    let lines: Recorder<Line>
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      lines.add(Line(level: event.level, text: "\(event.message)", metadata: event.metadata ?? [:]))
    }
  }
}
