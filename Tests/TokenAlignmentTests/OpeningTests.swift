import GraphEncoding
import LanguageModels
import Tensors
import TestSupport
import Testing
import TokenAlignment

/// What all instructions begin with is read once.
struct OpeningTests {
  private let model: any LanguageModel
  private let writer: InstructionWriter
  private let instructions: [Instruction]

  init() throws {
    let directory = TestPaths.root + "/Tests/Golden/llama-tiny"
    model = try PretrainedModel.load(directory)
    writer = InstructionWriter(
      template: try InstructionTemplate("Select the items: user {user} likes {items} {slots}"),
      tokenizer: try Tokenizers.load(directory), maximumLength: 96, hasSlotToken: true)
    var instructions: [Instruction] = []
    for items: [Int32] in [[0, 2, 5], [6, 1], [3], [4, 5, 6, 0]] {
      var content = InstructionContent()
      (content.hasUser, content.items, content.slots) = (true, items, 3)
      instructions.append(try writer.write(content))
    }
    self.instructions = instructions
  }

  private func run(opening: [Int32], threads: Int, budget: Int = 1 << 30) throws -> (hidden: Matrix, gradients: [Float])
  {
    let batch = InstructionBatch(
      model: model, opening: opening, activationBytes: budget, pool: ThreadPool(threads: threads))
    let columns = model.hiddenSize
    let (items, users, slot) = (
      randomMatrix(7, columns, seed: 1), randomMatrix(4, columns, seed: 2), randomMatrix(1, columns, seed: 3)
    )
    let hidden = try batch.forward(instructions, itemTokens: items, userTokens: users, slotToken: slot)
    let (ditems, dusers, dslot) = (
      Matrix(rows: 7, columns: columns), Matrix(rows: 4, columns: columns), Matrix(rows: 1, columns: columns)
    )
    batch.backward(
      instructions, dhidden: randomMatrix(hidden.rows, columns, seed: 4), ditemTokens: ditems, duserTokens: dusers,
      dslotToken: dslot)
    return (hidden, ditems.elements + dusers.elements + dslot.elements)
  }

  @Test func changesNoHiddenStateAndNoGradient() throws {
    #expect(writer.opening.count > 8)
    for budget in [1 << 30, 0] {
      let whole = try run(opening: [], threads: 1, budget: budget)
      let rest = try run(opening: writer.opening, threads: 1, budget: budget)
      #expect(rest.hidden.elements.map(\.bitPattern) == whole.hidden.elements.map(\.bitPattern))
      #expect(relativeDifference(rest.gradients, whole.gradients) < 1e-5)
    }
  }

  @Test func anyNumberOfThreadsGivesTheSameBits() throws {
    let alone = try run(opening: writer.opening, threads: 1)
    for threads in [2, 3] {
      let shared = try run(opening: writer.opening, threads: threads)
      #expect(shared.hidden.elements.map(\.bitPattern) == alone.hidden.elements.map(\.bitPattern))
      #expect(shared.gradients.map(\.bitPattern) == alone.gradients.map(\.bitPattern))
    }
  }

  /// The first position of an encoder sees the last.
  @Test func isNotKeptForEncoders() throws {
    let model = try PretrainedModel.load(TestPaths.root + "/Tests/Golden/bert-tiny")
    #expect(try model.readPrefix([1, 2, 3], pool: .serial) == nil)
  }

  /// A place at the start leaves nothing but what the model itself wants there.
  @Test func endsAtTheFirstPlace() throws {
    let tokenizer = try Tokenizers.load(TestPaths.root + "/Tests/Golden/llama-tiny")
    func opening(_ template: String) throws -> [Int32] {
      InstructionWriter(template: try InstructionTemplate(template), tokenizer: tokenizer, maximumLength: 96).opening
    }
    #expect(try opening("{user} likes {slots}") == tokenizer.sequenceStart)
    let words = try opening("Users: {user} likes {slots}")
    #expect(words == tokenizer.sequenceStart + tokenizer.encode("Users:"))
    #expect(instructions.allSatisfy { $0.tokenIDs.starts(with: writer.opening) })
  }
}
