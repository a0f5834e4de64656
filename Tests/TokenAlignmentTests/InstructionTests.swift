import GraphEncoding
import Interactions
import LanguageModels
import Tensors
import TestSupport
import Testing
import TokenAlignment

/// Templates, and the prompts that they become.
struct InstructionTests {
  private let tokenizer: WordPieceTokenizer

  init() throws { tokenizer = try WordPieceTokenizer(directory: TestPaths.root + "/Tests/Golden/bert-tiny") }

  @Test(arguments: [
    ("no places", "{slots}"), ("{slots} {slots}", "once"), ("{slots} {color}", "{color}"),
    ("{slots} {user", "open brace"),
  ])
  func refusesTemplatesThatCannotWork(source: String, expected: String) throws {
    let error = try #require(throws: GLTAError.self) { try InstructionTemplate(source) }
    #expect(error.message.contains(expected))
  }

  private func content() -> InstructionContent {
    var content = InstructionContent()
    content.hasUser = true
    content.items = [7, 3, 5]
    content.profile = [tokenizer.encode("war"), tokenizer.encode("love")]
    content.slots = 2
    return content
  }

  @Test func fillsPlacesInTheOrderOfTheTemplate() throws {
    let writer = InstructionWriter(
      template: try InstructionTemplate("the {items} of {user} {profile} {slots}"), tokenizer: tokenizer,
      maximumLength: 64)
    let instruction = try writer.write(content())
    #expect(instruction.nodes == [.item(7), .item(3), .item(5), .user])
    // [CLS] the, items, of, user, war , love, slots [SEP]
    #expect(instruction.nodePositions == [2, 3, 4, 6])
    #expect(instruction.slotPositions == [10, 11])
    #expect(instruction.length == 13)
    #expect(instruction.slotPositions.allSatisfy { instruction.tokenIDs[$0] == tokenizer.maskToken })
    #expect(instruction.tokenIDs.first == tokenizer.classToken && instruction.tokenIDs.last == tokenizer.separatorToken)
  }

  @Test func dropsTagsBeforeItemsAndNeverSlots() throws {
    let template = try InstructionTemplate("the {items} of {user} {profile} {slots}")
    for (length, tags, items) in [(11, 1, 3), (9, 0, 2), (8, 0, 1), (7, 0, 0)] {
      let writer = InstructionWriter(template: template, tokenizer: tokenizer, maximumLength: length)
      let instruction = try writer.write(content())
      #expect(instruction.length <= length)
      #expect(instruction.slotPositions.count == 2)
      #expect(instruction.nodes.count == items + 1, "length \(length), \(tags) tags")
    }
    let tooShort = InstructionWriter(template: template, tokenizer: tokenizer, maximumLength: 6)
    #expect(throws: GLTAError.self) { try tooShort.write(content()) }
  }

  @Test func whatIsPredictedIsNeverShown() {
    let dataset = SyntheticDataset.generate(users: 50, items: 40)
    let interactions = dataset.interactions
    var lists = [[Int32]](repeating: [], count: dataset.userIDs.count)
    for (user, item) in zip(interactions.users, interactions.items) { lists[Int(user)].append(item) }
    lists.append([4])
    lists.append([])
    let train = CSRMatrix(rowLists: lists, columns: dataset.catalogue.count)
    let parts = VisibleParts(train: train, targetShare: 0.25, seed: 1)
    for user in 0..<train.rows {
      let (visible, target) = (Set(parts.visible[user]), Set(parts.target[user]))
      #expect(visible.isDisjoint(with: target))
      #expect(visible.union(target) == Set(train[user]))
      #expect(target.isEmpty == (train.degree(user) < 2))
      if !target.isEmpty { #expect(!visible.isEmpty) }
    }
    #expect(VisibleParts(train: train, targetShare: 0.25, seed: 1) == parts)
    #expect(VisibleParts(train: train, targetShare: 0.25, seed: 2) != parts)
  }

  @Test func aUserIsSeenThroughTheItemsThatAreShownAlone() {
    let items = Matrix(rows: 6, columns: 2)
    for index in 0..<12 { items.base[index] = Float(index % 5) - 2 }
    let graph = GraphEmbeddings(users: Matrix(rows: 0, columns: 2), items: items, foldInBasis: items)
    let view = UserView(items: [5, 1, 2], graph: graph, historyLength: 2)
    #expect(Set(view.history).isSubset(of: [5, 1, 2]))
    #expect(view.history.count == 2)
    #expect(view == UserView(items: [2, 5, 1], graph: graph, historyLength: 2))
  }
}
