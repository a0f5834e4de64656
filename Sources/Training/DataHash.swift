public import Bundles
public import Interactions
public import Tensors

/// The identity of a data set: SHA-256 of its canonical form.
public enum DataHash {
  /// The hash of a data set in 64 hexadecimal digits. Ids, texts, interactions and a given split count; names, paths
  /// and the file format do not.
  public static func of(_ dataset: Dataset) -> String {
    var hasher = ContentHash()
    dataset.writeCanonical { hasher.update($0) }
    return hasher.finish()
  }

  /// Makes sure that a bundle was trained on this data set.
  ///
  /// - Parameter path: where the data set was read, for the message.
  /// - Throws: `GLTAError.mismatch`.
  public static func require(_ dataset: Dataset, for bundle: RecommenderBundle, at path: String) throws(GLTAError) {
    let expected = bundle.manifest.data
    guard of(dataset) != expected.hash else { return }
    throw GLTAError(
      .mismatch,
      "the bundle was made from another data set, \(bundle.dataName) (\(expected.users) users, \(expected.items) items, "
        + "\(expected.interactions) interactions), than \(path) (\(dataset.userIDs.count) users, "
        + "\(dataset.catalogue.count) items, \(dataset.interactions.count) interactions)",
      hint: "give the data set and filters of its training, or train a bundle for this one")
  }
}
