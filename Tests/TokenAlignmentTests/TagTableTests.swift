import Testing
import TokenAlignment

/// Whose tags a prompt has: those written for the user, else a vote of the user's items.
struct TagTableTests {
  private let table = TagTable(
    vocabulary: ["war", "love", "space"], profile: [[0], [1], [2]], prediction: [[1], [2], [0]]
  ).adding(usersProfile: [["love", "cats"], [], ["war"]], prediction: [["cats", "dogs"], ["space"], []])

  private func tags(of items: [Int32], _ user: Int?) -> [[String]] {
    let found = table.tags(of: items, user: user, profileCount: 2, predictionCount: 2)
    return [found.profile, found.prediction].map { $0.map { table.vocabulary[Int($0)] } }
  }

  @Test func aUsersOwnTagsStandBeforeAVote() {
    // "cats" is a profile tag already.
    #expect(tags(of: [0], 0) == [["love", "cats"], ["dogs"]])
  }

  @Test func whatWasNotWrittenIsVoted() {
    #expect(tags(of: [0], 1) == [["war"], ["space"]])
    #expect(tags(of: [1], 2) == [["war"], ["space"]])
  }

  @Test func somebodyNewHasTheTagsOfTheItems() {
    #expect(tags(of: [0, 1], nil) == [["war", "love"], ["space"]])
    #expect(table.tags(of: [0], user: 0, profileCount: 0, predictionCount: 0).profile.isEmpty)
  }

  @Test func itemsKeepTheirTags() {
    #expect(Array(table.vocabulary.prefix(3)) == ["war", "love", "space"])
    #expect(table.profile == [[0], [1], [2]] && table.prediction == [[1], [2], [0]])
  }
}
