import Foundation
import Synchronization
import Tensors

/// The cosines and sines of a model's positions, made when they are first asked for.
final class RotaryTable: Sendable {
  private let configuration: DecoderConfiguration
  /// Rows for the first positions. Where angles depend on the length of the sequence, those of `length`.
  private let cache: Mutex<(table: Matrix, length: Int)>

  init(_ configuration: DecoderConfiguration) {
    self.configuration = configuration
    cache = Mutex((Matrix(rows: 0, columns: configuration.headColumns), 0))
  }

  /// At least `count` x headColumns: a row for each position, cosines first.
  ///
  /// - Parameter length: of the sequence, which `RotaryScaling.dynamic` depends on.
  func angles(_ count: Int, length: Int) -> Matrix {
    let length = max(length, configuration.maximumPositions)
    let isFixed = if case .dynamic = configuration.rotaryScaling { false } else { true }
    return cache.withLock { cache in
      if cache.table.rows >= count, isFixed || cache.length == length { return cache.table }
      // Twice what is there: generation asks for one position more at a time.
      let rows = min(max(count, 2 * cache.table.rows, 256), max(count, configuration.maximumLength))
      cache = (make(rows, length: length), length)
      return cache.table
    }
  }

  private func make(_ rows: Int, length: Int) -> Matrix {
    let half = configuration.headColumns / 2
    let frequencies = configuration.rotaryScaling.frequencies(
      base: configuration.rotaryBase, headColumns: configuration.headColumns, length: length,
      positions: configuration.maximumPositions)
    let factor = configuration.rotaryScaling.attentionFactor
    let table = Matrix(rows: rows, columns: configuration.headColumns)
    for position in 0..<rows {
      let row = table.row(position)
      for (pair, frequency) in frequencies.enumerated() {
        // The product in f32, as the models were trained with it.
        let angle = Double(Float(position) * frequency)
        row[pair] = Float(cos(angle) * factor)
        row[half + pair] = Float(sin(angle) * factor)
      }
    }
    return table
  }
}
