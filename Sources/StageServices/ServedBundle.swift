public import Bundles
public import GLTP
import Foundation
import Interactions
import RankingStages
public import Tensors

/// A bundle in memory, checked, with what a service needs beside it: its name on the wire and its ids by text.
///
/// One value may back all stages of a process; it does not change once it is loaded.
public final class ServedBundle: Sendable {
  /// The trained recommender.
  public let bundle: RecommenderBundle
  /// Its content hash, which is its name on the wire.
  public let hash: BundleHash
  private let users: [ExactText: Int]
  private let items: [ExactText: Int32]

  /// Reads and checks the bundle at `path`.
  ///
  /// - Throws: what `RecommenderBundle.load` throws.
  public init(path: String) throws(GLTAError) {
    bundle = try RecommenderBundle.load(from: path)
    let text = try RecommenderBundle.contentHash(of: path)
    guard let hash = BundleHash(hexadecimal: text) else {
      throw GLTAError(.invalidFile, "\(path)/content-hash is not a SHA-256: \(text.prefix(80))")
    }
    self.hash = hash
    users = Dictionary(bundle.userIDs.enumerated().map { (ExactText($1), $0) }) { first, _ in first }
    items = Dictionary(bundle.catalogue.ids.enumerated().map { (ExactText($1), Int32($0)) }) { first, _ in first }
  }

  /// The dense index of a user; nil for a stranger.
  func user(_ id: String) -> Int? { users[ExactText(id)] }

  /// The dense index of an item; nil for one that the catalogue does not have.
  func item(_ id: String) -> Int32? { items[ExactText(id)] }

  /// The title of an item, or its id where it has none.
  func title(_ item: Int32) -> String {
    let title = bundle.catalogue.titles[Int(item)]
    return title.isEmpty ? bundle.catalogue.ids[Int(item)] : title
  }

  /// The language model that the bundle was trained with, its hash checked.
  ///
  /// - Parameters:
  ///   - path: where the bundle lies, which knows where training found the model.
  ///   - override: another place of the same model.
  /// - Throws: `GLTAError.mismatch` where it is another model; what reading a model throws.
  public static func languageModelPath(bundle path: String, override: String?) throws(GLTAError) -> String {
    let found = if let override { override } else { try RecommenderBundle.languageModelPath(of: path) }
    guard FileManager.default.fileExists(atPath: found) else {
      throw GLTAError(
        .inputOutput, "the bundle's language model is not at \(found)",
        hint: "say where it lies with --language-model PATH")
    }
    return found
  }
}
