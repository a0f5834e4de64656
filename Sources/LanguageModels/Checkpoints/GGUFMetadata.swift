public import Tensors

/// What a GGUF file says about its model: values by key, such as `llama.block_count` and `tokenizer.ggml.tokens`.
///
/// Lists stay in the mapping until they are asked for: a vocabulary takes memory where it is used.
public struct GGUFMetadata: Sendable {
  /// Lists within lists, at the most.
  private static let mostNesting = 4

  /// The keys in the order of the file.
  public let keys: [String]
  private let values: [String: Value]
  private let path: String
  private let storage: Storage

  private enum Value: Sendable {
    case integer(Int)
    /// Beyond what `Int` can hold.
    case unsigned(UInt64)
    case float(Double)
    case bool(Bool)
    case string(String)
    case list(of: Kind, count: Int, byteOffset: Int)

    var summary: String {
      switch self {
      case .integer(let value): String(value)
      case .unsigned(let value): String(value)
      case .float(let value): String(value)
      case .bool(let value): String(value)
      case .string(let text): String(text.prefix(80)).debugDescription
      case .list(let kind, let count, _): "a list of \(count) of type \(kind)"
      }
    }
  }

  /// The types of values by their numbers.
  private enum Kind: UInt32, Sendable {
    case u8, i8, u16, i16, u32, i32, f32, bool, string, list, u64, i64, f64

    /// The least bytes of a value.
    var leastBytes: Int {
      switch self {
      case .u8, .i8, .bool: 1
      case .u16, .i16: 2
      case .u32, .i32, .f32: 4
      case .string, .u64, .i64, .f64: 8
      case .list: 12
      }
    }
  }

  init(_ cursor: inout GGUFCursor, count: Int, storage: Storage) throws(GLTAError) {
    path = cursor.path
    self.storage = storage
    var (keys, values): ([String], [String: Value]) = ([], [:])
    for _ in 0..<count {
      let key = try cursor.string("a metadata key")
      guard !key.isEmpty else { throw cursor.broken("a metadata key is empty") }
      let value = try GGUFMetadata.value(&cursor, key)
      guard values.updateValue(value, forKey: key) == nil else { throw cursor.broken("\(key) stands there twice") }
      keys.append(key)
    }
    self.keys = keys
    self.values = values
  }

  private static func kind(_ cursor: inout GGUFCursor, _ key: String) throws(GLTAError) -> Kind {
    let number = try cursor.read(UInt32.self, "the type of \(key)")
    guard let kind = Kind(rawValue: number) else {
      throw cursor.broken("\(key) is of type number \(number), expected 0 to 12")
    }
    return kind
  }

  private static func value(_ cursor: inout GGUFCursor, _ key: String) throws(GLTAError) -> Value {
    let kind = try kind(&cursor, key)
    guard kind == .list else { return try scalar(&cursor, kind, key) }
    let element = try self.kind(&cursor, key)
    let count = try cursor.count(of: element.leastBytes, "the length of \(key)")
    let start = cursor.at
    try skip(&cursor, count, element, key, depth: 1)
    return .list(of: element, count: count, byteOffset: start)
  }

  private static func scalar(_ cursor: inout GGUFCursor, _ kind: Kind, _ key: String) throws(GLTAError) -> Value {
    switch kind {
    case .u8: return .integer(Int(try cursor.read(UInt8.self, key)))
    case .i8: return .integer(Int(try cursor.read(Int8.self, key)))
    case .u16: return .integer(Int(try cursor.read(UInt16.self, key)))
    case .i16: return .integer(Int(try cursor.read(Int16.self, key)))
    case .u32: return .integer(Int(try cursor.read(UInt32.self, key)))
    case .i32: return .integer(Int(try cursor.read(Int32.self, key)))
    case .i64: return .integer(Int(try cursor.read(Int64.self, key)))
    case .u64:
      let value = try cursor.read(UInt64.self, key)
      return Int(exactly: value).map(Value.integer) ?? .unsigned(value)
    case .f32: return .float(Double(Float(bitPattern: try cursor.read(UInt32.self, key))))
    case .f64: return .float(Double(bitPattern: try cursor.read(UInt64.self, key)))
    case .bool:
      let byte = try cursor.read(UInt8.self, key)
      guard byte <= 1 else { throw cursor.broken("\(key) is a bool of value \(byte)") }
      return .bool(byte == 1)
    case .string: return .string(try cursor.string(key))
    case .list: throw cursor.broken("\(key) is a list where a value was expected")
    }
  }

