import Foundation
import GraphEncoding
import Interactions
import LogitsMatching
public import Tensors
import TokenAlignment

// A bundle on disk:
//
//     manifest.json             BundleManifest
//     users.json                ["id", ...]
//     items.json                {"ids": [...], "titles": [...], "descriptions": [...], "categories": [[...], ...]}
//     tags.json                 {"vocabulary": [...], "profile": [[...], ...], "prediction": [[...], ...]}; where a language
//                               model wrote tags for users also "userProfile" and "userPrediction", a list a user
//     interactions.safetensors  train.offsets i64[U+1], train.items i32[n]; validation.*, test.* likewise
//     graph.safetensors         users f32[U,d], items f32[I,d], fold_in_basis f32[I,d]
//     text.safetensors          items f32[I,D]
//     alignment.safetensors     item_projector.*, user_projector.*, head.*, item_tokens f32[I,D]; slot_token f32[1,D]
//                               where answer slots are learned
//     content-hash              SHA-256 of all of the above
//     origin.json               {"data": ..., "languageModel": ...}: what the data was called and where the language
//                               model lay; not hashed
//     language-model/           the language model itself, where it was copied; not hashed here but by the manifest

extension RecommenderBundle {
  static let hashFile = "content-hash"
  static let originFile = "origin.json"
  /// Where a copied language model lies within a bundle.
  public static let copiedModelFolder = "language-model"
  private static var unhashed: Set<String> { [hashFile, originFile, copiedModelFolder] }

  // MARK: Saving

  /// Writes the bundle to `path`, replacing one that is there only when all of the new one is on disk.
  ///
  /// - Parameters:
  ///   - languageModelPath: recorded beside the bundle, outside its hash.
  ///   - copyingLanguageModel: whether the model's directory goes into the bundle.
  /// - Returns: the content hash.
  /// - Throws: `GLTAError.inputOutput`; the old bundle is then as it was.
  @discardableResult
  public func save(
    to path: String, languageModelPath: String, copyingLanguageModel: Bool = false
  ) throws(GLTAError) -> String {
    var hash = ""
    try AtomicDirectory.replace(at: path, what: "a bundle", isOurs: RecommenderBundle.isBundle) {
      (folder) throws(GLTAError) in
      try writeFiles(to: folder)
      hash = try ContentHash.ofDirectory(folder, excluding: RecommenderBundle.unhashed)
      try AtomicFile.write(bytes: Array((hash + "\n").utf8), to: folder + "/" + RecommenderBundle.hashFile)
      try RecommenderBundle.writeJSON(
        Origin(data: dataName, languageModel: languageModelPath), to: folder + "/" + RecommenderBundle.originFile)
      if copyingLanguageModel {
        try LanguageModelFiles.copy(from: languageModelPath, to: folder + "/" + RecommenderBundle.copiedModelFolder)
      }
    }
    return hash
  }

  private func writeFiles(to folder: String) throws(GLTAError) {
    try RecommenderBundle.writeJSON(manifest, to: folder + "/manifest.json")
    try RecommenderBundle.writeJSON(userIDs, to: folder + "/users.json")
    try RecommenderBundle.writeJSON(catalogue, to: folder + "/items.json")
    try RecommenderBundle.writeJSON(
      TagFile(
        vocabulary: tags.vocabulary, profile: tags.profile, prediction: tags.prediction,
        userProfile: tags.users?.profile, userPrediction: tags.users?.prediction),
      to: folder + "/tags.json")
    try SafetensorsWriter.write(
      RecommenderBundle.tensors(of: split.train, "train")
        + RecommenderBundle.tensors(of: split.validation, "validation")
        + RecommenderBundle.tensors(of: split.test, "test"),
      metadata: [:], to: folder + "/interactions.safetensors")
    try SafetensorsWriter.write(
      [
        ("users", graph.users.tensor), ("items", graph.items.tensor), ("fold_in_basis", graph.foldInBasis.tensor),
      ], metadata: [:], to: folder + "/graph.safetensors")
    try SafetensorsWriter.write(
      [("items", textEmbeddings.tensor)], metadata: [:], to: folder + "/text.safetensors")
    var tensors = alignment.matrices.map { ($0.name, $0.value.tensor) }
    tensors.append(("item_tokens", itemTokens.tensor))
    try SafetensorsWriter.write(tensors, metadata: [:], to: folder + "/alignment.safetensors")
  }

  private static func tensors(of matrix: CSRMatrix, _ name: String) -> [(name: String, tensor: Tensor)] {
    [(name + ".offsets", Tensor(matrix.offsets.map(Int64.init))), (name + ".items", Tensor(matrix.indices))]
  }

