#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Ports for processes that must be told where to listen.
package enum FreePorts {
  /// Below the ports that Linux hands out by itself, so that no connection of anybody takes one meanwhile.
  private static let range = 12_000..<32_000

  /// The first of `count` ports that are free on loopback now; nil where none are found.
  package static func first(of count: Int) -> Int? {
    for _ in 0..<200 {
      let first = Int.random(in: range.lowerBound..<range.upperBound - count)
      if (first..<first + count).allSatisfy(isFree) { return first }
    }
    return nil
  }

  private static func isFree(_ port: Int) -> Bool { withSocket("127.0.0.1", port) { bind($0, $1, $2) == 0 } }

  /// Whether somebody listens on a port of a loopback address.
  static func isTaken(_ port: Int, of host: String) -> Bool { withSocket(host, port) { connect($0, $1, $2) == 0 } }

  private static func withSocket(
    _ host: String, _ port: Int, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Bool
  ) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
