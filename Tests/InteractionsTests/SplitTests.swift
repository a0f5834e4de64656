import Interactions
import Tensors
import TestSupport
import Testing

struct SplitTests {
  private func dataset(_ counts: [Int], times: Bool = true) -> Dataset {
    let items = counts.max() ?? 0
    var table = InteractionTable(users: [], items: [], timestamps: times ? [] : nil)
    for (user, count) in counts.enumerated() {
      for item in 0..<count {
        table.users.append(Int32(user))
        table.items.append(Int32(item))
        // Later items first, so that file order is not time order.
        table.timestamps?.append(Int64(100 - item))
      }
    }
    let names = (0..<items).map { "i\($0)" }
    let blank = [String](repeating: "", count: items)
    return Dataset(
      name: "counts", userIDs: counts.indices.map { "u\($0)" },
      catalogue: ItemCatalogue(
        ids: names, titles: blank, descriptions: blank, categories: [[String]](repeating: [], count: items)),
      interactions: table)
  }

  @Test func randomRoundsAsStated() throws {
    let counts = [1, 2, 3, 5, 9, 10, 11, 19, 20, 25]
    let split = try Splitter.split(dataset(counts), method: .random(seed: 1))
    for (user, count) in counts.enumerated() {
      let train = max(1, count * 8 / 10)
      #expect(split.train.degree(user) == train)
      #expect(split.validation.degree(user) == max(train, count * 9 / 10) - train)
      let all = (Array(split.train[user]) + split.validation[user] + split.test[user]).sorted()
      #expect(all == (0..<Int32(count)).map { $0 })
    }
  }

  @Test func randomDependsOnTheSeedAlone() throws {
    let data = dataset([50, 50])
    #expect(try Splitter.split(data, method: .random(seed: 1)) == Splitter.split(data, method: .random(seed: 1)))
    #expect(try Splitter.split(data, method: .random(seed: 1)) != Splitter.split(data, method: .random(seed: 2)))
  }

  @Test func leaveLastOutGoesByTime() throws {
    let split = try Splitter.split(dataset([4, 2]), method: .leaveLastOut)
    #expect(Array(split.test[0]) == [0] && Array(split.validation[0]) == [1] && Array(split.train[0]) == [2, 3])
    #expect(split.test.degree(1) == 0 && split.train.degree(1) == 2)
  }

