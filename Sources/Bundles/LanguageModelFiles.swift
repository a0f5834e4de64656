import Foundation
public import Tensors

/// The files of a language model's directory that decide what it computes.
public enum LanguageModelFiles {
  private static let names = [
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
  ]

  /// SHA-256 over configuration, weights and tokenizer.
  ///
  /// - Throws: `GLTAError.inputOutput` where the directory or one of its files cannot be read.
  public static func hash(of directory: String) throws(GLTAError) -> String {
    var hasher = ContentHash()
    for name in names {
      let path = directory + "/" + name
      guard FileManager.default.fileExists(atPath: path) else { continue }
      hasher.update("\(name) \(try ContentHash.ofFile(path))\n")
    }
    return hasher.finish()
  }

  /// Copies those files to a new directory.
  static func copy(from directory: String, to target: String) throws(GLTAError) {
    do {
      try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
      for name in names where FileManager.default.fileExists(atPath: directory + "/" + name) {
        // A model's files may be links into a cache.
        let source = URL(fileURLWithPath: directory + "/" + name).resolvingSymlinksInPath().path
        try FileManager.default.copyItem(atPath: source, toPath: target + "/" + name)
      }
    } catch {
      throw GLTAError(.inputOutput, "cannot copy the language model to \(target): \(error.localizedDescription)")
    }
  }
}
