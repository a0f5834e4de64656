/// What a data set is like: what `glta data describe` prints.
public struct DatasetSummary: Sendable, Codable, Equatable {
  /// Least, median and most.
  public struct Spread: Sendable, Codable, Equatable {
    /// The least value; 0 where there is none.
    public var least: Int
    /// The middle value, of two the greater.
    public var median: Int
    /// The greatest value.
    public var most: Int

    init(_ values: [Int]) {
      let sorted = values.sorted()
      least = sorted.first ?? 0
      median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
      most = sorted.last ?? 0
    }
  }

  /// The data set's name.
  public var name: String
  /// The users that have interactions.
  public var users: Int
  /// The items of the catalogue.
  public var items: Int
  /// The (user, item) pairs.
  public var interactions: Int
  /// Interactions / (users x items).
  public var density: Double
  /// How many interactions users have.
  public var interactionsPerUser: Spread
  /// How many interactions items have.
  public var interactionsPerItem: Spread
  /// Items that have a title.
  public var titles: Int
  /// Items that have a description.
  public var descriptions: Int
  /// Items that have at least one category.
  public var categories: Int
  /// Interactions that have a rating.
  public var ratings: Int
  /// Interactions that have a time.
  public var timestamps: Int
  /// Whether the data set comes with a split.
  public var hasSplit: Bool

  /// Counts a data set.
  public init(_ dataset: Dataset) {
    let table = dataset.interactions
    name = dataset.name
    users = dataset.userIDs.count
    items = dataset.catalogue.count
    interactions = table.count
    density = Double(table.count) / Double(max(1, users * items))
    var byUser = [Int](repeating: 0, count: users)
    var byItem = [Int](repeating: 0, count: items)
    for user in table.users { byUser[Int(user)] += 1 }
    for item in table.items { byItem[Int(item)] += 1 }
    interactionsPerUser = Spread(byUser)
    interactionsPerItem = Spread(byItem)
    titles = dataset.catalogue.titles.filter { !$0.isEmpty }.count
    descriptions = dataset.catalogue.descriptions.filter { !$0.isEmpty }.count
    categories = dataset.catalogue.categories.filter { !$0.isEmpty }.count
    ratings = table.ratings?.filter { !$0.isNaN }.count ?? 0
    timestamps = table.timestamps?.filter { $0 != InteractionTable.noTime }.count ?? 0
    hasSplit = dataset.givenParts != nil
  }

  /// A few lines for people.
  public var text: String {
    func spread(_ spread: Spread) -> String { "\(spread.least) / \(spread.median) / \(spread.most)" }
    let percent = (density * 1e6).rounded() / 1e4
    return """
      \(name)
      users                  \(users)
      items                  \(items)
      interactions           \(interactions), density \(percent) %
      per user, per item     \(spread(interactionsPerUser)), \(spread(interactionsPerItem)) (least / median / most)
      titles, descriptions,  \(titles), \(descriptions), \(categories) of \(items) items
      categories
      ratings, times         \(ratings), \(timestamps) of \(interactions) rows
      split of its own       \(hasSplit ? "yes" : "no")
      """
  }
}
