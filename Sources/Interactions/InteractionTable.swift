import Tensors

/// Who used what: one row per (user, item) pair, users and items as dense indices.
public struct InteractionTable: Sendable, Equatable {
  /// The user's index of each row.
  public var users: [Int32]
  /// The item's index of each row, into the catalogue.
  public var items: [Int32]
  /// The rating of each row, where the source has ratings; NaN where this row has none.
  public var ratings: [Float]?
  /// Seconds since 1970 of each row, where the source has times; `InteractionTable.noTime` where this row has none.
  public var timestamps: [Int64]?

  /// The time of a row that has none.
  public static let noTime = Int64.min

  /// A table of columns of one length.
  public init(users: [Int32], items: [Int32], ratings: [Float]? = nil, timestamps: [Int64]? = nil) {
    precondition(users.count == items.count)
    self.users = users
    self.items = items
    self.ratings = ratings
    self.timestamps = timestamps
  }

  /// The rows.
  public var count: Int { users.count }
}

/// What is known of the items as text. Index = the item's dense index. Any text may be empty.
public struct ItemCatalogue: Sendable, Equatable, Codable {
  /// External ids, never empty, told apart by their bytes.
  public var ids: [String]
  /// Titles, as they are shown.
  public var titles: [String]
  /// Descriptions.
  public var descriptions: [String]
  /// The categories of each item, in the order of the source.
  public var categories: [[String]]

  /// A catalogue of columns of one length.
  public init(ids: [String], titles: [String], descriptions: [String], categories: [[String]]) {
    precondition(ids.count == titles.count && ids.count == descriptions.count && ids.count == categories.count)
    self.ids = ids
    self.titles = titles
    self.descriptions = descriptions
    self.categories = categories
  }

  /// The items.
  public var count: Int { ids.count }
}

/// A data set in memory: interactions, the people and things they are between, and a given split where there is one.
public struct Dataset: Sendable, Equatable {
  /// A short name for reports, usually the folder's.
  public var name: String
  /// External user ids by dense index, never empty, told apart by their bytes.
  public var userIDs: [String]
  /// The items and their texts.
  public var catalogue: ItemCatalogue
  /// Who used what, one row a pair.
  public var interactions: InteractionTable
  /// The part of each row, where the source comes with its own split (split.tsv, or LightGCN's train.txt and test.txt).
  public var givenParts: [SplitPart]?

  /// A data set of its parts; the indices of the interactions are those of `userIDs` and `catalogue`.
  public init(
    name: String, userIDs: [String], catalogue: ItemCatalogue, interactions: InteractionTable,
    givenParts: [SplitPart]? = nil
  ) {
    self.name = name
    self.userIDs = userIDs
    self.catalogue = catalogue
    self.interactions = interactions
    self.givenParts = givenParts
  }
}

/// The part of a split that a row belongs to.
public enum SplitPart: UInt8, Sendable, Codable, CaseIterable {
  /// Models learn from it.
  case train
  /// Settings are chosen by it.
  case validation
  /// Results are measured on it.
  case test
}
