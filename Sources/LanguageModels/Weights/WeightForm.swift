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
    case .int8:
      // Codes of four bits are multiplied as they are: nothing more is lost, and they stay small.
      if [.q4_0, .q4_1, .q4_K].contains(matrix.format) {
        return QuantizedWeight(try QuantizedPanels(matrix, pool: pool), multipliesBytes: true)
      }
      return QuantizedWeight(try QuantizedPanels(roundingToBytes: matrix, pool: pool), multipliesBytes: true)
    }
  }

  /// A weight of panels that keep the checkpoint's bits.
  ///
  /// - Throws: as above.
  package static func make(
    _ panels: QuantizedPanels, precision: Precision, pool: ThreadPool = .serial
  ) throws(GLTAError) -> any FrozenWeight {
    switch precision {
    case .stored: return QuantizedWeight(panels)
    case .int8 where ByteProduct.takes(panels): return QuantizedWeight(panels, multipliesBytes: true)
    case .f32, .bf16, .int8: return try make(BlockMatrix(panels.floats().tensor), precision: precision, pool: pool)
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
  package var byteCount: Int { matrix.byteCount }

  package func copyRow(_ index: Int, into out: UnsafeMutablePointer<Float>) { matrix.copyRow(index, into: out) }
}
