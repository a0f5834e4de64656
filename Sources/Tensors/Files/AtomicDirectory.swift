import Foundation

/// Replaces a directory as a whole: whoever looks, or comes after a crash, finds the old one or the new one.
///
/// The new one is built beside the old under a temporary name, synced, and moved into place; where an old one stands, it
/// first steps aside under a second name and is removed last. A crash between the two moves is mended by `recover`.
package enum AtomicDirectory {
  /// Builds and moves in a directory.
  ///
  /// - Parameters:
  ///   - isOurs: whether what stands there may be replaced.
  ///   - build: fills the directory that it is given.
  /// - Throws: what `build` throws, `GLTAError.inputOutput`; the old directory then stands as it was.
  package static func replace(
    at path: String, isOurs: (String) -> Bool, _ build: (String) throws(GLTAError) -> Void
  ) throws(GLTAError) {
    let manager = FileManager.default
    let path = normalized(path)
    recover(path)
    guard !manager.fileExists(atPath: path) || isOurs(path) else {
      throw GLTAError(.invalidArgument, "\(path) exists and is none of ours; it is left as it is")
    }
    let fresh = path + ".new.tmp"
    let old = path + ".old.tmp"
    try attempt("prepare", fresh) {
      if manager.fileExists(atPath: fresh) { try manager.removeItem(atPath: fresh) }
      try manager.createDirectory(atPath: fresh, withIntermediateDirectories: true)
    }
    do throws(GLTAError) {
      try build(fresh)
      try syncTree(fresh)
      if manager.fileExists(atPath: path) {
        guard rename(path, old) == 0 else { throw systemError("move aside", path) }
      }
      guard rename(fresh, path) == 0 else {
        let failure = systemError("move into place", path)
        rename(old, path)
        throw failure
      }
    } catch {
      try? manager.removeItem(atPath: fresh)
      throw error
    }
    try AtomicFile.syncDirectory(AtomicFile.parent(of: path))
    try? manager.removeItem(atPath: old)
  }

  /// Puts an old directory back that a crash left aside with nothing in its place.
  private static func recover(_ path: String) {
    let manager = FileManager.default
    let path = normalized(path)
    let old = path + ".old.tmp"
    guard manager.fileExists(atPath: old) else { return }
    if manager.fileExists(atPath: path) {
      try? manager.removeItem(atPath: old)
    } else {
      rename(old, path)
    }
  }

  private static func normalized(_ path: String) -> String {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    return path
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