  static func writeJSON(_ value: some Encodable, to path: String) throws(GLTAError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    let bytes: [UInt8]
    do {
      bytes = Array(try encoder.encode(value)) + [0x0A]
    } catch { throw GLTAError(.inputOutput, "cannot encode \(path): \(error)") }
    try AtomicFile.write(bytes: bytes, to: path)
  }

  // MARK: Loading

  /// Reads and checks the bundle at `path`: its content hash, its version, and that all parts fit together.
  ///
  /// - Throws: `GLTAError.invalidFile` for what is damaged or incomplete, `.mismatch` for another version,
  ///   `.inputOutput` where there is no bundle or a file cannot be read.
  public static func load(from path: String) throws(GLTAError) -> RecommenderBundle {
    guard FileManager.default.fileExists(atPath: path + "/manifest.json") else {
      throw GLTAError(
        .inputOutput, "\(path) is not a bundle: it has no manifest.json", hint: "`glta train --out \(path)` makes one")
    }
    let recorded = try contentHash(of: path)
    let actual = try ContentHash.ofDirectory(path, excluding: unhashed)
    guard recorded == actual else {
      throw GLTAError(
        .invalidFile,
        "\(path) is damaged: its files hash to \(actual.prefix(12)), its content-hash says \(recorded.prefix(12))",
        hint: "copy it again, or train it again")
    }
    let manifest: BundleManifest = try readJSON(path + "/manifest.json")
    guard manifest.format == "glta-bundle", manifest.version == BundleManifest.currentVersion else {
      throw GLTAError(
        .mismatch,
        "\(path) is of format \(manifest.format) \(manifest.version); this program reads glta-bundle \(BundleManifest.currentVersion)"
      )
    }
    var bundle = try BundleReader(path: path, manifest: manifest).read()
    bundle.dataName = try origin(of: path).data
    return bundle
  }

  /// Whether the directory at `path` is a bundle, of whatever version, whole or damaged.
  public static func isBundle(_ path: String) -> Bool {
    guard let hash = try? contentHash(of: path) else { return false }
    return hash.utf8.count == 64 && hash.allSatisfy(\.isHexDigit)
      && FileManager.default.fileExists(atPath: path + "/manifest.json")
  }

  /// Makes sure that a bundle can be saved at `path` without anything of somebody else's being lost.
  ///
  /// - Throws: `GLTAError.inputOutput` where a file, or a directory that is no bundle, stands there.
  public static func requireWritable(_ path: String) throws(GLTAError) {
    try AtomicDirectory.requireReplaceable(path, what: "a bundle", isOurs: isBundle)
  }

  /// The content hash that a bundle was saved with, 64 hexadecimal digits. It is read, not computed again.
  ///
  /// - Throws: `GLTAError.invalidFile` where none is recorded.
  public static func contentHash(of path: String) throws(GLTAError) -> String {
    guard let text = try? String(contentsOfFile: path + "/" + hashFile, encoding: .utf8) else {
      throw GLTAError(.invalidFile, "\(path) has no content-hash", hint: "the bundle is incomplete; copy it again")
    }
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Where the bundle's language model lies: inside the bundle, or where training found it.
  ///
  /// - Throws: `GLTAError.inputOutput` and `.invalidFile` where `origin.json` is needed and cannot be read.
  public static func languageModelPath(of path: String) throws(GLTAError) -> String {
    let copied = path + "/" + copiedModelFolder
    if FileManager.default.fileExists(atPath: copied) { return LanguageModelFiles.path(inCopy: copied) }
    return try origin(of: path).languageModel
  }

  private static func origin(of path: String) throws(GLTAError) -> Origin { try readJSON(path + "/" + originFile) }

  static func readJSON<Value: Decodable>(_ path: String) throws(GLTAError) -> Value {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch { throw GLTAError(.inputOutput, "cannot read \(path): \(error.localizedDescription)") }
    do {
      return try JSONDecoder().decode(Value.self, from: data)
    } catch { throw GLTAError(.invalidFile, "\(path) does not hold what was expected: \(error)") }
  }
}

/// `origin.json`.
private struct Origin: Codable {
  var data: String
  var languageModel: String
}

/// `tags.json`.
struct TagFile: Codable {
  var vocabulary: [String]
  var profile: [[Int32]]
  var prediction: [[Int32]]
  var userProfile: [[Int32]]?
  var userPrediction: [[Int32]]?
}
