public import Interactions
public import LanguageModels

/// The text of the catalogue's items, as alignment reads it.
public enum ItemText {
  /// Title, categories and description in this order, at most `words` words; empty where the item has no text.
  public static func text(of item: Int, in catalogue: ItemCatalogue, words: Int) -> String {
    var parts: [String] = []
    if !catalogue.titles[item].isEmpty { parts.append(catalogue.titles[item]) }
    if !catalogue.categories[item].isEmpty { parts.append(catalogue.categories[item].joined(separator: ", ")) }
    if !catalogue.descriptions[item].isEmpty { parts.append(catalogue.descriptions[item]) }
    return firstWords(words, of: parts.joined(separator: ". "))
  }

  /// The texts of all items in the order of the catalogue, at most `words` words each.
  public static func texts(of catalogue: ItemCatalogue, words: Int) -> [String] {
    (0..<catalogue.count).map { text(of: $0, in: catalogue, words: words) }
  }

  /// The token ids of all items' texts, without special tokens; none for an item without text.
  public static func tokenIDs(
    of catalogue: ItemCatalogue, words: Int, tokenizer: any TextTokenizer
  ) -> [[Int32]] {
    texts(of: catalogue, words: words).map { tokenizer.encodeWithin($0) }
  }

  /// The first words of a text, one space between two.
  package static func firstWords(_ count: Int, of text: String) -> String {
    text.split(separator: " ", maxSplits: count, omittingEmptySubsequences: true).prefix(count)
      .joined(separator: " ")
  }
}
