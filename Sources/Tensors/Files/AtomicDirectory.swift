#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import CLinux
import Foundation

/// Replaces a directory as a whole: whoever looks, or comes after a crash, finds the old one or the new one.
///
/// The new one is built beside the old under a temporary name, synced, and exchanged with it in one step; the old one is
/// removed last. Only what the caller recognises as its own is ever replaced.
package enum AtomicDirectory {
  /// What the name of a directory under construction ends with.
  package static let temporarySuffix = ".glta-new.tmp"
  private static let asideSuffix = ".glta-old.tmp"

  /// The path without slashes at its end.
  package static func normalized(_ path: String) -> String {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    return path
  }

  /// Makes sure that nothing of somebody else's would be lost: before hours of work, not only after.
  ///
  /// - Parameter isOurs: whether the directory that stands there may be replaced. An empty one always may.
  /// - Throws: `GLTAError.inputOutput` where a file or a foreign directory stands at `path`.
  package static func requireReplaceable(
    _ path: String, what: String, isOurs: (String) -> Bool
  ) throws(GLTAError) {
    let path = normalized(path)
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else { return }
    guard isDirectory.boolValue else {
      throw GLTAError(.inputOutput, "\(path) is a file, expected \(what) or nothing", hint: "choose another path")
    }
    guard !isOurs(path), (try? FileManager.default.contentsOfDirectory(atPath: path))?.isEmpty != true else { return }
    throw GLTAError(
      .inputOutput, "\(path) exists and is not \(what); it would be lost",
      hint: "choose another path, or remove it yourself")
  }

  /// Builds and moves in a directory.
  ///
  /// - Parameters:
  ///   - what: what stands there as a rule, for messages: "a bundle".
  ///   - isOurs: whether a directory that stands at `path` may be replaced.
  ///   - build: fills the directory that it is given.
  /// - Throws: what `build` throws, `GLTAError.inputOutput`; the old directory then stands as it was.
  package static func replace(
    at path: String, what: String, isOurs: (String) -> Bool, _ build: (String) throws(GLTAError) -> Void
  ) throws(GLTAError) {
    let manager = FileManager.default
    let path = normalized(path)
    let (fresh, aside) = (path + temporarySuffix, path + asideSuffix)
    recover(path, aside: aside)
    try requireReplaceable(path, what: what, isOurs: isOurs)
    try attempt("prepare", fresh) {
      if manager.fileExists(atPath: fresh) { try manager.removeItem(atPath: fresh) }
      try manager.createDirectory(atPath: fresh, withIntermediateDirectories: true)
    }
    do throws(GLTAError) {
      try build(fresh)
      try syncTree(fresh)
      try exchange(fresh, path, aside: aside)
    } catch {
      try? manager.removeItem(atPath: fresh)
      throw error
    }
    try AtomicFile.syncDirectory(AtomicFile.parent(of: path))
    // The old one, which now has the temporary name.
    try? manager.removeItem(atPath: fresh)
  }

  /// Gives `fresh` the name `path`; what stood there gets the name `fresh`.
  private static func exchange(_ fresh: String, _ path: String, aside: String) throws(GLTAError) {
    guard FileManager.default.fileExists(atPath: path) else {
      guard rename(fresh, path) == 0 else { throw systemError("move into place", path) }
      return
    }
    if glta_exchange_names(fresh, path) == 0 { return }
    // A file system without exchange: a crash between the two moves is mended by the next save.
    guard rename(path, aside) == 0 else { throw systemError("move aside", path) }
    guard rename(fresh, path) == 0 else {
      let failure = systemError("move into place", path)
      rename(aside, path)
      throw failure
    }
    rename(aside, fresh)
  }

  /// Puts a directory back that a crash left aside with nothing in its place.
  private static func recover(_ path: String, aside: String) {
    guard FileManager.default.fileExists(atPath: aside), !FileManager.default.fileExists(atPath: path) else { return }
    rename(aside, path)
  }

  /// Syncs every directory below `path`; the files were synced when they were written.
  private static func syncTree(_ path: String) throws(GLTAError) {
    for name in (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? [] {
      var isDirectory: ObjCBool = false
      let entry = path + "/" + name
      if FileManager.default.fileExists(atPath: entry, isDirectory: &isDirectory), isDirectory.boolValue {
        try AtomicFile.syncDirectory(entry)
      }
    }
    try AtomicFile.syncDirectory(path)
  }

  private static func attempt(_ action: String, _ path: String, _ body: () throws -> Void) throws(GLTAError) {
    do {
      try body()
    } catch { throw GLTAError(.inputOutput, "cannot \(action) \(path): \(error.localizedDescription)") }
  }
}
