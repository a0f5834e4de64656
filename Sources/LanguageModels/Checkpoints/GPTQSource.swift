package import Tensors

/// The weights of a directory whose linear layers GPTQ has quantised to four bits; what is in floats stays in floats.
///
/// A layer x has `x.qweight`, i32 [in / 8, out], `x.qzeros`, i32 [groups, out / 8], `x.scales`, f16 [groups, out] and,
/// where inputs were reordered, `x.g_idx`, i32 [in] (AutoGPTQ, `qlinear_cuda_old.py`).
package struct GPTQSource: WeightSource {
  private let floats: SafetensorsSource
  private let settings: GPTQSettings
  private let precision: Precision
  private let pool: ThreadPool

  package var path: String { floats.path }

  /// - Parameter floats: the directory's files.
  package init(
    floats: SafetensorsSource, settings: GPTQSettings, precision: Precision = .stored, pool: ThreadPool = .serial
  ) {
    self.floats = floats
    self.settings = settings
    self.precision = precision
    self.pool = pool
  }

  package func contains(_ name: String) -> Bool {
    if name.hasSuffix(".weight"), floats.contains(name.dropLast(6) + "qweight") { return true }
    guard floats.contains(name) else { return false }
    // Some tools write a bias of zeros for layers that have none.
    guard name.hasSuffix(".bias"), floats.contains(name.dropLast(4) + "qweight") else { return true }
    guard let bias = try? floats.file(of: name).matrix(name) else { return true }
    return bias.elements.contains { $0 != 0 }
  }

  package func matrix(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> Matrix {
    try floats.matrix(name, rows: rows, columns: columns)
  }

  package func table(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> any EmbeddingTable {
    try floats.table(name, rows: rows, columns: columns)
  }

  package func linear(_ name: String, out: Int, in inputs: Int, hasBias: Bool) throws(GLTAError) -> FrozenLinear {
    guard floats.contains(name + ".qweight") else {
      return try floats.linear(name, out: out, in: inputs, hasBias: hasBias)
    }
    let bias = hasBias ? try floats.vector(name + ".bias", count: out) : nil
    return FrozenLinear(try weight(name, out: out, in: inputs), bias: bias)
  }

  private func weight(_ name: String, out: Int, in inputs: Int) throws(GLTAError) -> any FrozenWeight {
    do throws(GLTAError) {
      let codes = try tensor(name + ".qweight")
      let panels = QuantizedPanels(
        try GroupedCodes(
          codes: codes, scales: try scales(name), zeros: try zeros(name, out: out), groups: try groups(name, inputs),
          inputs: inputs, outputs: out), pool: pool)
      codes.releasePages()
      return try WeightForm.make(panels, precision: precision, pool: pool)
    } catch { throw error.at("\(path): \(name)") }
  }

  private func tensor(_ name: String) throws(GLTAError) -> Tensor { try floats.file(of: name).tensor(name) }

  private func integers(_ name: String) throws(GLTAError) -> Tensor {
    let tensor = try tensor(name)
    guard tensor.dtype == .i32 else {
      throw GLTAError(.invalidFile, "\(name) holds \(tensor.dtype.rawValue), expected I32")
    }
    return tensor
  }

  /// Scales as f16: other types are taken where no bit is lost.
  private func scales(_ name: String) throws(GLTAError) -> [UInt16] {
    let tensor = try tensor(name + ".scales")
    guard [.f16, .bf16, .f32].contains(tensor.dtype) else {
      throw GLTAError(.invalidFile, "scales are \(tensor.dtype.rawValue), expected F16")
    }
    var result: [UInt16] = []
    result.reserveCapacity(tensor.count)
    for scale in tensor.floats() {
      let half = Float16(scale)
      guard Float(half) == scale || !scale.isFinite else {
        throw GLTAError(.unsupported, "the scale \(scale) is no f16", hint: "quantise the model with scales of f16")
      }
      result.append(half.bitPattern)
    }
    return result
  }

  /// Zeros of four bits, eight outputs in a word.
  private func zeros(_ name: String, out: Int) throws(GLTAError) -> [UInt8] {
    let tensor = try integers(name + ".qzeros")
    guard tensor.shape.count == 2, tensor.shape[1] == (out + 7) / 8 else {
      throw GLTAError(.invalidFile, "qzeros have the shape \(tensor.shape), expected [groups, \((out + 7) / 8)]")
    }
    let words = tensor.elements(Int32.self)
    let (groups, width) = (tensor.shape[0], tensor.shape[1])
    var result = [UInt8](repeating: 0, count: groups * out)
    for group in 0..<groups {
      for output in 0..<out {
        let word = UInt32(bitPattern: words[group * width + output / 8])
        result[group * out + output] = UInt8(word >> UInt32(4 * (output % 8)) & 15) + settings.zeroOffset
      }
    }
    return result
  }

  private func groups(_ name: String, _ inputs: Int) throws(GLTAError) -> [Int32] {
    guard floats.contains(name + ".g_idx") else {
      let size = settings.groupSize ?? inputs
      return (0..<inputs).map { Int32($0 / size) }
    }
    return try integers(name + ".g_idx").elements(Int32.self)
  }
}
