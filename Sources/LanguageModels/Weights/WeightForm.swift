package import Tensors

/// Making weights of a precision from matrices as files have them.
package enum WeightForm {
  /// A weight of the rows of `matrix`, `[outputs, inputs]`. Pages of the file that are no longer needed are let go of.
  ///
  /// - Throws: `GLTAError.invalidFile` where a scale is no finite number, or a number too large to be rounded to bytes.
  package static func make(
    _ matrix: BlockMatrix, precision: Precision, pool: ThreadPool = .serial
  ) throws(GLTAError) -> any FrozenWeight {
    defer { matrix.releasePages() }
    switch precision {
    case .stored where matrix.format != .f32: return QuantizedWeight(try QuantizedPanels(matrix, pool: pool))
    case .stored, .f32: return PackedWeight(matrix.floats(pool: pool))
    case .bf16: return QuantizedWeight(QuantizedPanels(roundingToBF16: matrix, pool: pool))
    case .int8: return ByteWeight(try QuantizedPanels(roundingToBytes: matrix, pool: pool))
    }
  }
}

/// Embeddings in the blocks of a file: rows become floats when they are read.
package struct BlockTable: EmbeddingTable {
  private let matrix: BlockMatrix

  /// A table of the rows of a matrix.
  package init(_ matrix: BlockMatrix) { self.matrix = matrix }

  package var rows: Int { matrix.rows }
  package var columns: Int { matrix.columns }

  package func copyRow(_ index: Int, into out: UnsafeMutablePointer<Float>) { matrix.copyRow(index, into: out) }
}
