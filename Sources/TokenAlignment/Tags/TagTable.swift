import Interactions
import Tensors

/// The tags of the items, and from them the tags of any user: the paper's profile and prediction tokens.
///
/// A user's tags are a vote of the user's items, so a known user, the visible part of one in training, and somebody who
/// has just named three items all get theirs from the same function. Where a language model has written tags for a user,
/// those stand before a vote; asking it takes too long for somebody who has just come.
public struct TagTable: Sendable, Equatable {
  /// The tags as text; an index is a tag.
  public let vocabulary: [String]
  /// For each item the tags that match its own text, best first.
  public let profile: [[Int32]]
  /// For each item the tags of its neighbours in the graph, best first: what its users are likely to want next.
  public let prediction: [[Int32]]
  /// What a language model wrote for each known user; nil where it was not asked.
  public let users: UserTags?
  /// Per tag 1 / sqrt(items that have it, or predict it where none has), so that a vote is not won by what fits everything.
  private let rarity: [Double]

  /// Tags of users, one list each, best first; an empty list leaves the word to the user's items.
  public struct UserTags: Sendable, Equatable {
    /// What the user likes.
    public let profile: [[Int32]]
    /// What the user is likely to want next.
    public let prediction: [[Int32]]

    /// Lists of indices of a table's vocabulary, one for each user.
    public init(profile: [[Int32]], prediction: [[Int32]]) {
      self.profile = profile
      self.prediction = prediction
    }
  }

  /// A table of lists that are known already. `profile` and `prediction` have one list for each item, those of `users` one
  /// for each user, of indices below `vocabulary.count`.
  public init(vocabulary: [String], profile: [[Int32]], prediction: [[Int32]], users: UserTags? = nil) {
    self.vocabulary = vocabulary
    self.users = users
    self.profile = profile
    self.prediction = prediction
    let (own, predicted) = (
      TagTable.counts(profile, of: vocabulary.count), TagTable.counts(prediction, of: vocabulary.count)
    )
    // Generated interests need not be any item's own tag.
    rarity = zip(own, predicted).map { 1 / Double(max(1, $0 > 0 ? $0 : $1)).squareRoot() }
  }

  private static func counts(_ lists: [[Int32]], of vocabulary: Int) -> [Int] {
    var counts = [Int](repeating: 0, count: vocabulary)
    for tags in lists { for tag in tags { counts[Int(tag)] += 1 } }
    return counts
  }

  /// A table without tags, for runs without them.
  public static func empty(items: Int) -> TagTable {
    let none = [[Int32]](repeating: [], count: items)
    return TagTable(vocabulary: [], profile: none, prediction: none)
  }

  /// The tags of somebody with these items as indices of the vocabulary, best first, at most so many of each.
  /// Prediction tags leave the profile tags out.
  ///
  /// - Parameter user: who that is, where the table knows users; nil for somebody new.
  public func tags(
    of items: some Sequence<Int32>, user: Int? = nil, profileCount: Int, predictionCount: Int
  ) -> (profile: [Int32], prediction: [Int32]) {
    guard profileCount > 0 || predictionCount > 0 else { return ([], []) }
    let items = items.sorted()
    func choose(_ written: [[Int32]]?, else lists: [[Int32]], _ count: Int, except: Set<Int32>) -> [Int32] {
      let own = (user.flatMap { written?[$0] } ?? []).filter { !except.contains($0) }
      return own.isEmpty ? vote(items, over: lists, count: count, except: except) : Array(own.prefix(count))
    }
    let profile = choose(users?.profile, else: profile, profileCount, except: [])
    return (profile, choose(users?.prediction, else: prediction, predictionCount, except: Set(profile)))
  }

  private func vote(_ items: [Int32], over lists: [[Int32]], count: Int, except: Set<Int32>) -> [Int32] {
    guard count > 0 else { return [] }
    var votes: [Int32: Double] = [:]
    for item in items {
      for (rank, tag) in lists[Int(item)].enumerated() where !except.contains(tag) {
        votes[tag, default: 0] += rarity[Int(tag)] / Double(1 + rank)
      }
    }
    let order = votes.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    return order.prefix(count).map(\.key)
  }
}
