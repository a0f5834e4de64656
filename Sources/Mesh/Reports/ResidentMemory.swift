#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// What the process takes of the machine's memory.
package enum ResidentMemory {
  /// Bytes resident now; zero where the system does not say.
  package static var bytes: UInt64 {
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    return withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
      let count = read(file, buffer.baseAddress, buffer.count)
      guard count > 0 else { return 0 }
      let words = buffer[..<count].split(separator: UInt8(ascii: " "))
      guard words.count > 1, let pages = UInt64(String(decoding: words[1], as: UTF8.self)) else { return 0 }
      return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
  }
}
