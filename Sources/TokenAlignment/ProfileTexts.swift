public import GraphEncoding
public import Interactions
public import Tensors

/// The profiles of users and items as texts, from the tags that were extracted for the items.
///
/// RLMRec lets a large language model write them; an encoder-class model, which cannot write, finds tags.
public enum ProfileTexts {
  /// Tags of a user's profile, as many as an item has.
  static let tagsPerUser = TagExtractor.tagsPerItem

  /// Embeddings of the profiles, centred among users and among items.
  ///
  /// - Parameters:
  ///   - source: `tags` or `textsAndTags`.
  ///   - texts: the items' texts in the order of the catalogue, for `textsAndTags`.
  ///   - itemEmbeddings: |I| x D, of `texts`.
  ///   - train: users x items; a user's tags come from these items alone.
  ///   - read: embeds texts, texts.count x D; an empty text has a zero row.
  /// - Returns: nil for `texts`, where nothing is to be read.
  /// - Throws: what `read` throws.
  public static func profiles(
    from source: ProfileSource, catalogue: ItemCatalogue, texts: [String], itemEmbeddings: Matrix, train: CSRMatrix,
    pool: ThreadPool, read: ([String]) throws(GLTAError) -> Matrix
  ) throws(GLTAError) -> NodeProfiles? {
    guard source != .texts else { return nil }
    let tags = try TagExtractor.tags(of: catalogue, itemEmbeddings: itemEmbeddings, pool: pool, read: read)
    let users = (0..<train.rows).map { user in
      words(tags.tags(of: train[user], profileCount: tagsPerUser, predictionCount: 0).profile, of: tags)
    }
    let items = (0..<catalogue.count).map { item in
      let own = words(tags.profile[item], of: tags)
      return source == .tags ? own : [texts[item], own].filter { !$0.isEmpty }.joined(separator: ". ")
    }
    return NodeProfiles(
      users: TagExtractor.centered(try read(users)), items: TagExtractor.centered(try read(items)))
  }

  private static func words(_ tags: [Int32], of table: TagTable) -> String {
    tags.map { table.vocabulary[Int($0)] }.joined(separator: ", ")
  }
}
