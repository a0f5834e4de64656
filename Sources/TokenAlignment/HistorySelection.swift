public import GraphEncoding
import Tensors

/// What the model is told of a user: the graph's vector for the items, and the items that fit into the prompt.
public struct UserView: Sendable, Equatable {
  /// d floats: the fold-in of the items. Known and unseen users alike, in training and in serving, so that the projector
  /// never meets a kind of vector that it was not trained on.
  public let vector: [Float]
  /// The items of the prompt, the graph's favourite first.
  public let history: [Int32]

  /// A view that the encoder made and sent on.
  public init(vector: [Float], history: [Int32]) {
    self.vector = vector
    self.history = history
  }

  /// The view of somebody with `items`; of more than `historyLength`, those stay that the graph scores highest for the
  /// vector, ties to the smaller index.
  public init(items: [Int32], graph: GraphEmbeddings, historyLength: Int) {
    let columns = graph.items.columns
    var vector = [Float](repeating: 0, count: columns)
    vector.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { graph.foldIn(items: items, into: base) }
    }
    self.vector = vector
    let scored = vector.withUnsafeBufferPointer { buffer -> [(item: Int32, score: Float)] in
      guard let base = buffer.baseAddress else { return [] }
      return items.map { ($0, Accumulate.dotInOrder(columns, base, graph.items.row(Int($0)))) }
    }
    let order = scored.sorted { $0.score != $1.score ? $0.score > $1.score : $0.item < $1.item }
    history = order.prefix(historyLength).map(\.item)
  }
}
