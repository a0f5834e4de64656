import Configuration
import Foundation
import Logging
import Mesh
import StageServices
import SystemPackage

/// What flags, environment and file say together.
struct Settings {
  private let options: ServiceOptions
  private let reader: ConfigReader

  /// Reads the file, where one is named.
  ///
  /// - Throws: `MeshError.invalidFile` where it is not JSON.
  init(_ options: ServiceOptions) async throws(MeshError) {
    self.options = options
    var providers: [any ConfigProvider] = [EnvironmentVariablesProvider().prefixKeys(with: "glta")]
    if let file = options.config {
      do {
        providers.append(try await FileProvider<JSONSnapshot>(filePath: FilePath(file)))
      } catch {
        throw MeshError(.invalidFile, "cannot read the settings \(file): \(error)", hint: "expected a JSON object")
      }
    }
    reader = ConfigReader(providers: providers)
  }

  /// A text setting: the flag's, or else what environment or file have under the flag's name.
  func text(_ key: String, _ flag: String?) -> String? { flag ?? reader.string(forKey: ConfigKey(key)) }

  /// A number.
  ///
  /// - Throws: `MeshError.invalidArgument` outside the range.
  func number(_ key: String, _ flag: Int?, default fallback: Int, in range: ClosedRange<Int>) throws(MeshError) -> Int {
    let value = flag ?? reader.int(forKey: ConfigKey(key)) ?? fallback
    guard range.contains(value) else {
      throw MeshError(
        .invalidArgument, "\(key) is \(value), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// A list: an array in a file, separated by commas in the environment.
  func list(_ key: String, _ flag: [String]) -> [String] {
    flag.isEmpty ? reader.stringArray(forKey: ConfigKey(key)) ?? [] : flag
  }

  /// A setting without which there is nothing to do.
  ///
  /// - Throws: `MeshError.invalidArgument` naming all three ways to give it.
  func required(_ key: String, _ flag: String?) throws(MeshError) -> String {
    guard let value = text(key, flag) else {
      let variable = "GLTA_" + key.uppercased()
      throw MeshError(
        .invalidArgument, "--\(key) is missing",
        hint: "give the flag, the variable \(variable), or \"\(key)\" in the file of --config")
    }
    return value
  }

  /// The keys' folder, where keys are to be used.
  var keys: KeyFolder? { text("keys", options.keys).map(KeyFolder.init) }
  /// Whether to talk without keys beyond this machine.
  var isInsecure: Bool { options.insecure || reader.bool(forKey: "insecure") == true }
  /// A name for logs and status: the role, the host and the process unless one was given.
  func name(of role: String) -> String {
    text("name", options.name) ?? "\(role)@\(ProcessInfo.processInfo.hostName.prefix(60)):\(getpid())"
  }

  /// How long runs may go on after SIGTERM.
  func drainLimit() throws(MeshError) -> Duration {
    .seconds(try number("drain", options.drain, default: 30, in: 0...3_600))
  }

  /// A logger to standard error, at the level that was asked for.
  ///
  /// - Throws: `MeshError.invalidArgument` for a level that does not exist.
  func logger(_ label: String) throws(MeshError) -> Logger {
    let text = text("log-level", options.logLevel) ?? "info"
    guard let level = Logger.Level(rawValue: text) else {
      let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
      throw MeshError(.invalidArgument, "log-level is \(text), expected one of \(known)")
    }
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }

  /// How a worker reaches its gateways.
  func linkSecurity(of role: PeerRole) throws(MeshError) -> LinkSecurity {
    if let keys { return try keys.linkSecurity(of: role) }
    return isInsecure ? .insecure : .open
  }
}
