/// What a peer may be in the mesh.
public enum PeerRole: String, Sendable, CaseIterable {
  /// May ask for rankings.
  case client
  /// May work as a graph encoder.
  case encoder
  /// May work as a token aligner.
  case aligner
  /// May work as a logits ranker.
  case ranker
  /// May act as a gateway.
  case gateway
}

/// Who a peer has proved to be: the holder of a key, and the role that the allow-list gives that key.
public struct PeerIdentity: Sendable, Hashable {
  /// What the key may be.
  public let role: PeerRole
  /// The key whose secret half the peer has.
  public let key: CurvePublicKey

  /// A key in the role that the list gives it.
  public init(role: PeerRole, key: CurvePublicKey) {
    self.role = role
    self.key = key
  }

  /// As libzmq carries it with every message of the connection; Z85 has no spaces.
  var userID: String { "\(role.rawValue) \(key.z85)" }

  init?(userID: String) {
    let words = userID.split(separator: " ")
    guard words.count == 2, let role = PeerRole(rawValue: String(words[0])),
      let key = try? CurvePublicKey(String(words[1]))
    else { return nil }
    self.init(role: role, key: key)
  }
}

/// The keys that may connect, each with its role.
///
/// One line a key: the public key in Z85, the role (`client`, `encoder`, `aligner`, `ranker` or `gateway`), and
/// optionally anything else as a comment. Empty lines and lines that start with `#` followed by a space are skipped.
public struct AllowList: Sendable, Equatable {
  /// The role of each key.
  public let roles: [CurvePublicKey: PeerRole]

  /// A list made in code rather than read from a file.
  public init(_ roles: [CurvePublicKey: PeerRole]) { self.roles = roles }

  /// - Parameter source: the name of the text for error messages.
  /// - Throws: `MeshError.invalidFile` with the number of the line that is wrong.
  public init(text: String, source: String) throws(MeshError) {
    var roles: [CurvePublicKey: PeerRole] = [:]
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }
      guard let first = words.first, first != "#" else { continue }
      func fail(_ reason: String) -> MeshError {
        MeshError(
          .invalidFile, "\(source), line \(index + 1): \(reason)",
          hint: "a line is a public key, a role (\(PeerRole.allCases.map(\.rawValue).joined(separator: ", "))) "
            + "and an optional comment")
      }
      guard words.count >= 2 else { throw fail("expected a key and a role") }
      guard let key = try? CurvePublicKey(String(first)) else { throw fail("\"\(first.prefix(60))\" is not a key") }
      guard let role = PeerRole(rawValue: String(words[1])) else { throw fail("\"\(words[1])\" is not a role") }
      guard roles.updateValue(role, forKey: key) == nil else { throw fail("the key appears twice") }
    }
    self.roles = roles
  }

  /// Reads the file at `path`.
  ///
  /// - Throws: `MeshError.inputOutput` or `.invalidFile`.
  public init(contentsOf path: String) throws(MeshError) {
    try self.init(text: SmallFile.read(path).text, source: path)
  }
}
