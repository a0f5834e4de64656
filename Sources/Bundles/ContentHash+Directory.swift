import Foundation
import Tensors

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
