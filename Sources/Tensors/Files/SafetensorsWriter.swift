/// Writes safetensors files (huggingface/safetensors, README, "Format"): the same bytes for the same tensors, and
/// atomically.
public enum SafetensorsWriter {
  /// Writes tensors in the given order. The header is padded so that data starts at a multiple of 64 bytes; tensors
  /// follow one another without holes, as the format demands.
  ///
  /// - Throws: `GLTAError.inputOutput`; a file that was at `path` is then as it was. `.invalidArgument` for a name twice.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String], to path: String
  ) throws(GLTAError) {
    guard Set(tensors.map(\.name)).count == tensors.count else {
      throw GLTAError(.invalidArgument, "two tensors of one name for \(path)")
    }
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for (name, tensor) in tensors {
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(quoted(name)):{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(offset + tensor.byteCount)]}")
      offset += tensor.byteCount
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    header += [UInt8](
      repeating: 0x20, count: (Storage.alignment - (8 + header.count) % Storage.alignment) % Storage.alignment)
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    try AtomicFile.write(to: path) { (writer) throws(GLTAError) in
      try writer.write(length + header)
      for (_, tensor) in tensors { try writer.write(tensor.bytes) }
    }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
