import Bundles
public import Interactions
import Tensors

/// The identity of a data set: SHA-256 of its canonical form.
public enum DataHash {
  public static func of(_ dataset: Dataset) -> String {
    var hasher = ContentHash()
    dataset.writeCanonical { hasher.update($0) }
    return hasher.finish()
  }
}
