#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Finds the addresses behind a host name.
public protocol AddressResolver: Sendable {
  /// The numeric addresses of `host`, without brackets or ports, in any order. May wait; it runs on a thread of its own.
  ///
  /// - Throws: if nothing can be said now; addresses found before stay in use. An empty list, in contrast, means that
  ///   there are none.
  func addresses(of host: String) throws(MeshError) -> [String]
}

/// The system's resolver (`getaddrinfo`): the hosts file and DNS.
public struct SystemResolver: AddressResolver {
  /// Has no state: each look-up asks the system anew.
  public init() {}

  /// - Throws: `MeshError.endpointUnavailable` with the resolver's reason.
  public func addresses(of host: String) throws(MeshError) -> [String] {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, nil, &hints, &list)
    guard status == 0 else {
      throw MeshError(
        .endpointUnavailable, "cannot find the addresses of \(host): \(String(cString: gai_strerror(status)))")
    }
    defer { freeaddrinfo(list) }
    var found: [String] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ai_next
      guard let address = entry.ai_addr, var text = NumericAddress.text(address, entry.ai_addrlen, withPort: false)
      else { continue }
      if text.hasPrefix("[") { text = String(text.dropFirst().dropLast()) }
      if !found.contains(text) { found.append(text) }
    }
    return found
  }
}
