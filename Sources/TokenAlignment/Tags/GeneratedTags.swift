public import GraphEncoding
public import Tensors

extension TagTable {
  /// A table of tags that a language model wrote for each item.
  ///
  /// - Parameters:
  ///   - profile: for each item tags that say what it is.
  ///   - prediction: for each item words for what its users are likely to want; where all are empty, the tags of its
  ///     neighbours in the graph stand for them.
  ///   - mostTags: the largest vocabulary; what fewest items have is left out first.
  public init(
    profile: [[String]], prediction: [[String]], graph: GraphEmbeddings, mostTags: Int = 8_000, pool: ThreadPool
  ) {
    let vocabulary = TagTable.mostFrequent(mostTags, in: profile + prediction)
    let known = TagIndices(vocabulary)
    let own = TagTable(vocabulary: vocabulary, profile: known(profile), prediction: known(prediction))
    self = prediction.contains { !$0.isEmpty } ? own : TagExtractor.completing(own, graph: graph, pool: pool)
  }

  /// This table, with tags that a language model wrote for each user beside those of the items.
  ///
  /// - Parameters:
  ///   - profile: for each user tags that say what the user likes; an empty list where none were written.
  ///   - prediction: for each user words for what is likely to be wanted next.
  ///   - mostTags: of users' tags, the most that are kept; what fewest users have is left out first.
  public func adding(usersProfile profile: [[String]], prediction: [[String]], mostTags: Int = 8_000) -> TagTable {
    let own = Set(vocabulary)
    let vocabulary =
      vocabulary + TagTable.mostFrequent(mostTags, in: profile + prediction).filter { !own.contains($0) }
    let known = TagIndices(vocabulary)
    return TagTable(
      vocabulary: vocabulary, profile: self.profile, prediction: self.prediction,
      users: UserTags(profile: known(profile), prediction: known(prediction)))
  }

  private static func mostFrequent(_ count: Int, in lists: [[String]]) -> [String] {
    var counts: [String: Int] = [:]
    for list in lists { for tag in Set(list) { counts[tag, default: 0] += 1 } }
    return counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }.prefix(count).map(\.key)
  }
}

/// Turns lists of tags into lists of indices; tags that the vocabulary does not have are left out.
private struct TagIndices {
  private let indices: [String: Int32]

  init(_ vocabulary: [String]) {
    indices = Dictionary(uniqueKeysWithValues: zip(vocabulary, vocabulary.indices.map(Int32.init)))
  }

  func callAsFunction(_ lists: [[String]]) -> [[Int32]] { lists.map { $0.compactMap { indices[$0] } } }
}
