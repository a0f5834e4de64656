public import Interactions
import TokenAlignment

/// Whom or what a decoder writes tags for.
public enum TagSubject: String, Sendable, Codable, CaseIterable {
  /// Each user by some of the user's items.
  case users
  /// Each item by its text; users' tags are then a vote of their items.
  case items
}

/// What a decoder is told of each user or item before it names tags.
public struct TagDescriptions: Sendable {
  package struct Description: Sendable {
    /// The external id of the user or item.
    package let id: String
    /// Texts with semicolons between; where a model has few positions, the last ones are left out first.
    package let parts: [String]
    /// The external ids of the items that the parts are titles of; empty for an item.
    package let items: [String]
  }

  /// Items of a user that are shown at the most.
  static let itemsPerUser = 12
  /// Words of a title that are read.
  private static let wordsPerTitle = 10
  /// More than texts of words have on the average; one without spaces has no end by words.
  private static let charactersPerWord = 16

  /// What is described.
  public let subject: TagSubject
  package let descriptions: [Description]

  /// The items of a catalogue that have a text.
  ///
  /// - Parameter words: of a text that are read.
  public init(itemsOf catalogue: ItemCatalogue, words: Int = 60) {
    subject = .items
    descriptions = (0..<catalogue.count).compactMap { item in
      let text = ItemText.text(of: item, in: catalogue, words: words)
      let part = String(text.prefix(words * TagDescriptions.charactersPerWord))
      return text.isEmpty ? nil : Description(id: catalogue.ids[item], parts: [part], items: [])
    }
  }

  /// The users of a data set who have an item that may be shown and has a text.
  ///
  /// - Parameter visible: users x items, which nothing is predicted of: alignment's visible part of the training items. What
  ///   else a user has would tell the prompt of training what it is to answer.
  public init(usersOf dataset: Dataset, visible: CSRMatrix) {
    subject = .users
    let histories = Histories(dataset)
    let catalogue = dataset.catalogue
    let titles = (0..<catalogue.count).map { item in
      let words = ItemText.firstWords(
        TagDescriptions.wordsPerTitle,
        of: catalogue.titles[item].isEmpty ? catalogue.descriptions[item] : catalogue.titles[item])
      return String(words.prefix(TagDescriptions.wordsPerTitle * TagDescriptions.charactersPerWord))
    }
    descriptions = dataset.userIDs.indices.compactMap { user in
      let items = histories.ordered(visible[user], of: user).filter { !titles[Int($0)].isEmpty }
      let shown = TagDescriptions.spread(items, TagDescriptions.itemsPerUser)
      return shown.isEmpty
        ? nil
        : Description(
          id: dataset.userIDs[user], parts: shown.map { titles[Int($0)] }, items: shown.map { catalogue.ids[Int($0)] })
    }
  }

  /// At most so many, evenly spread from the first to the last: a taste is more than its latest days.
  static func spread<Element>(_ all: [Element], _ count: Int) -> [Element] {
    guard all.count > count, count > 1 else { return Array(all.prefix(count)) }
    return (0..<count).map { all[$0 * (all.count - 1) / (count - 1)] }
  }
}

/// When users met their items.
private struct Histories {
  private var times: [Int: [Int32: Int64]] = [:]

  init(_ dataset: Dataset) {
    guard let timestamps = dataset.interactions.timestamps else { return }
    for (row, time) in timestamps.enumerated() {
      times[Int(dataset.interactions.users[row]), default: [:]][dataset.interactions.items[row]] = time
    }
  }

  /// Items of a user, the latest first; those of one time, or of none, in the order of the catalogue.
  func ordered(_ items: some Sequence<Int32>, of user: Int) -> [Int32] {
    let times = times[user] ?? [:]
    func time(_ item: Int32) -> Int64 { times[item] ?? InteractionTable.noTime }
    return items.sorted { (time($1), $0) < (time($0), $1) }
  }
}
