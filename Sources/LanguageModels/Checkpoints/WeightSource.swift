package import Tensors

/// Where the weights of a model come from, whatever the file's format: tensors by the names that Hugging Face gives
/// them, such as `model.layers.0.self_attn.q_proj.weight`.
package protocol WeightSource: Sendable {
  /// What messages call it: a path.
  var path: String { get }

  /// Whether there is a tensor of that name, or what stands for it: `x.weight` also where `x` is quantised.
  func contains(_ name: String) -> Bool

  /// A tensor of floats as f32, `rows` x `columns`.
  ///
  /// - Throws: `GLTAError.invalidFile` for a missing name or another shape, `.unsupported` for another dtype.
  func matrix(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> Matrix

  /// A vector of floats as f32, 1 x `count`.
  ///
  /// - Throws: as `matrix`.
  func vector(_ name: String, count: Int) throws(GLTAError) -> Matrix

  /// A table of which rows are read by their index, kept as the file has it.
  ///
  /// - Throws: as `matrix`.
  func table(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> any EmbeddingTable

  /// A linear layer in the form that the source keeps weights in.
  ///
  /// - Parameters:
  ///   - name: without `.weight` and `.bias`.
  ///   - hasBias: whether the layer has a bias; where it has none, none is looked for.
  /// - Throws: as `matrix`.
  func linear(_ name: String, out: Int, in inputs: Int, hasBias: Bool) throws(GLTAError) -> FrozenLinear
}

extension WeightSource {
  package func vector(_ name: String, count: Int) throws(GLTAError) -> Matrix {
    try matrix(name, rows: 1, columns: count)
  }

  package func table(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> any EmbeddingTable {
    try matrix(name, rows: rows, columns: columns)
  }

  package func linear(_ name: String, out: Int, in inputs: Int, hasBias: Bool) throws(GLTAError) -> FrozenLinear {
    FrozenLinear(
      weight: try matrix(name + ".weight", rows: out, columns: inputs),
      bias: hasBias ? try vector(name + ".bias", count: out) : nil)
  }
}

/// Rows that are read one by one: token embeddings, in whatever form they are kept.
package protocol EmbeddingTable: Sendable {
  /// Entries.
  var rows: Int { get }
  /// Floats of an entry.
  var columns: Int { get }
  /// Bytes that the table takes.
  var byteCount: Int { get }

  /// Writes an entry as f32.
  ///
  /// - Precondition: 0 <= index < rows.
  func copyRow(_ index: Int, into out: UnsafeMutablePointer<Float>)
}

extension Matrix: EmbeddingTable {
  package var byteCount: Int { count * MemoryLayout<Float>.stride }

  package func copyRow(_ index: Int, into out: UnsafeMutablePointer<Float>) {
    out.update(from: row(index), count: columns)
  }
}
