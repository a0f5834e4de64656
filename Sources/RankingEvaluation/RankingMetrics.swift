/// Metrics of one ranking against a set of relevant items, relevance being yes or no.
///
/// `hits` says of each rank, from the first, whether its item is relevant; `relevant` counts all relevant items. Formulas
/// are those of RecBole and of LightGCN's evaluation.
public enum RankingMetrics {
  /// Hits among the first k, over k.
  public static func precision(hits: [Bool], at k: Int) -> Double { Double(count(hits, k)) / Double(k) }

  /// Hits among the first k, over all relevant items.
  public static func recall(hits: [Bool], relevant: Int, at k: Int) -> Double {
    relevant == 0 ? 0 : Double(count(hits, k)) / Double(relevant)
  }

  /// Whether there is a hit among the first k.
  public static func hitRate(hits: [Bool], at k: Int) -> Double { count(hits, k) > 0 ? 1 : 0 }

  /// One over the rank of the first hit among the first k, or 0.
  public static func reciprocalRank(hits: [Bool], at k: Int) -> Double {
    hits.prefix(k).firstIndex(of: true).map { 1 / Double($0 + 1) } ?? 0
  }

  /// The sum of 1 / log2(rank + 1) over the hits among the first k, over that of a perfect ranking, which has
  /// min(k, relevant) hits first (Järvelin and Kekäläinen, 2002).
  public static func ndcg(hits: [Bool], relevant: Int, at k: Int) -> Double {
    guard relevant > 0 else { return 0 }
    var gain: Double = 0
    for (index, hit) in hits.prefix(k).enumerated() where hit { gain += discount(index) }
    return gain / (0..<min(k, relevant)).reduce(0) { $0 + discount($1) }
  }

  private static let discounts = (0..<128).map { 1 / log2Of(Double($0 + 2)) }
  private static func discount(_ index: Int) -> Double {
    index < discounts.count ? discounts[index] : 1 / log2Of(Double(index + 2))
  }

  private static func count(_ hits: [Bool], _ k: Int) -> Int { hits.prefix(k).reduce(0) { $0 + ($1 ? 1 : 0) } }
}
