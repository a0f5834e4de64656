import Foundation
import GraphEncoding
import Interactions
import LanguageModels
import LogitsMatching
import Tensors
import TestSupport
import Testing
import TokenAlignment

private enum MiniLM {
  static let directory =
    ProcessInfo.processInfo.environment["GLTA_MINILM"] ?? TestPaths.root + "/.demo/minilm"
  static let isHere = FileManager.default.fileExists(atPath: directory + "/model.safetensors")
}

/// Stage 2 with a real language model: what it learns comes from the descriptions.
@Suite(.enabled(if: MiniLM.isHere, "all-MiniLM-L6-v2 is not on this machine"))
struct ItemAlignmentSlowTests {
  @Test func shufflingTheDescriptionsHurts() throws {
    let pool = ThreadPool(threads: 2)
    let model = try BERTModel(directory: MiniLM.directory)
    let tokenizer = try WordPieceTokenizer(directory: MiniLM.directory)
    let items = 32
    let catalogue = SyntheticDataset.generate(users: 200, items: items).catalogue
    let texts = ItemText.tokenIDs(of: catalogue, words: 8, tokenizer: tokenizer)
    let embeddings = try TextEmbedder(model: model, tokenizer: tokenizer).embed(
      ItemText.texts(of: catalogue, words: 8), pool: pool)
    let nodes = Matrix(rows: items, columns: 16)
    var random = Philox(seed: 1, purpose: "nodes").sequence()
    for index in 0..<nodes.count { nodes.base[index] = 0.3 * random.normal() }
    let graph = GraphEmbeddings(users: Matrix(rows: 1, columns: 16), items: nodes, foldInBasis: nodes)
    var options = TokenAlignment.AlignmentOptions()
    (options.itemEpochs, options.itemsPerInstruction, options.batchSize) = (60, 4, 2)
    options.head = .free
    let before = AlignmentModel(graph: graph, tokens: TokenStatistics(model), options: options, seed: 1)
    let context = AlignmentContext(
      options: options, seed: 1, pool: pool, progress: { _ in true }, checkpoint: { (_) throws(GLTAError) in })
    let trainer = ItemAlignmentTrainer(
      context: context, model: model, tokenizer: tokenizer, graph: graph, template: .itemAlignment, texts: texts,
      textEmbeddings: embeddings)
    let after = try trainer.train(before, resuming: nil)

    let writer = InstructionWriter(template: .itemAlignment, tokenizer: tokenizer, maximumLength: model.maximumLength)
    let batch = InstructionBatch(model: model, activationBytes: 1 << 30, pool: pool)
    /// Mean loss of new groups, each item's text being that of the item `shift` further.
    func loss(_ alignment: AlignmentModel, shift: Int) throws -> Double {
      var (instructions, targets) = ([Instruction](), [Int32]())
      var order = Philox(seed: 9, purpose: "new groups").sequence()
      for _ in 0..<24 {
        var group = (0..<Int32(items)).map { $0 }
        order.shuffle(&group)
        group = Array(group.prefix(4))
        var content = InstructionContent()
        content.texts = group.map { texts[(Int($0) + shift) % items] }
        content.items = group
        order.shuffle(&content.items)
        content.slots = 4
        instructions.append(try writer.write(content))
        targets += group
      }
      let tokens = alignment.itemTokens(graph, pool: pool)
      let hidden = try batch.forward(instructions, itemTokens: tokens, userTokens: nil)
      let result = alignment.head.lossAndGradients(
        hidden: hidden, targets: targets, tokens: tokens, scale: 1, wantsTokenGradient: false, pool: pool)
      return result.losses.reduce(0) { $0 + Double($1) } / Double(targets.count)
    }
    let (untrained, trained, shuffled) = (
      try loss(before, shift: 0), try loss(after, shift: 0), try loss(after, shift: 5)
    )
    #expect(trained < 0.8 * untrained, "untrained \(untrained), trained \(trained), shuffled \(shuffled)")
    // The same model, instructions and answers; only the texts belong to other items.
    #expect(trained < shuffled - 0.05, "untrained \(untrained), trained \(trained), shuffled \(shuffled)")
  }
}
