import Foundation
import Tensors

/// Replaces a directory as a whole: whoever looks, or comes after a crash, finds the old one or the new one.
///
/// The new one is built beside the old under a temporary name, synced, and moved into place; where an old one stands, it
/// first steps aside under a second name and is removed last. A crash between the two moves is mended by `recover`.
enum AtomicDirectory {
  /// Builds and moves in a directory.
  ///
  /// - Parameter build: fills the directory that it is given.
  /// - Throws: what `build` throws, `GLTAError.inputOutput`; the old directory then stands as it was.
  static func replace(at path: String, _ build: (String) throws(GLTAError) -> Void) throws(GLTAError) {
    let manager = FileManager.default
    let path = normalized(path)
    recover(path)
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
  static func recover(_ path: String) {
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

extension ContentHash {
  /// The digest of a directory: of each file's relative name and digest, in the order of the names. Neither the
  /// directory's own path nor times or owners count.
  ///
  /// - Parameter excluding: names directly below the directory that are left out.
  /// - Throws: `GLTAError.inputOutput`.
  static func ofDirectory(_ path: String, excluding: Set<String>) throws(GLTAError) -> String {
    let names: [String]
    do {
      names = try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
    } catch { throw GLTAError(.inputOutput, "cannot list \(path): \(error.localizedDescription)") }
    var hash = ContentHash()
    for name in names {
      guard let top = name.split(separator: "/").first, !excluding.contains(String(top)) else { continue }
      var isDirectory: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isDirectory),
        !isDirectory.boolValue
      else { continue }
      // Lengths before names: no two directories give the same bytes.
      hash.update("\(name.utf8.count) \(name) \(try ContentHash.ofFile(path + "/" + name))\n")
    }
    return hash.finish()
  }
}
