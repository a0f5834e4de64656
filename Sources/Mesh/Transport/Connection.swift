#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A TCP connection that libzmq has accepted, seen through its descriptor.
///
/// The descriptor belongs to libzmq and may be closed and given to another file at any time. So the socket's inode, which
/// is not used again, is remembered, and whatever changes the connection first duplicates the descriptor and looks
/// whether it still is the same socket.
final class Connection {
  let descriptor: Int32
  let acceptedAt: MonotonicInstant
  /// The address and port of the other end.
  let address: String
  weak var peer: Peer?

  /// The wire bytes of messages that have been delivered from this connection, handshake and heartbeats included as far
  /// as they are known to be over.
  var acknowledged = 0
  /// Whether anything was delivered since the last look.
  var hasDelivered = false
  /// The bytes that libzmq had read at the last look, if every message completed by then had been received.
  var processed: Int?
  /// Why it was cut, if it was.
  var cut: Offence?

  private let inode: ino_t

  init(descriptor: Int32, now: MonotonicInstant) {
    self.descriptor = descriptor
    acceptedAt = now
    inode = Connection.inode(of: descriptor) ?? 0
    address = Connection.remoteAddress(of: descriptor)
  }

  /// The bytes received in order since the connection began, read or not; nil if the descriptor is not TCP (any more).
  var received: Int? {
    // `tcpi_bytes_received` lies behind 8 bytes, 24 words and 3 long words of Linux's `struct tcp_info`; glibc's own
    // declaration ends before it.
    let offset = 8 + 24 * 4 + 3 * 8
    let size = offset + 8
    return withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { info in
      var length = socklen_t(size)
      let status = getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &length)
      guard status == 0, Int(length) == size else { return nil }
      return Int(clamping: info.load(fromByteOffset: offset, as: UInt64.self))
    }
  }

  /// The bytes that the kernel holds and libzmq has not read.
  var unread: Int {
    var count: Int32 = 0
    return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
  }

  /// Ends the connection in both directions. libzmq notices at once, frees what it holds of unfinished messages, and
  /// reports the disconnection.
  ///
  /// - Parameter abruptly: whether to drop what the kernel still holds in both directions and to tell the other end so,
  ///   instead of leaving it to wait for a window that never opens.
  /// - Returns: whether it was still there.
  @discardableResult
  func shutDown(abruptly: Bool) -> Bool {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { return false }
    defer { close(copy) }
    guard inode != 0, Connection.inode(of: copy) == inode else { return false }
    if abruptly {
      var reset = linger(l_onoff: 1, l_linger: 0)
      setsockopt(copy, SOL_SOCKET, SO_LINGER, &reset, socklen_t(MemoryLayout<linger>.size))
    }
    return shutdown(copy, Int32(SHUT_RDWR)) == 0
  }

  private static func inode(of descriptor: Int32) -> ino_t? {
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFSOCK else { return nil }
    return info.st_ino
  }

  private static func remoteAddress(of descriptor: Int32) -> String {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        guard getpeername(descriptor, address, &length) == 0 else { return "?" }
        return NumericAddress.text(address, length, withPort: true) ?? "?"
      }
    }
  }
}

/// Socket addresses as people write them.
enum NumericAddress {
  /// `127.0.0.1:5570` or `[::1]:5570`, or without the port `127.0.0.1` and `[::1]`; nil for anything but IP.
  static func text(_ address: UnsafePointer<sockaddr>, _ length: socklen_t, withPort: Bool) -> String? {
    let family = Int32(address.pointee.sa_family)
    guard family == AF_INET || family == AF_INET6 else { return nil }
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
    let status = getnameinfo(
      address, length, &host, socklen_t(host.count), &port, socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV)
    guard status == 0 else { return nil }
    let name = string(host)
    let bracketed = family == AF_INET6 ? "[\(name)]" : name
    return withPort ? "\(bracketed):\(string(port))" : bracketed
  }

  private static func string(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
