package import LanguageModels
package import Tensors

/// Runs a batch of instructions through the frozen language model and back to its inputs.
///
/// What all of them begin with is read once, where the model allows it (`LanguageModel.readPrefix`).
///
/// Each instruction is a sequence of its own on a thread of its own; nothing is padded. Losses need all slots of a batch
/// at once (one product with the item matrix), so all passes of a batch live together; where their activations would
/// exceed the budget, only layer inputs are kept. What passes keep of earlier batches counts, too.
package final class InstructionBatch {
  private let model: any LanguageModel
  private let pool: ThreadPool
  private let activationBytes: Int
  private let opening: [Int32]
  private var prefix: SharedPrefix?
  private var passes: [any LanguageModelPass] = []
  /// What the passes kept last.
  private var retention = Retention.activations
  /// What the largest batch so far needs at the least.
  private var leastBytes = 0
  /// For each instruction its pass.
  private var places: [Int] = []

  /// - Parameter opening: what all instructions begin with (`InstructionWriter.opening`).
  package init(model: any LanguageModel, opening: [Int32] = [], activationBytes: Int, pool: ThreadPool) {
    self.model = model
    self.opening = opening
    self.activationBytes = activationBytes
    self.pool = pool
  }

  /// Bytes that the passes hold.
  package var byteCount: Int { passes.reduce(0) { $0 + $1.byteCount } }

  /// The last hidden states of all slots, instruction after instruction: slots of the batch x D.
  ///
  /// - Parameters:
  ///   - itemTokens: |I| x D.
  ///   - userTokens: one row per instruction, where templates have a user.
  ///   - slotToken: 1 x D, where slots are learned.
  package func forward(
    _ instructions: [Instruction], itemTokens: Matrix, userTokens: Matrix?, slotToken: Matrix? = nil
  ) throws(GLTAError) -> Matrix {
    if passes.isEmpty { prefix = try model.readPrefix(opening, pool: pool) }
    let instructions = rests(of: instructions)
    let retention = prepare(instructions)
    let offsets = slotOffsets(instructions)
    let hidden = Matrix(rows: offsets[instructions.count], columns: model.hiddenSize)
    let failures = FirstFailure()
    pool.forEach(instructions.count) { index, _ in
      let instruction = instructions[index]
      do throws(GLTAError) {
        let input = inputEmbeddings(
          instruction, itemTokens: itemTokens, userToken: userTokens?.slice(index..<index + 1), slotToken: slotToken)
        let states = try passes[places[index]].forward(
          inputEmbeddings: input, after: prefix, wanted: instruction.slotPositions, retention: retention)
        hidden.slice(offsets[index]..<offsets[index + 1]).assign(states)
      } catch { failures.record(error, at: index) }
    }
    try failures.rethrow()
    return hidden
  }

  /// Carries the gradient of the slots' hidden states back to the soft tokens and adds it there, in the order of the batch;
  /// slots all have one token, whose gradient is their sum.
  package func backward(
    _ instructions: [Instruction], dhidden: Matrix, ditemTokens: Matrix?, duserTokens: Matrix?,
    dslotToken: Matrix? = nil
  ) {
    let offsets = slotOffsets(instructions)
    var gradients = [Matrix?](repeating: nil, count: instructions.count)
    gradients.withUnsafeMutableBufferPointer { gradients in
      pool.forEach(instructions.count) { index, _ in
        gradients[index] = passes[places[index]].backward(dhidden.slice(offsets[index]..<offsets[index + 1]))
      }
    }
    for (index, instruction) in rests(of: instructions).enumerated() {
      guard let gradient = gradients[index] else { continue }
      for (node, position) in zip(instruction.nodes, instruction.nodePositions) {
        switch node {
        case .user:
          if let duserTokens { Accumulate.add(model.hiddenSize, gradient.row(position), to: duserTokens.row(index)) }
        case .item(let item):
          if let ditemTokens {
            Accumulate.add(model.hiddenSize, gradient.row(position), to: ditemTokens.row(Int(item)))
          }
        case .slot:
          if let dslotToken { Accumulate.add(model.hiddenSize, gradient.row(position), to: dslotToken.base) }
        }
      }
    }
  }

  /// What the passes read: the instructions behind what is known.
  private func rests(of instructions: [Instruction]) -> [Instruction] {
    guard let prefix else { return instructions }
    return instructions.map { $0.dropFirst(prefix.count) }
  }

  private func inputEmbeddings(
    _ instruction: Instruction, itemTokens: Matrix, userToken: Matrix?, slotToken: Matrix?
  ) -> Matrix {
    let input = model.inputEmbeddings(instruction.tokenIDs)
    for (node, position) in zip(instruction.nodes, instruction.nodePositions) {
      switch node {
      case .user: if let userToken { input.slice(position..<position + 1).assign(userToken) }
      case .item(let item): input.slice(position..<position + 1).assign(itemTokens.slice(Int(item)..<Int(item) + 1))
      case .slot: if let slotToken { input.slice(position..<position + 1).assign(slotToken) }
      }
    }
    return input
  }

  /// Gives each instruction a pass and decides what they keep. The longest has the first pass, the next the second: so
  /// passes that have seen long sequences see long ones again, and do not all grow to the longest.
  private func prepare(_ instructions: [Instruction]) -> Retention {
    let order = instructions.indices.sorted { (instructions[$0].length, $1) > (instructions[$1].length, $0) }
    places = Array(repeating: 0, count: instructions.count)
    for (place, index) in order.enumerated() { places[index] = place }
    func needed(_ retention: Retention) -> [Int] {
      order.map { model.passBytes(length: instructions[$0].length, retention: retention) }
    }
    let retention: Retention = needed(.activations).reduce(0, +) <= activationBytes ? .activations : .layerInputs
    leastBytes = max(leastBytes, needed(.layerInputs).reduce(0, +))
    let held = passes.map(\.byteCount) + Array(repeating: 0, count: max(0, instructions.count - passes.count))
    let bytes = zip(held, needed(retention) + held.dropFirst(instructions.count)).reduce(0) { $0 + max($1.0, $1.1) }
    // Another policy leaves other parts of the memory lying.
    if retention != self.retention || bytes > max(activationBytes, leastBytes) { passes = [] }
    self.retention = retention
    while passes.count < instructions.count { passes.append(model.makePass(pool: .serial)) }
    return retention
  }

  private func slotOffsets(_ instructions: [Instruction]) -> [Int] {
    instructions.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.slotPositions.count) }
  }
}
