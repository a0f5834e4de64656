import Tensors

/// Reading what may or may not be there.
extension StrictJSON {
  /// Reads a file.
  ///
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.invalidFile` with the place where it is no JSON.
  init(path: String) throws(GLTAError) {
    let storage = try Storage.mapping(path: path)
    let bytes = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
    do throws(SyntaxError) {
      self = try StrictJSON(parsing: bytes)
    } catch {
      let line = bytes.prefix(error.offset).count { $0 == UInt8(ascii: "\n") } + 1
      throw GLTAError(
        .invalidFile, "\(path), line \(line), byte \(error.offset): not JSON: \(error.reason)",
        hint: "download or copy it again")
    }
    withExtendedLifetime(storage) {}
  }

  var members: [Member]? {
    guard case .object(let members) = self else { return nil }
    return members
  }

  var elements: [StrictJSON]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }

  var text: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  var boolean: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  var isNull: Bool {
    guard case .null = self else { return false }
    return true
  }

  /// A number, whole or not.
  var double: Double? {
    guard case .number(let text) = self else { return nil }
    return Double(text)
  }

  subscript(key: String) -> StrictJSON? { members?.first { $0.key == key }?.value }

  /// The value in a few words, for messages.
  var summary: String {
    switch self {
    case .object: "an object"
    case .array: "a list"
    case .string(let text): text.debugDescription
    case .number(let text): text
    case .bool(let value): String(value)
    case .null: "null"
    }
  }
}
