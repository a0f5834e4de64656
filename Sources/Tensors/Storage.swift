#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A run of bytes, 64-byte aligned where we allocate it, freed with its last owner.
///
/// Storage is shared by the views that stand on it; whoever writes says so by holding a `Matrix` or a `Tensor` alone
/// or by owning its rows of a parallel loop. Hence `@unchecked Sendable`: the compiler cannot see rows.
public final class Storage: @unchecked Sendable {
  /// The alignment of allocations, in bytes: one cache line, and one 512-bit vector.
  public static let alignment = 64

  /// The size of the larger pages of x86-64 and arm64 Linux, and the least allocation that gets them.
  private static let hugePage = 1 << 21

  /// The first byte. Valid while the storage lives; read-only where a file is mapped.
  public let base: UnsafeMutableRawPointer
  /// The bytes that may be used from `base` on; zero for an empty file.
  public let byteCount: Int
  private let release: @Sendable (UnsafeMutableRawPointer, Int) -> Void
  /// Whether the bytes are a file's, which can be read again.
  private let isMapping: Bool

  /// `byteCount` zeroed bytes.
  public convenience init(byteCount: Int) {
    precondition(byteCount >= 0)
    let isHuge = byteCount >= Storage.hugePage
    let base = UnsafeMutableRawPointer.allocate(
      byteCount: max(byteCount, 1), alignment: isHuge ? Storage.hugePage : Storage.alignment)
    #if os(Linux)
      // Rows read in any order miss the page tables as often as the caches. Advice: a kernel may decline it.
      if isHuge { madvise(base, byteCount, MADV_HUGEPAGE) }
    #endif
    base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    self.init(base: base, byteCount: byteCount) { pointer, _ in pointer.deallocate() }
  }

  private init(
    base: UnsafeMutableRawPointer, byteCount: Int, isMapping: Bool = false,
    release: @escaping @Sendable (UnsafeMutableRawPointer, Int) -> Void
  ) {
    self.base = base
    self.byteCount = byteCount
    self.isMapping = isMapping
    self.release = release
  }

  /// The bytes of the file at `path`, mapped read-only. Writing to them ends the process, as for any read-only page.
  ///
  /// - Throws: `GLTAError.inputOutput` with the path and the system's reason.
  public static func mapping(path: String) throws(GLTAError) -> Storage {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemError("open", path) }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { throw systemError("stat", path) }
    guard info.st_mode & S_IFMT == S_IFREG else {
      throw GLTAError(.inputOutput, "\(path) is not a regular file")
    }
    let byteCount = Int(info.st_size)
    guard byteCount > 0 else { return Storage(byteCount: 0) }
    guard let base = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw systemError("map", path)
    }
    return Storage(base: base, byteCount: byteCount, isMapping: true) { munmap($0, $1) }
  }

  /// Lets go of the memory of some bytes of a mapped file: whoever reads them again waits for the file. Does nothing to
  /// other storage, and nothing to pages that other bytes share.
  package func releasePages(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let (first, end) = ((range.lowerBound + page - 1) / page * page, range.upperBound / page * page)
    guard isMapping, first < end else { return }
    madvise(base + first, end - first, MADV_DONTNEED)
  }

  deinit { release(base, byteCount) }
}

/// The error of a system call that has just failed: what was tried, on what, and `errno` in words.
package func systemError(_ action: String, _ path: String) -> GLTAError {
  GLTAError(.inputOutput, "cannot \(action) \(path): \(String(cString: strerror(errno)))")
}
