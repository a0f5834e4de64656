public import ArgumentParser

/// Options that every service has. What a flag leaves open comes from the environment (`--slots` is GLTA_SLOTS), then
/// from the file of --config (`"slots"`), then from the default.
public struct ServiceOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A JSON file of settings, named as the flags are.", valueName: "file"))
  var config: String?
  @Option(help: ArgumentHelp("A folder of CURVE keys, as `glta keys new` makes it.", valueName: "dir"))
  var keys: String?
  @Flag(help: "Talk without keys beyond this machine, too: anybody on the network can then read and forge messages.")
  var insecure = false
  @Option(help: ArgumentHelp("A name for logs and status.", valueName: "name"))
  var name: String?
  @Option(help: ArgumentHelp("trace, debug, info, notice, warning or error. (default: info)", valueName: "level"))
  var logLevel: String?
  @Option(
    help: ArgumentHelp("How long runs may go on after SIGTERM, in seconds. (default: 30)", valueName: "seconds"))
  var drain: Int?

  /// Made by the parser.
  public init() {}
}

/// Options of the three stages.
public struct WorkerOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The trained bundle to serve.", valueName: "dir"))
  var bundle: String?
  @Option(
    name: .customLong("gateway"), parsing: .singleValue,
    help: ArgumentHelp(
      "Where a gateway takes workers, one port above that of its clients. May be repeated; a name may stand for several.",
      valueName: "url"))
  var gateways: [String] = []
  @Option(
    help: ArgumentHelp(
      "The language model's directory or file, where it is not the one that training recorded. It must be the same.",
      valueName: "path"))
  var languageModel: String?
  @Option(
    help: ArgumentHelp(
      "The language model's weights: stored, f32, bf16 or int8. (default: that of training)", valueName: "precision"))
  var precision: String?
  @Option(help: ArgumentHelp("Runs at once, each on a thread of its own. (default: 1)", valueName: "n"))
  var slots: Int?
  @OptionGroup var service: ServiceOptions

  /// Made by the parser.
  public init() {}
}

/// Options of the gateway.
public struct GatewayOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Where clients connect. (default: tcp://127.0.0.1:5570)", valueName: "url"))
  var clients: String?
  @Option(
    help: ArgumentHelp("Where workers connect. (default: tcp://127.0.0.1:5571)", valueName: "url"))
  var workers: String?
  @Option(
    help: ArgumentHelp(
      "Requests that may wait for a worker; further ones are refused with OVERLOADED. (default: 1024)", valueName: "n"))
  var queue: Int?
  @Option(
    help: ArgumentHelp(
      "How long a client may leave its window closed before its request ends with STALLED. (default: 30000)",
      valueName: "ms"))
  var stall: Int?
  @Option(help: ArgumentHelp("Silence after which a peer is asked whether it lives. (default: 2000)", valueName: "ms"))
  var heartbeat: Int?
  @Option(help: ArgumentHelp("Silence that ends a session. (default: three heartbeats)", valueName: "ms"))
  var expiry: Int?
  @OptionGroup var service: ServiceOptions

  /// Made by the parser.
  public init() {}
}
