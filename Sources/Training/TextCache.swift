import Foundation
import Tensors

/// Text embeddings on disk by the hash of what they were made of: the texts, in order, and the language model.
///
/// Files lie in `GLTA_CACHE`, else `XDG_CACHE_HOME/glta`, else `~/.cache/glta`. They can be deleted at any time; one that
/// cannot be read or written costs the time of reading the texts again.
enum TextCache {
  /// The embeddings of these texts, made where they are not known.
  static func embeddings(
    of texts: [String], languageModelHash: String, make: () throws(GLTAError) -> Matrix
  ) throws(GLTAError) -> Matrix {
    var hasher = ContentHash()
    hasher.update("text embeddings 1 \(languageModelHash) \(texts.count)\n")
    for text in texts { hasher.update("\(text.utf8.count) \(text)\n") }
    let file = "\(folder)/text-\(hasher.finish()).safetensors"
    if let known = try? SafetensorsFile(path: file).matrix("items", rows: texts.count, columns: nil) {
      return known.copy()
    }
    let embeddings = try make()
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try? SafetensorsWriter.write([("items", embeddings.tensor)], metadata: [:], to: file)
    return embeddings
  }

  private static var folder: String {
    let environment = ProcessInfo.processInfo.environment
    if let own = environment["GLTA_CACHE"], !own.isEmpty { return own }
    if let home = environment["XDG_CACHE_HOME"], !home.isEmpty { return home + "/glta" }
    return NSHomeDirectory() + "/.cache/glta"
  }
}
