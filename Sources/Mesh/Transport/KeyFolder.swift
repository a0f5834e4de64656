#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A folder of CURVE keys for one mesh, as `glta keys new` makes it: a pair for each role, the gateway's public key by
/// itself, and the allow-list.
///
///     gateway.key  encoder.key  aligner.key  ranker.key  client.key     pairs, for their owners only
///     gateway.pub                                                       what all others need to know the gateway by
///     allow.list                                                        which key may play which role
///
/// A host gets only what it needs: a ranker's its own pair and gateway.pub.
public struct KeyFolder: Sendable {
  /// Where the folder is.
  public let path: String

  /// Names a folder; nothing is read yet.
  public init(path: String) { self.path = path }

  private static let allowListName = "allow.list"
  private static let gatewayName = "gateway.pub"

  /// The roles that get a pair.
  public static let roles: [PeerRole] = [.gateway, .encoder, .aligner, .ranker, .client]

  /// The pair of a role.
  ///
  /// - Throws: what `KeyPair.init(contentsOf:)` throws.
  public func pair(of role: PeerRole) throws(MeshError) -> KeyPair {
    try KeyPair(contentsOf: path + "/\(role.rawValue).key")
  }

  /// The path of the allow-list.
  public var allowList: String { path + "/" + KeyFolder.allowListName }

  /// The gateway's public key.
  ///
  /// - Throws: `MeshError.inputOutput`, `.invalidArgument` where the file holds no key.
  public func gatewayKey() throws(MeshError) -> CurvePublicKey {
    let text: String
    do throws(MeshError) { text = try SmallFile.read(path + "/" + KeyFolder.gatewayName).text } catch {
      throw MeshError(error.code, error.message, hint: "`glta keys new --out DIR` makes keys")
    }
    return try CurvePublicKey(String(text.split(whereSeparator: \.isWhitespace).first ?? ""))
  }

  /// How somebody of a role reaches a gateway.
  ///
  /// - Throws: what reading the keys throws.
  public func linkSecurity(of role: PeerRole) throws(MeshError) -> LinkSecurity {
    .curve(try pair(of: role), gateway: try gatewayKey())
  }

  /// How a gateway lets others in.
  ///
  /// - Throws: what reading the keys throws.
  public func gatewaySecurity() throws(MeshError) -> Gateway.Security {
    .curve(try pair(of: .gateway), allowing: .file(allowList))
  }

  /// Makes the folder with new keys.
  ///
  /// - Throws: `MeshError.inputOutput` where something stands there: keys are never replaced.
  public func create() throws(MeshError) {
    try makeFolder()
    var lines = ["# public key, role, comment. Read again when it changes: remove a line to shut its key out."]
    for role in KeyFolder.roles {
      let pair = try KeyPair.generate()
      try pair.write(to: path + "/\(role.rawValue).key")
      lines.append("\(pair.publicKey) \(role.rawValue)")
      if role == .gateway {
        try SmallFile.write("\(pair.publicKey)\n", to: path + "/" + KeyFolder.gatewayName, mode: 0o644)
      }
    }
    try SmallFile.write(lines.joined(separator: "\n") + "\n", to: allowList, mode: 0o644)
  }

  private func makeFolder() throws(MeshError) {
    let parts = path.split(separator: "/")
    for count in 1..<max(1, parts.count) {
      mkdir((path.hasPrefix("/") ? "/" : "") + parts[..<count].joined(separator: "/"), 0o755)
    }
    guard mkdir(path, 0o700) != 0 else { return }
    guard errno == EEXIST else { throw systemError("create \(path)") }
    throw MeshError(.inputOutput, "\(path) exists; keys are never replaced", hint: "choose another directory")
  }
}
