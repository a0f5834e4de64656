/// A safetensors file, memory-mapped and checked against every rule of the format (huggingface/safetensors, README,
/// "Format"): header length and JSON, known dtypes, shapes and offsets that agree, no hole, no overlap, no duplicate.
///
/// Tensors are views of the mapping. The file may be replaced by renaming another over it, never rewritten in place.
public struct SafetensorsFile: Sendable {
  /// Bytes of header that are accepted, as in the reference implementation.
  public static let maximumHeader = 100_000_000

  private struct Entry: Sendable {
    let dtype: String
    let shape: [Int]
    let byteOffset: Int
  }

  /// Bytes of one element of each dtype that the format has; some of them are not computed in.
  private static let itemSizes: [String: Int] = [
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4,
    "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
  ]

  /// The path that the file was opened by, as it was given.
  public let path: String
  /// The `__metadata__` of the header: texts by name; empty where it has none.
  public let metadata: [String: String]
  /// The tensors in the order of their data.
  public let names: [String]
  private let entries: [String: Entry]
  private let storage: Storage

  /// Maps and checks a file.
  ///
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.invalidFile` for the first rule that it breaks.
  public init(path: String) throws(GLTAError) {
    let storage = try Storage.mapping(path: path)
    let bytes = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
    let reader = HeaderReader(path: path)
    let headerCount = try reader.headerCount(bytes)
    let members = try reader.members(UnsafeRawBufferPointer(rebasing: bytes[8..<8 + headerCount]))
    let dataCount = bytes.count - 8 - headerCount

    var metadata: [String: String] = [:]
    var found: [(name: String, range: Range<Int>, entry: Entry)] = []
    for member in members {
      let (name, value) = (member.key, member.value)
      if name == "__metadata__" {
        metadata = try reader.metadata(value)
      } else {
        let (dtype, shape, range) = try reader.tensor(name, value, itemSizes: Self.itemSizes, dataCount: dataCount)
        found.append((name, range, Entry(dtype: dtype, shape: shape, byteOffset: 8 + headerCount + range.lowerBound)))
      }
    }
    found.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    try reader.checkTiling(found.map { ($0.name, $0.range) }, dataCount: dataCount)

    self.path = path
    self.metadata = metadata
    self.storage = storage
    names = found.map(\.name)
    entries = Dictionary(found.map { ($0.name, $0.entry) }) { first, _ in first }
    // JSON tells keys apart by their bytes, Swift by what they mean: one accent can be written in two ways.
    guard entries.count == found.count else { throw reader.broken("two tensors have the same name") }
  }

  /// Whether the file has a tensor of that name.
  public func contains(_ name: String) -> Bool { entries[name] != nil }

  /// The dtype in the format's words and the shape of a tensor, also where we do not compute in the dtype; nil where
  /// there is no tensor of that name.
  public func shape(of name: String) -> (dtype: String, shape: [Int])? { entries[name].map { ($0.dtype, $0.shape) } }

  /// A tensor as a view of the mapping.
  ///
  /// - Throws: `GLTAError.invalidFile` where there is none of that name, `.unsupported` for a dtype that is not a `DType`.
  public func tensor(_ name: String) throws(GLTAError) -> Tensor {
    guard let entry = entries[name] else {
      throw GLTAError(
        .invalidFile, "\(path) has no tensor \(name)",
        hint: "it has " + names.prefix(4).joined(separator: ", ") + ", ...")
    }
    guard let dtype = DType(rawValue: entry.dtype) else {
      throw GLTAError(
        .unsupported,
        "\(path): \(name) is of dtype \(entry.dtype); supported are "
          + DType.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return Tensor(storage: storage, byteOffset: entry.byteOffset, dtype: dtype, shape: entry.shape)
  }

  /// A tensor of floats as f32: the mapping itself where dtype and address allow, a converted copy otherwise. A vector is
  /// one row.
  ///
  /// - Parameters:
  ///   - rows, columns: what the shape has to be; nil = any.
  /// - Throws: `GLTAError.invalidFile` for a missing name or another shape, `.unsupported` for integers.
  public func matrix(_ name: String, rows: Int? = nil, columns: Int? = nil) throws(GLTAError) -> Matrix {
    let tensor = try tensor(name)
    guard [.f32, .f16, .bf16].contains(tensor.dtype) else {
      throw GLTAError(.unsupported, "\(path): \(name) holds \(tensor.dtype.rawValue), expected floats")
    }
    guard (1...2).contains(tensor.shape.count) else {
      throw GLTAError(.invalidFile, "\(path): \(name) has the shape \(tensor.shape), expected a matrix or a vector")
    }
    let shape = tensor.shape.count == 1 ? [1, tensor.shape[0]] : tensor.shape
    guard rows ?? shape[0] == shape[0], columns ?? shape[1] == shape[1] else {
      let expected = "\(rows.map(String.init) ?? "any") x \(columns.map(String.init) ?? "any")"
      throw GLTAError(.invalidFile, "\(path): \(name) has the shape \(tensor.shape), expected \(expected)")
    }
    return tensor.reshaped(shape).matrix()
  }

  /// A tensor of i32, or of i64 whose values fit, as indices.
  ///
  /// - Throws: `GLTAError.invalidFile` for a missing name, another dtype or a value that does not fit.
  public func indices(_ name: String) throws(GLTAError) -> [Int32] {
    let tensor = try tensor(name)
    switch tensor.dtype {
    case .i32: return tensor.elements(Int32.self)
    case .i64:
      let wide = tensor.elements(Int64.self)
      let narrow = wide.compactMap { Int32(exactly: $0) }
      guard narrow.count == wide.count else {
        throw GLTAError(.invalidFile, "\(path): \(name) has a value beyond 32 bits")
      }
      return narrow
    default:
      throw GLTAError(.invalidFile, "\(path): \(name) holds \(tensor.dtype.rawValue), expected I32 or I64")
    }
  }
}

/// The rules of the header, one function each.
private struct HeaderReader {
  let path: String

  func broken(_ what: String) -> GLTAError {
    GLTAError(.invalidFile, "\(path) is not a safetensors file: \(what)", hint: "download or copy it again")
  }

  func headerCount(_ bytes: UnsafeRawBufferPointer) throws(GLTAError) -> Int {
    guard bytes.count >= 8 else { throw broken("\(bytes.count) bytes, expected at least 8") }
    let count = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard count <= SafetensorsFile.maximumHeader else {
      throw broken("a header of \(count) bytes, at most \(SafetensorsFile.maximumHeader) are allowed")
    }
    guard Int(count) <= bytes.count - 8 else {
      throw broken("a header of \(count) bytes in a file of \(bytes.count); it is truncated")
    }
    return Int(count)
  }

  func members(_ header: UnsafeRawBufferPointer) throws(GLTAError) -> [StrictJSON.Member] {
    guard header.first == UInt8(ascii: "{") else { throw broken("its header does not start with {") }
    let value: StrictJSON
    do throws(StrictJSON.SyntaxError) {
      value = try StrictJSON(parsing: header)
    } catch { throw broken("its header is not valid JSON at byte \(error.offset): \(error.reason)") }
    guard case .object(let members) = value else { throw broken("its header is no object") }
    return members
  }

  func metadata(_ value: StrictJSON) throws(GLTAError) -> [String: String] {
    guard case .object(let members) = value else { throw broken("__metadata__ is no object") }
    var metadata: [String: String] = [:]
    for member in members {
      guard case .string(let text) = member.value else { throw broken("__metadata__.\(member.key) is no string") }
      metadata[member.key] = text
    }
    return metadata
  }

  func tensor(
    _ name: String, _ value: StrictJSON, itemSizes: [String: Int], dataCount: Int
  ) throws(GLTAError) -> (dtype: String, shape: [Int], range: Range<Int>) {
    guard case .object(let members) = value, members.count == 3 else {
      throw broken("\(name) does not have exactly dtype, shape and data_offsets")
    }
    let fields = Dictionary(members.map { ($0.key, $0.value) }) { first, _ in first }
    guard case .string(let dtype)? = fields["dtype"], let itemSize = itemSizes[dtype] else {
      throw broken("\(name) has no dtype of the format")
    }
    guard case .array(let extents)? = fields["shape"] else { throw broken("\(name) has no shape") }
    let shape = extents.compactMap(\.unsigned)
    guard shape.count == extents.count, shape.count <= 16 else {
      throw broken("the shape of \(name) is not a list of at most 16 whole numbers")
    }
    var byteCount = itemSize
    for extent in shape {
      let (product, overflow) = byteCount.multipliedReportingOverflow(by: extent)
      guard !overflow else { throw broken("the shape of \(name) is too large") }
      byteCount = product
    }
    guard case .array(let offsets)? = fields["data_offsets"], offsets.count == 2, let begin = offsets[0].unsigned,
      let end = offsets[1].unsigned, begin <= end
    else { throw broken("data_offsets of \(name) are not two ascending whole numbers") }
    guard end <= dataCount else {
      throw broken("\(name) ends at byte \(end) of \(dataCount) bytes of data; the file is truncated")
    }
    guard end - begin == byteCount else {
      throw broken("\(name) has \(end - begin) bytes, its dtype and shape need \(byteCount)")
    }
    return (dtype, shape, begin..<end)
  }

  func checkTiling(_ ranges: [(name: String, range: Range<Int>)], dataCount: Int) throws(GLTAError) {
    var end = 0
    for (name, range) in ranges {
      guard range.lowerBound >= end else { throw broken("\(name) overlaps the tensor before it") }
      guard range.lowerBound == end else {
        throw broken("there is a hole of \(range.lowerBound - end) bytes before \(name)")
      }
      end = range.upperBound
    }
    guard end == dataCount else { throw broken("\(dataCount - end) bytes follow the last tensor") }
  }
}
