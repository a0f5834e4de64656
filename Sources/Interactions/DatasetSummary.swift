/// What a data set is like: what `glta data describe` prints.
public struct DatasetSummary: Sendable, Codable, Equatable {
  /// Least, median and most.
  public struct Spread: Sendable, Codable, Equatable {
    public var least: Int
    public var median: Int
    public var most: Int

    init(_ values: [Int]) {
      let sorted = values.sorted()
      least = sorted.first ?? 0
      median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
      most = sorted.last ?? 0
    }
  }

  public var name: String
  public var users: Int
  public var items: Int
  public var interactions: Int
  /// Interactions / (users x items).
  public var density: Double
  public var interactionsPerUser: Spread
  public var interactionsPerItem: Spread
  /// Items that have each kind of text.
  public var titles: Int
  public var descriptions: Int
  public var categories: Int
  /// Rows that have them.
  public var ratings: Int
  public var timestamps: Int
  /// Whether the data set comes with a split.
  public var hasSplit: Bool

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
