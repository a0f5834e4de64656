public import Tensors

/// Where the profiles of RLMRec's users and items come from.
public enum ProfileSource: String, Sendable, Codable, CaseIterable {
  /// The tags that were found for an item, and those that a user's training items vote for, as a text each.
  case tags
  /// An item's text followed by its tags; a user's tags.
  case textsAndTags
  /// An item's text; of a user the mean of the embeddings of their training items' texts.
  case texts
}

/// Embeddings of what is said of users and of items.
public struct NodeProfiles: Sendable {
  /// |U| x t, centred and of length one; zeros for users without a profile.
  public let users: Matrix
  /// |I| x t, in the same way.
  public let items: Matrix

  /// Profiles that are known already; both have t columns.
  public init(users: Matrix, items: Matrix) {
    precondition(users.columns == items.columns)
    self.users = users
    self.items = items
  }
}

/// What methods that read text are given.
struct TextInputs {
  /// |I| x t.
  let items: Matrix
  let profiles: NodeProfiles?
}
