public import Tensors

/// A GGUF file, version 2 or 3, little-endian, memory-mapped and checked (ggml-org/ggml, docs/gguf.md): known types, every
/// length and offset within the file, alignment, no overlap, no name twice.
///
/// Tensors are views of the mapping. The file may be replaced by renaming another over it, never rewritten in place.
public struct GGUFFile: Sendable {
  /// The path that the file was opened by, as it was given.
  public let path: String
  /// The version of the format: 2 or 3.
  public let version: Int
  /// What tensors' offsets are multiples of, in bytes.
  public let alignment: Int
  /// Everything that is said about the model.
  public let metadata: GGUFMetadata
  /// The tensors in the order of their data.
  public let names: [String]
  private let entries: [String: GGUFTensorEntry]
  private let storage: Storage

  /// Maps and checks a file.
  ///
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.unsupported` for another version, byte order or unknown
  ///   types, `.invalidFile` for the first rule that it breaks.
  public init(path: String) throws(GLTAError) {
    let storage = try Storage.mapping(path: path)
    var cursor = GGUFCursor(path: path, bytes: UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount))
    let header = try GGUFHeader(&cursor)
    let metadata = try GGUFMetadata(&cursor, count: header.metadataCount, storage: storage)
    let alignment = try metadata.alignment()
    var found: [GGUFTensorEntry] = []
    found.reserveCapacity(header.tensorCount)
    for _ in 0..<header.tensorCount { found.append(try GGUFTensorEntry(&cursor)) }
    let entries = try GGUFTensorEntry.place(found, after: cursor, alignment: alignment)
    self.path = path
    self.storage = storage
    self.metadata = metadata
    self.alignment = alignment
    version = header.version
    names = entries.map(\.name)
    self.entries = Dictionary(entries.map { ($0.name, $0) }) { first, _ in first }
    // Swift tells names apart by what they mean: one accent can be written in two ways.
    guard self.entries.count == entries.count else { throw cursor.broken("two tensors have the same name") }
    withExtendedLifetime(storage) {}
  }

  /// Whether a file starts as a GGUF file does.
  public static func isGGUF(path: String) -> Bool {
    guard let storage = try? Storage.mapping(path: path), storage.byteCount >= 4 else { return false }
    return UnsafeRawPointer(storage.base).loadUnaligned(as: UInt32.self).littleEndian == GGUFHeader.magic
  }

  /// Whether the file has a tensor of that name.
  public func contains(_ name: String) -> Bool { entries[name] != nil }

  /// The type in the format's words and the shape of a tensor, outermost axis first, also where we do not compute in the
  /// type; nil where there is no tensor of that name.
  public func shape(of name: String) -> (type: String, shape: [Int])? {
    entries[name].map { ($0.type.name, $0.shape) }
  }

  /// A matrix as it is stored. A vector is one row.
  ///
  /// - Parameters:
  ///   - rows, columns: what the shape has to be; nil = any.
  /// - Throws: `GLTAError.invalidFile` where there is none of that name or its shape is another, `.unsupported` for a type
  ///   that is not a `BlockFormat`.
  package func blocks(_ name: String, rows: Int? = nil, columns: Int? = nil) throws(GLTAError) -> BlockMatrix {
    guard let entry = entries[name] else {
      throw GLTAError(
        .invalidFile, "\(path) has no tensor \(name)",
        hint: "it has " + names.prefix(4).joined(separator: ", ") + ", ...")
    }
    guard let format = BlockFormat(rawValue: entry.type.name) else {
      throw GLTAError(
        .unsupported, "\(path): \(name) is of type \(entry.type.name)",
        hint: "supported are " + BlockFormat.allCases.map(\.rawValue).joined(separator: ", ")
          + "; `llama-quantize` makes such files")
    }
    let shape = entry.shape.count == 1 ? [1, entry.shape[0]] : entry.shape
    guard shape.count == 2, rows ?? shape[0] == shape[0], columns ?? shape[1] == shape[1] else {
      let expected = "\(rows.map(String.init) ?? "any") x \(columns.map(String.init) ?? "any")"
      throw GLTAError(.invalidFile, "\(path): \(name) has the shape \(entry.shape), expected \(expected)")
    }
    do throws(GLTAError) {
      return try BlockMatrix(format, rows: shape[0], columns: shape[1], storage: storage, byteOffset: entry.byteOffset)
    } catch { throw GLTAError(error.code, "\(path): \(name): \(error.message)", hint: error.hint) }
  }

  /// A tensor as f32: the mapping itself where it is so stored and its address allows, a converted copy otherwise. A
  /// vector is one row.
  ///
  /// - Throws: `GLTAError.invalidFile` where there is none of that name or its shape is another, `.unsupported` for a type
  ///   that we do not read.
  public func matrix(_ name: String, rows: Int? = nil, columns: Int? = nil) throws(GLTAError) -> Matrix {
    try blocks(name, rows: rows, columns: columns).floats()
  }
}
