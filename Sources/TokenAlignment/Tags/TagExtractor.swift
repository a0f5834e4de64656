public import GraphEncoding
public import Interactions
public import LanguageModels
import LogitsMatching
public import Tensors

/// Finds tags with an encoder-class model, which cannot write: out of the catalogue's own categories and title words,
/// those whose text embedding best matches an item's.
public enum TagExtractor {
  /// Tags kept per item.
  static let tagsPerItem = 8
  /// Neighbours in the graph whose tags an item's prediction tags are.
  static let neighbours = 10
  /// The largest vocabulary; rarer words are left out first.
  static let maximumVocabulary = 4_000

  /// The tags of a catalogue.
  ///
  /// - Parameters:
  ///   - itemEmbeddings: |I| x D text embeddings; a zero row has no tags of its own.
  ///   - graph: item embeddings whose cosine says who is whose neighbour; trained on training interactions only.
  ///   - embedder: the one that `itemEmbeddings` come from.
  /// - Throws: what `embedder` throws.
  public static func extract(
    catalogue: ItemCatalogue, itemEmbeddings: Matrix, graph: GraphEmbeddings, embedder: TextEmbedder,
    pool: ThreadPool
  ) throws(GLTAError) -> TagTable {
    let own = try tags(of: catalogue, itemEmbeddings: itemEmbeddings, pool: pool) { (texts) throws(GLTAError) in
      try embedder.embed(texts, maximumTokens: 16, pool: pool)
    }
    return own.vocabulary.isEmpty ? own : completing(own, graph: graph, pool: pool)
  }

  /// A table whose items' prediction tags are a vote of their neighbours in the graph.
  static func completing(_ own: TagTable, graph: GraphEmbeddings, pool: ThreadPool) -> TagTable {
    let items = graph.items.copy()
    for row in 0..<items.rows { TextEmbedder.normalize(items.columns, items.row(row)) }
    let around = nearest(neighbours + 1, queries: items, among: ItemMatrix(items), pool: pool)
    let prediction = around.indices.map { item in
      let others = around[item].filter { $0 != Int32(item) }.prefix(neighbours)
      return own.tags(of: others, profileCount: tagsPerItem, predictionCount: 0).profile
    }
    return TagTable(vocabulary: own.vocabulary, profile: own.profile, prediction: prediction)
  }

  /// The tags that match the items' own texts, for both of a table's lists: nothing of a graph is needed.
  ///
  /// - Parameters:
  ///   - itemEmbeddings: as above.
  ///   - read: embeds texts, texts.count x D; the reader that `itemEmbeddings` come from.
  /// - Throws: what `read` throws.
  public static func tags(
    of catalogue: ItemCatalogue, itemEmbeddings: Matrix, pool: ThreadPool,
    read: ([String]) throws(GLTAError) -> Matrix
  ) throws(GLTAError) -> TagTable {
    let vocabulary = vocabulary(of: catalogue)
    guard !vocabulary.isEmpty else { return .empty(items: catalogue.count) }
    let tags = ItemMatrix(centered(try read(vocabulary)))
    let profile = nearest(tagsPerItem, queries: centered(itemEmbeddings), among: tags, pool: pool)
    return TagTable(vocabulary: vocabulary, profile: profile, prediction: profile)
  }

  /// Categories, and title words that are neither rare nor everywhere; the most frequent first.
  static func vocabulary(of catalogue: ItemCatalogue) -> [String] {
    var counts: [String: Int] = [:]
    var categories: Set<String> = []
    for item in 0..<catalogue.count {
      let own = Set(catalogue.categories[item].map { $0.lowercased() }.filter { !$0.isEmpty })
      categories.formUnion(own)
      let words = catalogue.titles[item].lowercased().split { !$0.isLetter }.map(String.init)
      for tag in own.union(words.filter { $0.count > 3 }) { counts[tag, default: 0] += 1 }
    }
    let most = max(3, catalogue.count / 5)
    let kept = counts.filter { categories.contains($0.key) || ($0.value >= 3 && $0.value <= most) }
    let order = kept.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    return order.prefix(maximumVocabulary).map(\.key)
  }

  /// Rows minus the mean of the nonzero ones, normalised again; zero rows stay. Text embeddings share a large common
  /// part that says nothing about what tells them apart.
  public static func centered(_ embeddings: Matrix) -> Matrix {
    let result = embeddings.copy()
    let columns = result.columns
    let mean = Matrix(rows: 1, columns: columns)
    let used = (0..<result.rows).filter { Accumulate.squares(columns, result.row($0)) > 0 }
    for row in used { Accumulate.add(columns, result.row(row), to: mean.base) }
    for row in used {
      Accumulate.add(columns, mean.base, scaledBy: -1 / Float(used.count), to: result.row(row))
      TextEmbedder.normalize(columns, result.row(row))
    }
    return result
  }

  private static func nearest(
    _ count: Int, queries: Matrix, among items: ItemMatrix, pool: ThreadPool
  ) -> [[Int32]] {
    let columns = (0..<Int32(items.count)).map { $0 }
    let count = min(count, items.count)
    let found = Tensor(.i32, shape: [queries.rows, count])
    let target = found.storage.base.assumingMemoryBound(to: Int32.self)
    var empty = [Bool](repeating: false, count: queries.rows)
    for row in 0..<queries.rows { empty[row] = Accumulate.squares(queries.columns, queries.row(row)) == 0 }
    let block = 32
    pool.forEach((queries.rows + block - 1) / block) { index, _ in
      let rows = index * block..<min(queries.rows, (index + 1) * block)
      let scores = items.scores(queries.slice(rows))
      for row in rows where !empty[row] {
        let best = Ranking.select(
          mode: .first, scores: scores.slice(row - rows.lowerBound..<row - rows.lowerBound + 1), candidates: columns,
          count: count)
        for (rank, item) in best.enumerated() { target[row * count + rank] = item.item }
      }
    }
    let flat = found.elements(Int32.self)
    return (0..<queries.rows).map { empty[$0] ? [] : Array(flat[$0 * count..<($0 + 1) * count]) }
  }
}
