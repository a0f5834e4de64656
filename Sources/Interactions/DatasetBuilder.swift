import Tensors

/// Collects what importers read: ids become dense indices in order of first appearance, a repeated (user, item) pair
/// keeps its first place and its last values.
struct DatasetBuilder {
  private var userIndex: [ExactText: Int32] = [:]
  private var itemIndex: [ExactText: Int32] = [:]
  private var userIDs: [String] = []
  private var catalogue = ItemCatalogue(ids: [], titles: [], descriptions: [], categories: [])
  private var interactions = InteractionTable(users: [], items: [])
  private var ratings: [Float] = []
  private var timestamps: [Int64] = []
  private var parts: [SplitPart] = []
  private var rowOfPair: [UInt64: Int] = [:]
  private var hasParts = false
  /// What the reader of the files should know, a line each.
  private(set) var notes: [String] = []

  /// Adds an item of the catalogue; the last text of an id counts.
  mutating func addItem(id: String, title: String, description: String, categories: [String]) {
    let index = Int(item(id))
    catalogue.titles[index] = title
    catalogue.descriptions[index] = description
    catalogue.categories[index] = categories
  }

  /// Adds an interaction; rating and time as far as the row has them.
  mutating func addInteraction(
    user: String, item: String, rating: Float?, timestamp: Int64?, part: SplitPart? = nil
  ) {
    let (user, item) = (self.user(user), self.item(item))
    let pair = UInt64(UInt32(bitPattern: user)) << 32 | UInt64(UInt32(bitPattern: item))
    if part != nil { hasParts = true }
    if let row = rowOfPair[pair] {
      ratings[row] = rating ?? .nan
      timestamps[row] = timestamp ?? InteractionTable.noTime
      parts[row] = part ?? .train
      return
    }
    rowOfPair[pair] = interactions.count
    interactions.users.append(user)
    interactions.items.append(item)
    ratings.append(rating ?? .nan)
    timestamps.append(timestamp ?? InteractionTable.noTime)
    parts.append(part ?? .train)
  }

  /// Adds a line for the reader of the files.
  mutating func note(_ line: String) { notes.append(line) }

  /// Takes away the times of all interactions.
  mutating func dropTimes() { timestamps = [Int64](repeating: InteractionTable.noTime, count: timestamps.count) }

  /// The data set; items that no interaction mentions are left out unless they are to stay.
  func build(name: String, keepingUnusedItems: Bool) -> Dataset {
    var table = interactions
    table.ratings = ratings.allSatisfy(\.isNaN) ? nil : ratings
    table.timestamps = timestamps.allSatisfy { $0 == InteractionTable.noTime } ? nil : timestamps
    let dataset = Dataset(
      name: name, userIDs: userIDs, catalogue: catalogue, interactions: table, givenParts: hasParts ? parts : nil)
    return dataset.filtered(keepingItems: keepingUnusedItems) { _ in true }
  }

  private mutating func user(_ id: String) -> Int32 {
    let key = ExactText(id)
    if let index = userIndex[key] { return index }
    let index = Int32(userIDs.count)
    userIndex[key] = index
    userIDs.append(id)
    return index
  }

  private mutating func item(_ id: String) -> Int32 {
    let key = ExactText(id)
    if let index = itemIndex[key] { return index }
    let index = Int32(catalogue.count)
    itemIndex[key] = index
    catalogue.ids.append(id)
    catalogue.titles.append("")
    catalogue.descriptions.append("")
    catalogue.categories.append([])
    return index
  }
}
