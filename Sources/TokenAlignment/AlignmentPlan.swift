import LanguageModels
import Tensors

/// How the steps of an alignment stage keep within their memory.
///
/// A batch whose activations fit the budget keeps them; any other keeps the inputs of the layers and computes the rest
/// again on the way back (Chen et al., *Training Deep Nets with Sublinear Memory Cost*, 2016), with the same bits.
struct AlignmentPlan {
  /// What the stage will hold at its largest, with what it has chosen.
  let memory: MemoryPlan

  /// A plan of a stage.
  ///
  /// - Parameters:
  ///   - length: tokens of the longest instruction.
  ///   - slots: answers of an instruction.
  ///   - items: rows of the head.
  ///   - tuned: the parameters that the stage tunes.
  init(
    model: any LanguageModel, options: AlignmentOptions, length: Int, slots: Int, items: Int,
    tuned: [(name: String, value: Matrix)], threads: Int
  ) {
    let batch = options.batchSize
    let kept = batch * model.passBytes(length: length, retention: .activations)
    let inputs = batch * model.passBytes(length: length, retention: .layerInputs)
    let activations = min(kept, max(inputs, options.activationBytes))
    let (tokens, parameters) = (items * model.hiddenSize, tuned.reduce(0) { $0 + $1.value.count })
    memory = MemoryPlan(
      [
        ("weights", model.weightBytes(forBackward: true)),
        ("\(kept > activations ? "inputs and activations" : "activations") of \(batch) prompts", activations),
        ("prompts and their gradients", 2 * batch * length * model.hiddenSize * MemoryLayout<Float>.stride),
        ("item tokens, logits and gradients", (4 * tokens + batch * slots * items) * MemoryLayout<Float>.stride),
        ("parameters, gradients and Adam's moments", 6 * parameters * MemoryLayout<Float>.stride),
        ("validation", threads * model.passBytes(length: length, retention: .nothing)),
      ],
      choice: AlignmentPlan.choice(kept: kept, budget: options.activationBytes))
  }

  private static func choice(kept: Int, budget: Int) -> String {
    guard kept > budget else { return "activations are kept for the way back" }
    return "batches beyond \(budget >> 20) MiB of activations compute them again on the way back "
      + "(--activation-memory \((kept >> 20) + 1) would keep all)"
  }
}
