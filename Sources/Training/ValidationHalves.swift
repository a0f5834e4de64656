import Interactions
import Tensors

/// The validation users in two fixed halves: one says when to stop, the other what the terms weigh. No user decides both.
struct ValidationHalves {
  /// Users for early stopping, in random order.
  let stopping: [Int]
  /// Users for the fit of weights, in random order.
  let fitting: [Int]

  init(split: InteractionSplit, seed: UInt64) {
    var users = (0..<split.validation.rows).filter { split.validation.degree($0) > 0 }
    var random = Philox(seed: seed, purpose: "validation halves").sequence()
    random.shuffle(&users)
    stopping = Array(users.prefix((users.count + 1) / 2))
    fitting = Array(users.dropFirst((users.count + 1) / 2))
  }

  /// The validation part with the rows of these users alone.
  func validation(of split: InteractionSplit, keeping users: [Int]) -> CSRMatrix {
    let kept = Set(users)
    return CSRMatrix(
      rowLists: (0..<split.validation.rows).map { kept.contains($0) ? Array(split.validation[$0]) : [] },
      columns: split.validation.columns)
  }
}
