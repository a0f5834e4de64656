#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ

/// A CURVE public key in Z85: 40 printable characters for 32 bytes (RFC 32).
public struct CurvePublicKey: Sendable, Hashable, CustomStringConvertible {
  /// The key as 40 characters of Z85.
  public let z85: String

  /// - Throws: `MeshError.invalidArgument` if `z85` is not a key.
  public init(_ z85: String) throws(MeshError) {
    guard CurvePublicKey.isKey(z85) else {
      throw MeshError(
        .invalidArgument, "\"\(z85.prefix(60))\" is not a public key: expected 40 characters of Z85",
        hint: "`glta keys new --out DIR` makes keys")
    }
    self.z85 = z85
  }

  /// The key of 32 bytes, as ZAP hands them over; nil for any other length.
  init?(bytes: UnsafeRawBufferPointer) {
    guard bytes.count == 32, let base = bytes.baseAddress else { return nil }
    var text = [CChar](repeating: 0, count: 41)
    guard zmq_z85_encode(&text, base.assumingMemoryBound(to: UInt8.self), 32) != nil else { return nil }
    z85 = String(decoding: text.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The key itself, since it is no secret.
  public var description: String { z85 }

  static func isKey(_ text: String) -> Bool {
    guard text.utf8.count == 40, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return false }
    var bytes = [UInt8](repeating: 0, count: 32)
    return zmq_z85_decode(&bytes, text) != nil
  }
}

/// A CURVE key pair. Its description does not show the secret key.
public struct KeyPair: Sendable, Equatable, CustomStringConvertible {
  /// The half that others put on their allow-lists.
  public let publicKey: CurvePublicKey
  /// 40 characters of Z85. Keep it off logs and command lines.
  public let secretKey: String

  /// The pair of a secret key.
  ///
  /// - Throws: `MeshError.invalidArgument` if it is not a key.
  public init(secretKey: String) throws(MeshError) {
    var text = [CChar](repeating: 0, count: 41)
    guard CurvePublicKey.isKey(secretKey), zmq_curve_public(&text, secretKey) == 0 else {
      throw MeshError(
        .invalidArgument, "the secret key is not a key: expected 40 characters of Z85",
        hint: "`glta keys new --out DIR` makes keys")
    }
    publicKey = try CurvePublicKey(String(decoding: text.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    self.secretKey = secretKey
  }

  /// A new pair from the system's random numbers.
  ///
  /// - Throws: `MeshError.inputOutput` if libzmq was built without CURVE.
  public static func generate() throws(MeshError) -> KeyPair {
    var publicText = [CChar](repeating: 0, count: 41)
    var secretText = [CChar](repeating: 0, count: 41)
    guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw zeroMQError("make a key pair") }
    return try KeyPair(secretKey: String(decoding: secretText.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  /// Shows the public key only.
  public var description: String { "KeyPair(\(publicKey))" }

  // MARK: Files

  /// Writes the pair to `path`, readable by its owner only, at once or not at all. A file that is there is replaced.
  ///
  /// The format is lines of a name and a value, `public-key` and `secret-key`; lines that start with `#` are comments.
  ///
  /// - Throws: `MeshError.inputOutput`.
  public func write(to path: String) throws(MeshError) {
    let text = """
      # CURVE key pair of GLTA. Keep this file secret; give away the public key only.
      public-key \(publicKey)
      secret-key \(secretKey)

      """
    try SmallFile.write(text, to: path, mode: 0o600)
  }

  /// Reads a pair that `write` has written.
  ///
  /// - Throws: `MeshError.inputOutput` if the file cannot be read, `.insecure` if others than its owner may read it,
  ///   `.invalidFile` if it is no key file or its keys do not belong together.
  public init(contentsOf path: String) throws(MeshError) {
    let file = try SmallFile.read(path)
    guard file.mode & 0o077 == 0 else {
      let mode = String(file.mode & 0o777, radix: 8)
      throw MeshError(
        .insecure, "the key file \(path) has mode \(mode): others can read the secret key", hint: "chmod 600 \(path)")
    }
    var values: [Substring: Substring] = [:]
    for line in file.text.split(separator: "\n") where !line.hasPrefix("#") {
      let words = line.split(separator: " ")
      guard words.count == 2, values.updateValue(words[1], forKey: words[0]) == nil else {
        throw MeshError(.invalidFile, "\(path) is not a key file: a line is not a name and a value, or appears twice")
      }
    }
    guard let secret = values["secret-key"], let pair = try? KeyPair(secretKey: String(secret)) else {
      throw MeshError(
        .invalidFile, "\(path) is not a key file: it has no valid secret-key",
        hint: "`glta keys new --out DIR` makes keys")
    }
    if let stated = values["public-key"], stated != pair.publicKey.z85 {
      throw MeshError(.invalidFile, "the public key in \(path) does not belong to its secret key")
    }
    self = pair
  }
}
