package import LanguageModels
package import Tensors

/// Runs a batch of instructions through the frozen language model and back to its inputs.
///
/// What all of them begin with is read once, where the model allows it (`LanguageModel.readPrefix`).
///
/// Each instruction is a sequence of its own on a thread of its own; nothing is padded. Losses need all slots of a batch
/// at once (one product with the item matrix), so all passes of a batch live together; where their activations would
/// exceed the budget, only layer inputs are kept.
package final class InstructionBatch {
  private let model: any LanguageModel
  private let pool: ThreadPool
  private let activationBytes: Int
  private let opening: [Int32]
  private var prefix: SharedPrefix?
  private var passes: [any LanguageModelPass] = []

  /// - Parameter opening: what all instructions begin with (`InstructionWriter.opening`).
  package init(model: any LanguageModel, opening: [Int32] = [], activationBytes: Int, pool: ThreadPool) {
    self.model = model
    self.opening = opening
    self.activationBytes = activationBytes
    self.pool = pool
  }

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
    while passes.count < instructions.count { passes.append(model.makePass(pool: .serial)) }
    let instructions = rests(of: instructions)
    let retention = retention(for: instructions)
    let offsets = slotOffsets(instructions)
    let hidden = Matrix(rows: offsets[instructions.count], columns: model.hiddenSize)
    let failures = FirstFailure()
    pool.forEach(instructions.count) { index, _ in
      let instruction = instructions[index]
      do throws(GLTAError) {
        let input = inputEmbeddings(
          instruction, itemTokens: itemTokens, userToken: userTokens?.slice(index..<index + 1), slotToken: slotToken)
        let states = try passes[index].forward(
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
        gradients[index] = passes[index].backward(dhidden.slice(offsets[index]..<offsets[index + 1]))
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

  private func retention(for instructions: [Instruction]) -> Retention {
    let floats = instructions.reduce(0) {
      $0 + model.retainedFloats(length: $1.length, retention: .activations)
    }
    return floats * MemoryLayout<Float>.stride <= activationBytes ? .activations : .layerInputs
  }

  private func slotOffsets(_ instructions: [Instruction]) -> [Int] {
    instructions.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.slotPositions.count) }
  }
}
