import Interactions
import Tensors

/// The term that draws the vectors of nodes and texts together. Three ways of it:
///
/// - `lightgcn+`, `hccf+`: InfoNCE between an item's vector and a linear map of its text embedding.
/// - `rlmrec-con` (Ren et al., *Representation Learning with Large Language Models for Recommendation*, WWW 2024): InfoNCE
///   between the vectors of users and items and a perceptron of their profiles' embeddings.
/// - `rlmrec-gen` (same): the other way round, and only for nodes that the graph had to do without: a perceptron of a masked
///   node's vector has to find the node's profile.
///
/// Profiles are given, or an item's is its text and a user's the mean of the texts of their training items.
struct TextAlignment {
  /// Texts of nodes, users before items: nodes x t. Rows of users are zeros where users take no part.
  private let text: Matrix
  private let users: Int
  private let readsUsers: Bool
  private let isGenerative: Bool
  private let perceptron: Perceptron
  private let temperature: Float
  private let weight: Float

  /// Nodes of a kind that one step compares at most: their likenesses are a square matrix.
  static let maximumNodes = 2_048
  /// Prefix of the parameters' names.
  private static let prefix = "alignment."

  init(options: GraphEncoderOptions, train: CSRMatrix, text: Matrix, profiles: NodeProfiles?) {
    let items = profiles?.items ?? text
    readsUsers = options.method.readsProfiles
    isGenerative = options.method == .rlmRecGen
    users = train.rows
    (temperature, weight) = (options.alignmentTemperature, options.alignmentWeight)
    let texts = Matrix(rows: train.rows + train.columns, columns: items.columns)
    texts.slice(train.rows..<texts.rows).assign(items)
    if readsUsers, let profiles {
      texts.slice(0..<train.rows).assign(profiles.users)
    } else if readsUsers {
      TextAlignment.writeProfiles(train, items, into: texts)
    }
    self.text = texts
    let columns = options.paddedDimensions
    let hidden = readsUsers ? (items.columns + columns) / 2 : 0
    perceptron =
      isGenerative
      ? Perceptron(prefix: Self.prefix, inputs: columns, hidden: hidden, outputs: items.columns)
      : Perceptron(prefix: Self.prefix, inputs: items.columns, hidden: hidden, outputs: columns)
  }

  private static func writeProfiles(_ train: CSRMatrix, _ items: Matrix, into texts: Matrix) {
    for user in 0..<train.rows {
      let row = texts.row(user)
      for item in train[user] { Accumulate.add(items.columns, items.row(Int(item)), to: row) }
      let length = Accumulate.squares(items.columns, row).squareRoot()
      if length > 0 { Accumulate.scale(items.columns, row, by: 1 / length) }
    }
  }

  func initialParameters(seed: UInt64) -> [(name: String, value: Matrix)] { perceptron.initialParameters(seed: seed) }

  /// The weighted loss at some slots of a batch; adds to the gradient of the output.
  ///
  /// - Parameter masked: the slots whose nodes the graph did without; the generative way looks at these alone.
  /// - Returns: the loss, and the gradients of the parameters in their order.
  func addForwardBackward(
    _ batch: BatchNodes, masked: [Int], output: Matrix, gradient: Matrix, parameters: ParameterGroup, pool: ThreadPool
  ) -> (loss: Double, parameters: [Matrix]) {
    let candidates = isGenerative ? masked : Array(0..<batch.count)
    let parts = [true, false].map { wantsUsers in
      Array(
        candidates.filter { slot in
          let node = Int(batch.nodes[slot])
          guard (node < users) == wantsUsers, readsUsers || !wantsUsers else { return false }
          return Accumulate.squares(text.columns, text.row(node)) > 0
        }.prefix(Self.maximumNodes))
    }
    var (loss, sums): (Double, [Matrix]) = (0, [])
    for slots in parts where slots.count > 1 {
      let (own, gradients) = add(slots, batch, output, gradient, parameters, pool)
      loss += own
      if sums.isEmpty {
        sums = gradients
      } else {
        for (sum, part) in zip(sums, gradients) { Accumulate.add(sum.count, part.base, to: sum.base) }
      }
    }
    return (loss, sums)
  }

  private func add(
    _ slots: [Int], _ batch: BatchNodes, _ output: Matrix, _ gradient: Matrix, _ parameters: ParameterGroup,
    _ pool: ThreadPool
  ) -> (loss: Double, parameters: [Matrix]) {
    let vectors = Matrix(rows: slots.count, columns: output.columns)
    let texts = Matrix(rows: slots.count, columns: text.columns)
    for (row, slot) in slots.enumerated() {
      vectors.row(row).update(from: output.row(slot), count: output.columns)
      texts.row(row).update(from: text.row(Int(batch.nodes[slot])), count: text.columns)
    }
    let pass = perceptron.forward(isGenerative ? vectors : texts, parameters, pool: pool)
    let (loss, dleft, dright) = ContrastiveLoss.forwardBackward(
      isGenerative ? pass.output : vectors, isGenerative ? texts : pass.output, temperature: temperature, pool: pool)
    let dmapped = isGenerative ? dleft : dright
    Accumulate.scale(dmapped.count, dmapped.base, by: weight)
    let (dparameters, dinput) = perceptron.backward(pass, gradient: dmapped, parameters, pool: pool)
    for (row, slot) in slots.enumerated() {
      if isGenerative {
        Accumulate.add(output.columns, dinput.row(row), to: gradient.row(slot))
      } else {
        Accumulate.add(output.columns, dleft.row(row), scaledBy: weight, to: gradient.row(slot))
      }
    }
    return (Double(weight) * loss, dparameters)
  }
}
