package import Tensors

/// The weights of a Hugging Face directory: `model.safetensors`, or the files that `model.safetensors.index.json` names.
/// f16 and bf16 become f32.
package struct SafetensorsSource: WeightSource {
  package let path: String
  /// The files, opened.
  let files: [SafetensorsFile]
  /// The file of each tensor.
  private let places: [String: Int]
  private let precision: Precision
  private let pool: ThreadPool

  /// Opens the files of a directory and checks them against their index.
  ///
  /// - Parameters:
  ///   - precision: what linear layers are kept in.
  ///   - pool: makes them.
  /// - Throws: `GLTAError.inputOutput` where weights are missing, `.unsupported` where they are in another format,
  ///   `.invalidFile` where a file or the index is damaged or the two do not agree.
  package init(
    directory: HuggingFaceDirectory, precision: Precision = .f32, pool: ThreadPool = .serial
  ) throws(GLTAError) {
    path = directory.path
    self.precision = precision
    self.pool = pool
    guard directory.hasShardedWeights else {
      let file = try directory.openWeights()
      files = [file]
      places = Dictionary(file.names.map { ($0, 0) }) { first, _ in first }
      return
    }
    let index = try ShardIndex(directory: directory.path)
    var files: [SafetensorsFile] = []
    for name in index.files { files.append(try SafetensorsFile(path: directory.path + "/" + name)) }
    for (tensor, place) in index.places where !files[place].contains(tensor) {
      throw GLTAError(
        .invalidFile, "\(index.path) says that \(tensor) is in \(index.files[place]), which does not have it",
        hint: "download the directory again")
    }
    self.files = files
    places = index.places
  }

  package func contains(_ name: String) -> Bool { places[name] != nil }

  /// The file that has a tensor.
  ///
  /// - Throws: `GLTAError.invalidFile` where none has it.
  package func file(of name: String) throws(GLTAError) -> SafetensorsFile {
    guard let place = places[name] else {
      throw GLTAError(
        .invalidFile, "\(path) has no tensor \(name)",
        hint: "it has " + places.keys.sorted().prefix(4).joined(separator: ", ") + ", ...")
    }
    return files[place]
  }

  package func matrix(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> Matrix {
    try file(of: name).matrix(name, rows: rows, columns: columns)
  }

  package func linear(_ name: String, out: Int, in inputs: Int, hasBias: Bool) throws(GLTAError) -> FrozenLinear {
    let name = (weight: name + ".weight", bias: name + ".bias")
    let bias = hasBias ? try vector(name.bias, count: out) : nil
    let tensor = try file(of: name.weight).tensor(name.weight)
    guard tensor.shape == [out, inputs], precision != .f32 else {
      return FrozenLinear(weight: try matrix(name.weight, rows: out, columns: inputs), bias: bias)
    }
    do throws(GLTAError) {
      return FrozenLinear(try WeightForm.make(BlockMatrix(tensor), precision: precision, pool: pool), bias: bias)
    } catch { throw error.at("\(path): \(name.weight)") }
  }

  package func table(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> any EmbeddingTable {
    let tensor = try file(of: name).tensor(name)
    guard tensor.shape == [rows, columns], tensor.dtype == .bf16 || tensor.dtype == .f16 else {
      return try matrix(name, rows: rows, columns: columns)
    }
    return HalfTable(tensor)
  }
}

/// Embeddings of two bytes a number, left in the file's mapping.
private struct HalfTable: EmbeddingTable {
  private let tensor: Tensor
  let rows: Int
  let columns: Int
  var byteCount: Int { tensor.byteCount }

  /// - Parameter tensor: f16 or bf16, of rank two.
  init(_ tensor: Tensor) {
    self.tensor = tensor
    (rows, columns) = (tensor.shape[0], tensor.shape[1])
  }

  func copyRow(_ index: Int, into out: UnsafeMutablePointer<Float>) {
    let bytes = UnsafeRawBufferPointer(rebasing: tensor.bytes[index * columns * 2..<(index + 1) * columns * 2])
    // The rows of a file need not lie at even addresses.
    if tensor.dtype == .bf16 {
      for column in 0..<columns {
        out[column] = BFloat16(bits: bytes.loadUnaligned(fromByteOffset: 2 * column, as: UInt16.self)).float
      }
    } else {
      for column in 0..<columns {
        out[column] = Float(bytes.loadUnaligned(fromByteOffset: 2 * column, as: Float16.self))
      }
    }
  }
}

/// A `model.safetensors.index.json`: which file has which tensor.
private struct ShardIndex {
  /// More files than any model has.
  private static let mostFiles = 4096

  let path: String
  /// Names of files, each once, in order.
  let files: [String]
  /// An index of `files` for each tensor.
  let places: [String: Int]

  init(directory: String) throws(GLTAError) {
    let path = directory + "/model.safetensors.index.json"
    let json = try StrictJSON(path: path)
    func broken(_ what: String) -> GLTAError {
      GLTAError(.invalidFile, "\(path): \(what)", hint: "download the directory again")
    }
    guard let members = json["weight_map"]?.members, !members.isEmpty else {
      throw broken("it has no weight_map of tensors")
    }
    var names: [String: String] = [:]
    for member in members {
      guard let file = member.value.text else { throw broken("the file of \(member.key) is no text") }
      // Names of files come from outside: none may lead out of the directory.
      guard file.hasSuffix(".safetensors"), !file.contains("/"), !file.contains("\\"), !file.contains("\0") else {
        throw broken("\(file.debugDescription) is not the name of a .safetensors file beside it")
      }
      guard names.updateValue(file, forKey: member.key) == nil else { throw broken("\(member.key) stands there twice") }
    }
    let files = Set(names.values).sorted()
    guard files.count <= ShardIndex.mostFiles else {
      throw broken("\(files.count) files, at most \(ShardIndex.mostFiles) are supported")
    }
    self.path = path
    let order = Dictionary(uniqueKeysWithValues: zip(files, files.indices))
    self.files = files
    places = names.compactMapValues { order[$0] }
  }
}
