import Interactions
import Testing
import Training

/// Which of a user's items a decoder is shown.
struct TagDescriptionTests {
  private func dataset(items: Int, timestamps: [Int64]?) -> Dataset {
    Dataset(
      name: "test", userIDs: ["a", "b"],
      catalogue: ItemCatalogue(
        ids: (0..<items).map { "i\($0)" }, titles: (0..<items).map { $0 == 1 ? "" : "Title \($0)" },
        descriptions: [String](repeating: "", count: items), categories: [[String]](repeating: [], count: items)),
      interactions: InteractionTable(
        users: [Int32](repeating: 0, count: items), items: (0..<Int32(items)).map { $0 }, timestamps: timestamps))
  }

  private func shown(_ dataset: Dataset, visible: [Int32]) -> [String] {
    let visible = CSRMatrix(rowLists: [visible, []], columns: dataset.catalogue.count)
    let all = TagDescriptions(usersOf: dataset, visible: visible).descriptions
    #expect(all.map(\.id) == ["a"])
    return all[0].items
  }

  @Test func showsTheLatestFirstAndNothingThatMustNotBeSeen() {
    let timed = dataset(items: 6, timestamps: [10, 20, 60, 40, 50, 30])
    // Item 1 has no text.
    #expect(shown(timed, visible: [0, 1, 2, 4]) == ["i2", "i4", "i0"])
    #expect(shown(dataset(items: 6, timestamps: nil), visible: [0, 1, 2, 4]) == ["i0", "i2", "i4"])
  }

  @Test func spreadsWhatItShowsOverAllThatThereIs() {
    let many = shown(dataset(items: 100, timestamps: (0..<100).map(Int64.init)), visible: (2..<100).map { $0 })
    #expect(many.count == 12 && Set(many).count == 12)
    #expect(many.first == "i99" && many.last == "i2")
  }
}
