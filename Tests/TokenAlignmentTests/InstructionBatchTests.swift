import LanguageModels
import Tensors
import TestSupport
import Testing
import TokenAlignment

/// Batches keep within their memory, and what they keep changes no bit.
struct InstructionBatchTests {
  private let model: any LanguageModel

  init() throws { model = try PretrainedModel.load(TestPaths.root + "/Tests/Golden/llama-tiny") }

  private func instruction(_ length: Int) -> Instruction {
    var instruction = Instruction()
    instruction.tokenIDs = (0..<length).map { Int32($0 * 7 % 96) }
    (instruction.nodes, instruction.nodePositions, instruction.slotPositions) = ([.item(0)], [0], [length - 1])
    return instruction
  }

  /// The gradients of an item token by batches of several lengths, and the most that was held.
  private func run(activationBytes: Int, _ batches: [[Int]]) throws -> (gradient: [Float], most: Int) {
    let batch = InstructionBatch(model: model, activationBytes: activationBytes, pool: ThreadPool(threads: 2))
    let (tokens, gradient) = (randomMatrix(1, model.hiddenSize), Matrix(rows: 1, columns: model.hiddenSize))
    var most = 0
    for lengths in batches {
      let instructions = lengths.map(instruction)
      let hidden = try batch.forward(instructions, itemTokens: tokens, userTokens: nil).copy()
      batch.backward(instructions, dhidden: hidden, ditemTokens: gradient, duserTokens: nil)
      most = max(most, batch.byteCount)
    }
    return (gradient.elements, most)
  }

  @Test func keepsWithinTheBudgetOrTheLeastThatIsPossible() throws {
    let batches = [
      [9, 30, 9, 9], [30, 9, 9, 9], [9, 9, 9, 60], [50, 9, 9, 9], [60, 60, 60, 60], [9, 9, 9, 9], [12],
    ]
    func least(_ retention: Retention) -> Int {
      batches.map { $0.reduce(0) { $0 + model.passBytes(length: $1, retention: retention) } }.max() ?? 0
    }
    let (kept, inputs) = (least(.activations), least(.layerInputs))
    let whole = try run(activationBytes: 1 << 40, batches)
    for budget in [0, inputs, (inputs + kept) / 2, kept] {
      let found = try run(activationBytes: budget, batches)
      #expect(found.gradient == whole.gradient)
      #expect(found.most <= max(budget, inputs), "\(budget)")
    }
  }
}
