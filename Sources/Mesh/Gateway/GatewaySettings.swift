public import GLTP

extension Gateway {
  /// Where a gateway listens, whom it lets in, and what it may hold.
  public struct Configuration: Sendable {
    /// Where clients connect. Port 0 asks for a free one, see ``Gateway/clientEndpoint``.
    public var clientEndpoint: Endpoint
    /// Where workers connect.
    public var workerEndpoint: Endpoint
    /// Keys, or that there are none.
    public var security = Security.open
    /// A name for logs and reports, 1 to 128 bytes.
    public var name = "gateway"
    /// Software and version, 1 to 128 bytes.
    public var build = "glta"
    /// What the state machine may do and hold: heartbeats, queue bounds, deadlines. Its name, build, boot id and first
    /// session id are set by `start`.
    public var rules = GatewayConfiguration()
    /// Connections from clients; further ones are cut as they come.
    public var maximumClientConnections = 1_024
    /// Connections from workers.
    public var maximumWorkerConnections = 1_024
    /// Bytes of decoded requests that may be held at once; beyond it requests are refused with OVERLOADED.
    public var decodingBudget = 256 << 20

    /// The defaults above, at these two endpoints. Values are checked by `start`.
    public init(clientEndpoint: Endpoint, workerEndpoint: Endpoint) {
      self.clientEndpoint = clientEndpoint
      self.workerEndpoint = workerEndpoint
    }
  }

  /// How a gateway protects its two endpoints.
  public enum Security: Sendable {
    /// No keys, and loopback addresses only.
    case open
    /// No keys, on any address: whoever can reach the network can read and forge messages. Warned of every minute.
    case insecure
    /// CURVE: the gateway's own pair, and the keys that may connect, each in the role that the list gives it.
    case curve(KeyPair, allowing: AllowedKeys)
  }

  /// Which keys may connect.
  public enum AllowedKeys: Sendable {
    /// This list, fixed for the life of the gateway.
    case list(AllowList)
    /// The path of an allow-list, which is read again when it changes. While it is missing or wrong nobody is let in.
    case file(String)
  }
}

extension Gateway.Configuration {
  /// - Throws: `MeshError.invalidArgument` naming what cannot work.
  func validate() throws(MeshError) {
    for (what, text) in [("name", name), ("build", build)] where !(1...128).contains(text.utf8.count) {
      throw MeshError(.invalidArgument, "the gateway's \(what) has \(text.utf8.count) bytes, expected 1 to 128")
    }
    guard rules.heartbeat >= .milliseconds(1), rules.expiry >= rules.heartbeat * 2 else {
      throw MeshError(
        .invalidArgument,
        "the expiry of \(rules.expiry) is less than twice the heartbeat of \(rules.heartbeat)",
        hint: "a peer must be able to miss one heartbeat")
    }
    guard maximumClientConnections > 0, maximumWorkerConnections > 0, decodingBudget > 0 else {
      throw MeshError(.invalidArgument, "a gateway needs room for connections and messages")
    }
  }

  /// The rules of a process that starts now.
  func drawRules() -> GatewayConfiguration {
    var rules = rules
    rules.name = WireText(name)
    rules.build = WireText(build)
    rules.bootID = BootID(high: .random(in: 1 ... .max), low: .random(in: 0 ... .max))
    // Far from the end, so that ids never begin anew.
    rules.firstSessionID = .random(in: 1...(1 << 62))
    return rules
  }

  /// A small request that waits costs little, and a client may have many at once.
  var clientLimits: EdgeLimits {
    var limits = EdgeLimits.client
    limits.maxConnections = maximumClientConnections
    limits.maxParkedMessages = 1_024
    return limits
  }

  var workerLimits: EdgeLimits {
    var limits = EdgeLimits.mesh
    limits.maxConnections = maximumWorkerConnections
    return limits
  }

  /// Whether strangers can reach an endpoint that has no keys.
  var isExposed: Bool {
    if case .curve = security { return false }
    return !(clientEndpoint.isLocal && workerEndpoint.isLocal)
  }
}
