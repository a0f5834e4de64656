#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Writes files so that a reader, or whoever comes after a crash, finds the old content or the new, never a part.
///
/// The bytes go to a temporary name in the same directory, are synced to disk and renamed into place; then the
/// directory is synced.
public enum AtomicFile {
  /// Receives the bytes of a file.
  public struct Writer: ~Copyable {
    fileprivate let descriptor: Int32
    fileprivate let path: String

    /// Appends bytes.
    ///
    /// - Throws: `GLTAError.inputOutput`, for instance when the disk is full.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(GLTAError) {
      var rest = bytes
      while !rest.isEmpty {
        // The kernel takes at most 2 GiB at once.
        let written = systemWrite(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
        if written < 0 {
          if errno == EINTR { continue }
          throw systemError("write", path)
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      }
    }

    /// Appends bytes.
    ///
    /// - Throws: `GLTAError.inputOutput`, for instance when the disk is full.
    public func write(_ bytes: [UInt8]) throws(GLTAError) {
      // The standard library's closure does not carry typed errors.
      var failure: GLTAError?
      bytes.withUnsafeBytes { buffer in
        do throws(GLTAError) { try write(buffer) } catch { failure = error }
      }
      if let failure { throw failure }
    }
  }

  /// Writes the file at `path`, or leaves it as it was.
  ///
  /// - Throws: what `body` throws; `GLTAError.inputOutput`.
  public static func write(to path: String, _ body: (borrowing Writer) throws(GLTAError) -> Void) throws(GLTAError) {
    let temporary = "\(path).\(getpid()).tmp"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw systemError("create", temporary) }
    do throws(GLTAError) {
      let writer = Writer(descriptor: descriptor, path: path)
      try body(writer)
      guard fsync(descriptor) == 0 else { throw systemError("sync", temporary) }
    } catch {
      close(descriptor)
      unlink(temporary)
      throw error
    }
    guard close(descriptor) == 0, rename(temporary, path) == 0 else {
      let failure = systemError("replace", path)
      unlink(temporary)
      throw failure
    }
    try syncDirectory(parent(of: path))
  }

  /// Writes a file that is already in memory, or leaves the one at `path` as it was.
  ///
  /// - Throws: `GLTAError.inputOutput`.
  public static func write(bytes: [UInt8], to path: String) throws(GLTAError) {
    try write(to: path) { (writer) throws(GLTAError) in try writer.write(bytes) }
  }

  /// Makes the entries of a directory durable: a rename is, only after this.
  package static func syncDirectory(_ path: String) throws(GLTAError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemError("open", path) }
    defer { close(descriptor) }
    // Some file systems cannot sync directories and say so; their renames are durable by other means.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw systemError("sync", path) }
  }

  /// The directory that a path lies in.
  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

/// `write(2)`, whose name the methods above hide.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
