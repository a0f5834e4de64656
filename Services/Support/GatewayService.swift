import GLTP
import Logging
import Mesh
import ServiceLifecycle
import StageServices

/// Runs a gateway process from its settings to its last request.
public enum GatewayService {
  /// - Throws: `MeshError` for settings and endpoints that cannot work.
  public static func run(_ options: GatewayOptions) async throws {
    let settings = try await Settings(options.service)
    let logger = try settings.logger("glta.gateway")
    var configuration = Gateway.Configuration(
      clientEndpoint: try Endpoint(settings.text("clients", options.clients) ?? "tcp://127.0.0.1:5570"),
      workerEndpoint: try Endpoint(settings.text("workers", options.workers) ?? "tcp://127.0.0.1:5571"))
    configuration.name = settings.name(of: "gateway")
    configuration.build = "glta \(BuildInformation.version)"
    configuration.rules = try rules(options, settings)
    if let keys = settings.keys {
      configuration.security = try keys.gatewaySecurity()
    } else if settings.isInsecure {
      configuration.security = .insecure
    }
    let drainLimit = try settings.drainLimit()
    let gateway = Gateway(configuration, logger: logger)
    try await ServiceRunner.run(
      GatewayLife(gateway: gateway, drainLimit: drainLimit, logger: logger), logger: logger, drainLimit: drainLimit)
  }

  private static func rules(_ options: GatewayOptions, _ settings: Settings) throws(MeshError) -> GatewayConfiguration {
    var rules = GatewayConfiguration()
    rules.queueLimit = try settings.number("queue", options.queue, default: rules.queueLimit, in: 1...1_000_000)
    let stall = try settings.number("stall", options.stall, default: 30_000, in: 100...3_600_000)
    let heartbeat = try settings.number("heartbeat", options.heartbeat, default: 2_000, in: 10...600_000)
    let expiry = try settings.number("expiry", options.expiry, default: 3 * heartbeat, in: 20...3_600_000)
    rules.stall = .milliseconds(UInt64(stall))
    rules.heartbeat = .milliseconds(UInt64(heartbeat))
    rules.expiry = .milliseconds(UInt64(expiry))
    return rules
  }
}

private struct GatewayLife: Service {
  let gateway: Gateway
  let drainLimit: Duration
  let logger: Logger

  func run() async throws {
    try gateway.start()
    logger.info(
      "listening",
      metadata: [
        "clients": "\(gateway.clientEndpoint?.description ?? "")",
        "workers": "\(gateway.workerEndpoint?.description ?? "")",
      ])
    try? await gracefulShutdown()
    let isOver = await gateway.drain(deadline: drainLimit)
    await gateway.stop()
    logger.info("left", metadata: ["drained": "\(isOver)"])
  }
}
