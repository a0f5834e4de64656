#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// An exclusive lock on a file, held as long as the value lives and gone with the process, however that ends.
package final class FileLock: Sendable {
  private let descriptor: Int32

  /// Takes the lock at once; the file is made where it does not exist.
  ///
  /// - Throws: `GLTAError.inputOutput` where another process holds it.
  package init(path: String) throws(GLTAError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw systemError("open", path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let failure =
        errno == EWOULDBLOCK
        ? GLTAError(
          .inputOutput, "\(path) is locked: another process works there",
          hint: "wait for it, stop it, or choose another --out") : systemError("lock", path)
      close(descriptor)
      throw failure
    }
  }

  deinit { close(descriptor) }
}