  /// Checks the elements of a list and leaves them where they are.
  private static func skip(
    _ cursor: inout GGUFCursor, _ count: Int, _ kind: Kind, _ key: String, depth: Int
  ) throws(GLTAError) {
    switch kind {
    case .string, .bool: for _ in 0..<count { _ = try scalar(&cursor, kind, key) }
    case .list:
      guard depth < mostNesting else { throw cursor.broken("\(key) is nested deeper than \(mostNesting)") }
      for _ in 0..<count {
        let element = try self.kind(&cursor, key)
        let count = try cursor.count(of: element.leastBytes, "the length of a list in \(key)")
        try skip(&cursor, count, element, key, depth: depth + 1)
      }
    default: try cursor.skip(count * kind.leastBytes, key)
    }
  }

  // MARK: Reading

  /// Whether there is a value.
  public func contains(_ key: String) -> Bool { values[key] != nil }

  /// A text; nil where there is no such key.
  ///
  /// - Throws: `GLTAError.invalidFile` where the value is of another type.
  public func string(_ key: String) throws(GLTAError) -> String? {
    guard let value = values[key] else { return nil }
    guard case .string(let text) = value else { throw mismatch(key, value, "a text") }
    return text
  }

  /// A whole number of any width; nil where there is no such key.
  ///
  /// - Throws: `GLTAError.invalidFile` where the value is of another type or beyond `Int`.
  public func integer(_ key: String) throws(GLTAError) -> Int? {
    guard let value = values[key] else { return nil }
    guard case .integer(let number) = value else { throw mismatch(key, value, "a whole number") }
    return number
  }

  /// A number, whole or not; nil where there is no such key.
  ///
  /// - Throws: `GLTAError.invalidFile` where the value is of another type.
  public func float(_ key: String) throws(GLTAError) -> Double? {
    switch values[key] {
    case nil: return nil
    case .float(let number): return number
    case .integer(let number): return Double(number)
    case let value?: throw mismatch(key, value, "a number")
    }
  }

  /// A truth value; nil where there is no such key.
  ///
  /// - Throws: `GLTAError.invalidFile` where the value is of another type.
  public func bool(_ key: String) throws(GLTAError) -> Bool? {
    guard let value = values[key] else { return nil }
    guard case .bool(let truth) = value else { throw mismatch(key, value, "true or false") }
    return truth
  }

  /// The elements of a list, or 1 for a single value; nil where there is no such key.
  public func count(_ key: String) -> Int? {
    guard let value = values[key] else { return nil }
    guard case .list(_, let count, _) = value else { return 1 }
    return count
  }

  /// A list of texts; nil where there is no such key.
  ///
  /// - Throws: `GLTAError.invalidFile` where the value is of another type.
  public func strings(_ key: String) throws(GLTAError) -> [String]? {
    try list(key, "a list of texts") { (value) -> String? in
      guard case .string(let text) = value else { return nil }
      return text
    }
  }

  /// A list of whole numbers of any width; nil where there is no such key.
  ///
  /// - Throws: `GLTAError.invalidFile` where the value is of another type.
  public func integers(_ key: String) throws(GLTAError) -> [Int]? {
    try list(key, "a list of whole numbers") { (value) -> Int? in
      guard case .integer(let number) = value else { return nil }
      return number
    }
  }

  /// A list of numbers, whole or not, rounded to f32; nil where there is no such key.
  ///
  /// - Throws: `GLTAError.invalidFile` where the value is of another type.
  public func floats(_ key: String) throws(GLTAError) -> [Float]? {
    try list(key, "a list of numbers") { (value) -> Float? in
      switch value {
      case .float(let number): Float(number)
      case .integer(let number): Float(number)
      default: nil
      }
    }
  }

  private func list<Element>(
    _ key: String, _ expected: String, _ convert: (Value) -> Element?
  ) throws(GLTAError) -> [Element]? {
    guard let value = values[key] else { return nil }
    guard case .list(let kind, let count, let offset) = value else { throw mismatch(key, value, expected) }
    let bytes = UnsafeRawBufferPointer(start: storage.base + offset, count: storage.byteCount - offset)
    var cursor = GGUFCursor(path: path, bytes: bytes)
    var elements: [Element] = []
    guard kind != .list else { throw mismatch(key, value, expected) }
    elements.reserveCapacity(count)
    for _ in 0..<count {
      guard let element = convert(try GGUFMetadata.scalar(&cursor, kind, key)) else {
        throw mismatch(key, value, expected)
      }
      elements.append(element)
    }
    withExtendedLifetime(storage) {}
    return elements
  }

  private func mismatch(_ key: String, _ value: Value, _ expected: String) -> GLTAError {
    GLTAError(.invalidFile, "\(path): \(key) is \(value.summary), expected \(expected)")
  }

  /// What offsets of tensors are multiples of.
  func alignment() throws(GLTAError) -> Int {
    let alignment = try integer("general.alignment") ?? 32
    guard alignment > 0, alignment <= 1 << 20, alignment & (alignment - 1) == 0 else {
      throw GLTAError(
        .invalidFile, "\(path): general.alignment is \(alignment), expected a power of two up to 2^20",
        hint: "download or copy it again")
    }
    return alignment
  }
}
