import GraphEncoding
import LanguageModels
import LogitsMatching
import Tensors
import TestSupport
import Testing
import TokenAlignment

/// Gradients of alignment, against finite differences.
struct AlignmentGradientTests {
  private static func random(_ rows: Int, _ columns: Int, _ purpose: String) -> Matrix {
    let matrix = Matrix(rows: rows, columns: columns)
    var numbers = Philox(seed: 4, purpose: purpose).sequence()
    for index in 0..<matrix.count { matrix.base[index] = numbers.normal() }
    return matrix
  }

  @Test func theContrastiveTermAgreesWithFiniteDifferences() {
    let pool = ThreadPool(threads: 1)
    let (tokens, texts) = (Self.random(6, 8, "tokens"), Self.random(6, 8, "texts"))
    for column in 0..<8 { texts[4, column] = 0 }
    func loss(_ gradient: Matrix) -> Float {
      ContrastiveTerm.add(
        items: [0, 2, 3, 4, 5], tokens: tokens, textEmbeddings: texts, temperature: 2, weight: 0.7, gradient: gradient,
        pool: pool)
    }
    let gradient = Matrix(rows: 6, columns: 8)
    _ = loss(gradient)
    let unused = Matrix(rows: 6, columns: 8)
    for index in 0..<tokens.count {
      let (value, step) = (tokens.base[index], Float(1) / 64)
      tokens.base[index] = value + step
      let above = loss(unused)
      tokens.base[index] = value - step
      let below = loss(unused)
      tokens.base[index] = value
      #expect(abs((above - below) / (2 * step) - gradient.base[index]) < 2e-3)
    }
    // Items outside the batch, and one without a text, are left alone.
    #expect(gradient.slice(1..<2).elements + gradient.slice(4..<5).elements == [Float](repeating: 0, count: 16))
  }

  /// From the projectors' weights and the slots' token through a frozen language model and the head to the loss, and back.
  @Test(arguments: ["bert-tiny", "llama-tiny"])
  func gradientsAgreeWithFiniteDifferences(name: String) throws {
    let pool = ThreadPool(threads: 2)
    let directory = TestPaths.root + "/Tests/Golden/" + name
    let model = try PretrainedModel.load(directory)
    let tokenizer = try Tokenizers.load(directory)
    let columns = model.hiddenSize
    let slotToken = model.isCausal ? Self.random(1, columns, "slot") : nil
    let nodes = Self.random(7, 4, "nodes")
    let users = Self.random(2, 4, "users")
    let itemProjector = NodeProjector(
      weight: Self.random(columns, 4, "item weight"), bias: Self.random(1, columns, "item bias"))
    let userProjector = NodeProjector(
      weight: Self.random(columns, 4, "user weight"), bias: Self.random(1, columns, "user bias"))
    let head = GLLMHead(kind: .free, weight: Self.random(7, columns, "head"), bias: Matrix(rows: 1, columns: 7))
    let writer = InstructionWriter(
      template: try InstructionTemplate("user {user} likes {items} {slots}"), tokenizer: tokenizer, maximumLength: 64,
      hasSlotToken: slotToken != nil)
    var instructions: [Instruction] = []
    for items: [Int32] in [[0, 2, 5], [6, 1]] {
      var content = InstructionContent()
      (content.hasUser, content.items, content.slots) = (true, items, 2)
      instructions.append(try writer.write(content))
    }
    let batch = InstructionBatch(model: model, activationBytes: 1 << 30, pool: pool)
    func run() throws -> (loss: Double, gradients: GLLMGradients) {
      let hidden = try batch.forward(
        instructions, itemTokens: itemProjector.project(nodes, pool: pool),
        userTokens: userProjector.project(users, pool: pool), slotToken: slotToken)
      let result = head.lossAndGradients(
        hidden: hidden, targets: [3, 4, 0, 2], tokens: nodes, scale: 1, wantsTokenGradient: false, pool: pool)
      return (result.losses.reduce(0) { $0 + Double($1) }, result)
    }
    let result = try run()
    let (ditems, dusers) = (Matrix(rows: 7, columns: columns), Matrix(rows: 2, columns: columns))
    let dslot = slotToken.map { Matrix(rows: 1, columns: $0.columns) }
    batch.backward(
      instructions, dhidden: result.gradients.hidden, ditemTokens: ditems, duserTokens: dusers, dslotToken: dslot)
    let items = itemProjector.gradients(nodes: nodes, dtokens: ditems, pool: pool)
    let found = userProjector.gradients(nodes: users, dtokens: dusers, pool: pool)
    var pairs = [
      (itemProjector.weight, items.weight), (itemProjector.bias, items.bias), (userProjector.weight, found.weight),
      (userProjector.bias, found.bias),
    ]
    if let slotToken, let dslot { pairs.append((slotToken, dslot)) }
    for (matrix, gradient) in pairs {
      for index in stride(from: 0, to: matrix.count, by: 5) {
        let (value, step) = (matrix.base[index], Float(1) / 256)
        matrix.base[index] = value + step
        let above = try run().loss
        matrix.base[index] = value - step
        let below = try run().loss
        matrix.base[index] = value
        let expected = (above - below) / Double(2 * step)
        #expect(abs(expected - Double(gradient.base[index])) < 0.01 + 0.02 * abs(expected))
      }
    }
  }
}
