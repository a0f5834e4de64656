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
    var counts: [String: Int] = [:]
    for list in profile + prediction { for tag in Set(list) { counts[tag, default: 0] += 1 } }
    let vocabulary = counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
      .prefix(mostTags).map(\.key)
    let indices = Dictionary(uniqueKeysWithValues: zip(vocabulary, vocabulary.indices.map(Int32.init)))
    func known(_ lists: [[String]]) -> [[Int32]] { lists.map { $0.compactMap { indices[$0] } } }
    let own = TagTable(vocabulary: vocabulary, profile: known(profile), prediction: known(prediction))
    self = prediction.contains { !$0.isEmpty } ? own : TagExtractor.completing(own, graph: graph, pool: pool)
  }
}
