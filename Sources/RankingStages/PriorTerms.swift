import Foundation
public import Bundles
import Interactions
import LogitsMatching
import Tensors

/// The terms of the prior for one user, each over the whole catalogue with mean 0 and variance 1.
///
/// A term that is the same for all items (no text, no history) stays zero. Sums run in the order of the items, in
/// double precision, so a prior has the same bits whoever asks for it.
public struct PriorTerms: Sendable {
  /// Similarity of user and item in the graph.
  public let graph: [Float]
  /// Cosine of the item's text and the mean text of the user's items.
  public let text: [Float]
  /// log(1 + training users of the item).
  public let popularity: [Float]

  /// The weighted sum, one float an item.
  public func prior(_ weights: BundleManifest.TermWeights) -> [Float] {
    graph.indices.map { index in
      (weights.graph * graph[index]).addingProduct(weights.text, text[index])
        .addingProduct(weights.popularity, popularity[index])
    }
  }

  /// Scales to mean 0 and variance 1 in place.
  static func normalize(_ values: inout [Float]) {
    guard !values.isEmpty else { return }
    let count = Double(values.count)
    var sum: Double = 0
    for value in values { sum += Double(value) }
    let mean = sum / count
    var squares: Double = 0
    for value in values { squares += (Double(value) - mean) * (Double(value) - mean) }
    let deviation = (squares / count).squareRoot()
    guard deviation > 1e-12 else {
      values = [Float](repeating: 0, count: values.count)
      return
    }
    for index in values.indices { values[index] = Float((Double(values[index]) - mean) / deviation) }
  }
}

/// log(1 + x) by the system's mathematics library.
func logOfOnePlus(_ x: Float) -> Float { log1p(x) }
