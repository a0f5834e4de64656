#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Where a socket listens or dials: `tcp://HOST:PORT`, `inproc://NAME` or `ipc://PATH`.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
  /// How the bytes travel.
  public enum Transport: String, Sendable {
    /// TCP over IPv4 or IPv6; needs keys off loopback (gltp-1.md 2.3).
    case tcp
    /// Within the process, unencrypted and without connections.
    case inproc
    /// A Unix socket.
    case ipc
  }

  /// How messages travel.
  public let transport: Transport
  /// The host of a TCP endpoint without brackets, or the name or the path of another.
  public let host: String
  /// The port of a TCP endpoint; zero asks for a free one.
  public let port: Int

  /// A TCP endpoint. Neither host nor port is checked; an IPv6 address has no brackets here.
  public init(tcp host: String, port: Int) {
    transport = .tcp
    self.host = host
    self.port = port
  }

  /// Reads an endpoint as people write it. `*` stands for every address, or for a free port.
  ///
  /// - Throws: `MeshError.invalidArgument`.
  public init(_ text: String) throws(MeshError) {
    func fail(_ reason: String) -> MeshError {
      MeshError(
        .invalidArgument, "\"\(text)\" is not an endpoint: \(reason)",
        hint: "write tcp://127.0.0.1:5570, or tcp://[::1]:5570, or inproc://NAME")
    }
    // No Foundation: `range(of:)` and its kin are not available.
    let characters = Array(text.utf8)
    guard let colon = characters.firstIndex(of: UInt8(ascii: ":")), characters.dropFirst(colon).starts(with: "://".utf8)
    else { throw fail("it has no transport") }
    let scheme = String(decoding: characters[..<colon], as: UTF8.self)
    let rest = String(decoding: characters[(colon + 3)...], as: UTF8.self)
    guard let transport = Transport(rawValue: scheme) else { throw fail("the transport \(scheme) is not known") }
    guard !rest.isEmpty, rest.utf8.count <= 200, !rest.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
      throw fail("what follows the transport is empty, too long or has spaces")
    }
    self.transport = transport
    guard transport == .tcp else {
      host = rest
      port = 0
      return
    }
    guard let last = rest.lastIndex(of: ":") else { throw fail("it has no port") }
    let portText = rest[rest.index(after: last)...]
    if portText == "*" {
      port = 0
    } else {
      guard let number = Int(portText), (0...65_535).contains(number), portText.utf8.allSatisfy({ $0 != 0x2B }) else {
        throw fail("the port is \(portText), expected 0 to 65535")
      }
      port = number
    }
    var name = rest[..<last]
    if name.hasPrefix("["), name.hasSuffix("]") {
      name = name.dropFirst().dropLast()
      guard name.contains(":") else { throw fail("brackets are for IPv6 addresses") }
    } else if name.contains(":") {
      throw fail("IPv6 addresses are written in brackets")
    }
    // A semicolon would name a source address to libzmq.
    guard !name.isEmpty, !name.contains(";"), !name.contains("/") else {
      throw fail("the host is missing or malformed")
    }
    host = String(name)
  }

  /// As `init(_:)` reads it: "tcp://127.0.0.1:5570", "tcp://[::1]:5570", "ipc:///run/glta.sock".
  public var description: String {
    switch transport {
    case .tcp: "tcp://\(isIPv6 ? "[\(host)]" : host):\(port)"
    case .inproc, .ipc: "\(transport.rawValue)://\(host)"
    }
  }

  /// Whether messages cannot leave this machine: loopback addresses (127.0.0.0/8, ::1, the name `localhost`), Unix
  /// sockets, and endpoints within the process.
  public var isLocal: Bool {
    guard transport == .tcp else { return true }
    if host == "localhost" || host == "::1" { return true }
    return isIPv4Literal && host.hasPrefix("127.")
  }

  /// Whether the host is an address, not a name that has to be looked up.
  public var isNumeric: Bool { transport != .tcp || host == "localhost" || isIPv6 || isIPv4Literal }

  var isIPv6: Bool { transport == .tcp && host.contains(":") }

  private var isIPv4Literal: Bool {
    var address = in_addr()
    return inet_pton(AF_INET, host, &address) == 1
  }

  /// What libzmq is told to bind. It takes numbers, `*` and network devices, and `localhost` is none of these.
  var bindText: String { host == "localhost" && transport == .tcp ? "tcp://127.0.0.1:\(port)" : description }
  /// What libzmq is told to connect to.
  var connectText: String { bindText }

  /// Makes sure that nobody listens to the network, or talks to it, without keys by accident.
  ///
  /// - Throws: `MeshError.insecure`.
  func requireKeysUnlessLocal(isAllowed: Bool, action: String) throws(MeshError) {
    guard !isLocal, !isAllowed else { return }
    throw MeshError(
      .insecure, "refusing to \(action) \(self) without keys: others on the network could read and forge messages",
      hint: "make keys with `glta keys new --out DIR` and pass them with --keys DIR, "
        + "use tcp://127.0.0.1, or accept the risk with --insecure")
  }
}
