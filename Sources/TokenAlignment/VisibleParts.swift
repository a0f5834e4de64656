public import Interactions
import Tensors

/// Each user's training items, parted once into what alignment shows the model and what it has to predict.
///
/// A head that is trained to predict the very items that its prompt and its user embedding are made of learns to copy.
/// So in alignment training everything about a user (item tokens, tags, graph vector) comes from the visible part, the
/// loss from the target part. Serving uses both.
public struct VisibleParts: Sendable, Equatable {
  /// users x items: shown.
  public let visible: CSRMatrix
  /// users x items: predicted. Empty for a user with fewer than two items.
  public let target: CSRMatrix

  /// Parts each user's items at random, by the seed and the user alone.
  ///
  /// - Parameter targetShare: the part of a user's items that is predicted, rounded, at least one where there are two.
  public init(train: CSRMatrix, targetShare: Double, seed: UInt64) {
    var visible: [[Int32]] = []
    var target: [[Int32]] = []
    for user in 0..<train.rows {
      var items = Array(train[user])
      var random = Philox(seed: seed, purpose: "visible part", index: UInt64(user)).sequence()
      random.shuffle(&items)
      let wanted = Int((Double(items.count) * targetShare).rounded())
      let count = items.count < 2 ? 0 : min(items.count - 1, max(1, wanted))
      target.append(Array(items.prefix(count)))
      visible.append(Array(items.dropFirst(count)))
    }
    self.visible = CSRMatrix(rowLists: visible, columns: train.columns)
    self.target = CSRMatrix(rowLists: target, columns: train.columns)
  }
}