  @Test func leaveLastOutIsRefusedWithoutTimes() {
    let error = #expect(throws: GLTAError.self) {
      try Splitter.split(dataset([4], times: false), method: .leaveLastOut)
    }
    #expect(error?.message.contains("4 of 4") == true)
    #expect(throws: GLTAError.self) { try Splitter.split(dataset([4]), method: .given) }
  }

  @Test func aGivenSplitIsTakenAndLendsValidationFromTrain() throws {
    var data = dataset([20])
    data.givenParts = (0..<20).map { $0 < 4 ? .test : .train }
    let split = try Splitter.split(data, method: .given)
    #expect(Array(split.test[0]) == [0, 1, 2, 3])
    #expect(split.validation.degree(0) == 1 && split.train.degree(0) == 15)
  }

  @Test func aGivenSplitLendsValidationFromShortHistoriesToo() throws {
    var data = dataset([1, 2, 3, 4, 10, 21])
    data.givenParts = data.interactions.users.map { _ in .train }
    let split = try Splitter.split(data, method: .given)
    #expect((0..<6).map { split.validation.degree($0) } == [0, 0, 1, 1, 1, 2])
    #expect((0..<6).map { split.train.degree($0) } == [1, 2, 2, 3, 9, 19])
  }

  @Test func kCoreAgreesWithDroppingByHand() {
    let data = SyntheticDataset.generate(users: 300, items: 80, interactionsPerUser: 12, seed: 3)
    let core = data.kCore(users: 7, items: 12)
    var pairs = Set(zip(data.interactions.users, data.interactions.items).map { [$0, $1] })
    while true {
      let users = Dictionary(grouping: pairs) { $0[0] }
      let items = Dictionary(grouping: pairs) { $0[1] }
      let kept = pairs.filter { users[$0[0], default: []].count >= 7 && items[$0[1], default: []].count >= 12 }
      if kept.count == pairs.count { break }
      pairs = kept
    }
    let expected = Set(pairs.map { data.userIDs[Int($0[0])] + " " + data.catalogue.ids[Int($0[1])] })
    let found = Set(
      zip(core.interactions.users, core.interactions.items).map {
        core.userIDs[Int($0)] + " " + core.catalogue.ids[Int($1)]
      })
    #expect(found == expected)
    #expect(!found.isEmpty && found.count < data.interactions.count)
  }

  /// Where each loss makes the next: a chain, which falls apart from its ends.
  @Test(.timeLimit(.minutes(1))) func kCoreTakesLinearTime() {
    let count = 200_000
    let names = (0..<count).map(String.init)
    let chain = Dataset(
      name: "chain", userIDs: names,
      catalogue: ItemCatalogue(ids: names, titles: names, descriptions: names, categories: names.map { [$0] }),
      interactions: InteractionTable(
        users: (0..<Int32(2 * count - 1)).map { $0 / 2 }, items: (0..<Int32(2 * count - 1)).map { ($0 + 1) / 2 }))
    #expect(chain.kCore(users: 2, items: 2).interactions.count == 0)
    #expect(chain.kCore(users: 1, items: 2).interactions.count == 2 * count - 2)
  }

  @Test func aThresholdNeedsRatings() throws {
    let data = SyntheticDataset.generate(users: 30, items: 40)
    let kept = try data.keepingRatings(atLeast: 4)
    #expect(kept.interactions.ratings?.allSatisfy { $0 >= 4 } == true)
    #expect(kept.interactions.count < data.interactions.count)
    #expect(throws: GLTAError.self) { try dataset([3]).keepingRatings(atLeast: 4) }
  }

  @Test func csrAgreesWithSets() {
    var random = Philox(seed: 1, purpose: "csr").sequence()
    let edges = (0..<500).map { _ in (Int32(random.index(below: 17)), Int32(random.index(below: 23))) }
    let matrix = CSRMatrix(rows: 17, columns: 23, edges: (edges.map(\.0), edges.map(\.1)))
    for row in 0..<17 {
      let expected = Set(edges.filter { $0.0 == row }.map(\.1)).sorted()
      #expect(Array(matrix[row]) == expected)
      for column in 0..<Int32(23) { #expect(matrix.contains(row: row, column: column) == expected.contains(column)) }
    }
    #expect(matrix.transposed().transposed() == matrix)
  }

  @Test func coldItemsHaveNoEdgeInTraining() throws {
    let data = dataset([40, 40, 30, 20, 3])
    let split = try Splitter.split(data, method: .coldItems(share: 0.1, seed: 1))
    let withheld = Set(split.test.indices)
    #expect(withheld.count == 4)
    #expect(withheld.isDisjoint(with: split.train.indices) && withheld.isDisjoint(with: split.validation.indices))
    for (user, count) in [40, 40, 30, 20, 3].enumerated() {
      let all = (Array(split.train[user]) + split.validation[user] + split.test[user]).sorted()
      #expect(all == (0..<Int32(count)).map { $0 })
      #expect(split.test.degree(user) == withheld.filter { $0 < Int32(count) }.count)
      #expect(split.validation.degree(user) == (count - split.test.degree(user)) / 10)
    }
    #expect(try split == Splitter.split(data, method: .coldItems(share: 0.1, seed: 1)))
    #expect(try withheld != Set(Splitter.split(data, method: .coldItems(share: 0.1, seed: 2)).test.indices))
  }

  @Test(arguments: [0, 0.01, 1, -0.1, .nan]) func coldItemsAreOneAtLeastAndNotAll(share: Double) {
    #expect(throws: GLTAError.self) {
      try Splitter.split(dataset([40]), method: .coldItems(share: share, seed: 1))
    }
  }
}
