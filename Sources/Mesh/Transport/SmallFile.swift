#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Key files and allow-lists: text of at most a megabyte, read whole and replaced whole.
enum SmallFile {
  static let maximum = 1 << 20

  /// Tells two versions of a file apart.
  struct Version: Equatable {
    let inode: UInt64
    let size: Int64
    /// When it was written last, in nanoseconds.
    let modified: Int64
  }

  struct Content {
    let text: String
    let mode: mode_t
    let version: Version
  }

  /// - Throws: `MeshError.inputOutput`, or `.invalidFile` if the file is too large.
  static func read(_ path: String) throws(MeshError) -> Content {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw systemError("open \(path)") }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { throw systemError("stat \(path)") }
    guard info.st_mode & S_IFMT == S_IFREG else { throw MeshError(.inputOutput, "\(path) is not a regular file") }
    guard info.st_size <= maximum else {
      throw MeshError(.invalidFile, "\(path) has \(info.st_size) bytes, expected at most \(maximum)")
    }
    var bytes = [UInt8](repeating: 0, count: maximum + 1)
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress! + count, $0.count - count, off_t(count))
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw systemError("read \(path)") }
      if got == 0 { break }
      count += got
    }
    guard count <= maximum else { throw MeshError(.invalidFile, "\(path) has more than \(maximum) bytes") }
    return Content(
      text: String(decoding: bytes.prefix(count), as: UTF8.self), mode: info.st_mode, version: Version(info))
  }

  /// The version of the file at `path` without reading it; nil if there is none.
  static func version(of path: String) -> Version? {
    var info = stat()
    return stat(path, &info) == 0 ? Version(info) : nil
  }

  /// Replaces the file at `path`: a temporary name beside it, fsync, rename, fsync of the folder.
  static func write(_ text: String, to path: String, mode: mode_t) throws(MeshError) {
    let temporary = "\(path).tmp.\(getpid())"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw systemError("create \(temporary)") }
    var isWritten = fchmod(descriptor, mode) == 0
    let bytes = Array(text.utf8)
    var offset = 0
    while isWritten, offset < bytes.count {
      let put = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress! + offset, $0.count - offset, off_t(offset)) }
      if put < 0, errno == EINTR { continue }
      isWritten = put > 0
      offset += max(0, put)
    }
    isWritten = isWritten && fsync(descriptor) == 0
    let error = isWritten ? nil : systemError("write \(temporary)")
    close(descriptor)
    guard error == nil, rename(temporary, path) == 0 else {
      let failure = error ?? systemError("rename \(temporary) to \(path)")
      unlink(temporary)
      throw failure
    }
    let folder = open(path.lastIndex(of: "/").map { String(path[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }
}

extension SmallFile.Version {
  init(_ info: stat) {
    let modified = withUnsafePointer(to: info.st_mtim) { SystemTime.nanoseconds($0) }
    self.init(inode: UInt64(info.st_ino), size: Int64(info.st_size), modified: modified)
  }
}
