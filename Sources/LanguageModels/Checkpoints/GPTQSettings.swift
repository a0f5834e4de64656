package import Tensors

/// How a checkpoint was quantised by GPTQ: `quantization_config` of its `config.json`, or `quantize_config.json`.
package struct GPTQSettings: Sendable, Equatable {
  /// Inputs that share a scale; nil: all.
  package var groupSize: Int?
  /// What is added to a stored zero: 1 in the first version of the format, 0 in the second.
  package var zeroOffset: UInt8

  /// Settings from their numbers.
  package init(groupSize: Int?, zeroOffset: UInt8 = 1) {
    self.groupSize = groupSize
    self.zeroOffset = zeroOffset
  }

  /// Reads what a directory says; nil where its weights are not quantised.
  ///
  /// - Throws: `GLTAError.unsupported` for another method or another number of bits, `.invalidFile` for values that make no
  ///   sense.
  package init?(directory: HuggingFaceDirectory) throws(GLTAError) {
    let config = directory.path + "/config.json"
    if let json = try StrictJSON(path: config)["quantization_config"], json.members != nil {
      try self.init(json, path: config)
    } else if directory.has("quantize_config.json") {
      let path = directory.path + "/quantize_config.json"
      try self.init(StrictJSON(path: path), path: path)
    } else {
      return nil
    }
  }

  private init(_ json: StrictJSON, path: String) throws(GLTAError) {
    func unsupported(_ what: String) -> GLTAError {
      GLTAError(
        .unsupported, "\(path): \(what)", hint: "take a GGUF file, or the checkpoint that was not quantised")
    }
    // quantize_config.json has no method: only GPTQ has such a file.
    let method = json["quant_method"]?.text ?? "gptq"
    guard method == "gptq" else { throw unsupported("the weights are quantised by \(method), supported is gptq") }
    guard let bits = json["bits"]?.unsigned else {
      throw GLTAError(.invalidFile, "\(path): bits is \(json["bits"]?.summary ?? "missing"), expected 4")
    }
    guard bits == 4 else { throw unsupported("numbers have \(bits) bits, supported are 4") }
    switch json["checkpoint_format"]?.text ?? "gptq" {
    case "gptq": zeroOffset = 1
    case "gptq_v2": zeroOffset = 0
    case let format: throw unsupported("checkpoint_format is \(format), supported are gptq and gptq_v2")
    }
    switch json["group_size"] {
    case nil: groupSize = 128
    case .number("-1"): groupSize = nil
    case let value?:
      guard let size = value.unsigned, size > 0, size <= 1 << 20 else {
        throw GLTAError(.invalidFile, "\(path): group_size is \(value.summary), expected -1 or a positive number")
      }
      groupSize = size
    }
  }
}
