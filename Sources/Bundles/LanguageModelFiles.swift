import Foundation
import LanguageModels
public import Tensors

/// The files of a language model that decide what it computes: a GGUF file alone, or those of a directory.
public enum LanguageModelFiles {
  private static let names = [
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "quantize_config.json",
  ]
  private static let index = "model.safetensors.index.json"
  /// What a GGUF file is called where it was copied into a folder.
  private static let copiedFile = "model.gguf"

  /// SHA-256 over configuration, weights and tokenizer.
  ///
  /// - Throws: `GLTAError.inputOutput` where a file cannot be read, `.invalidFile` for an index of weights that is none.
  public static func hash(of path: String) throws(GLTAError) -> String {
    if PretrainedModel.isGGUF(path) { return try ContentHash.ofFile(path) }
    var hasher = ContentHash()
    for name in try files(of: path) { hasher.update("\(name) \(try ContentHash.ofFile(path + "/" + name))\n") }
    return hasher.finish()
  }

  /// The names of the files of a directory that count, in a fixed order.
  private static func files(of directory: String) throws(GLTAError) -> [String] {
    var found = names.filter { FileManager.default.fileExists(atPath: directory + "/" + $0) }
    guard !found.contains("model.safetensors"), FileManager.default.fileExists(atPath: directory + "/" + index) else {
      return found
    }
    let shards: ShardIndex = try RecommenderBundle.readJSON(directory + "/" + index)
    let weights = Set(shards.weightMap.values).sorted()
    // Names come from outside: none may lead out of the directory.
    guard weights.allSatisfy({ !$0.contains("/") && $0.hasSuffix(".safetensors") }) else {
      throw GLTAError(.invalidFile, "\(directory)/\(index) names files that are not .safetensors files beside it")
    }
    found += [index] + weights
    return found
  }

  private struct ShardIndex: Decodable {
    let weightMap: [String: String]

    enum CodingKeys: String, CodingKey {
      case weightMap = "weight_map"
    }
  }

  /// Where the model of a folder that `copy` made lies.
  static func path(inCopy folder: String) -> String {
    let file = folder + "/" + copiedFile
    return FileManager.default.fileExists(atPath: file) ? file : folder
  }

  /// Copies those files to a new directory.
  static func copy(from path: String, to target: String) throws(GLTAError) {
    let pairs =
      PretrainedModel.isGGUF(path)
      ? [(path, copiedFile)] : try files(of: path).map { (path + "/" + $0, $0) }
    do {
      try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
      for (file, name) in pairs {
        // A model's files may be links into a cache.
        let source = URL(fileURLWithPath: file).resolvingSymlinksInPath().path
        try FileManager.default.copyItem(atPath: source, toPath: target + "/" + name)
      }
    } catch {
      throw GLTAError(.inputOutput, "cannot copy the language model to \(target): \(error.localizedDescription)")
    }
  }
}
