import Foundation
import Tensors

/// The lines of a text file and the fields of a line, with errors that say where.
struct TextTable {
  /// A place in the table, at the start of a line.
  struct Cursor {
    fileprivate var offset = 0
    /// The number of the line, from 1.
    fileprivate(set) var line = 1
  }

  let path: String
  private let bytes: [UInt8]
  private let isLatin1: Bool

  /// Reads a file, plain or gz. A byte order mark is left out.
  ///
  /// - Parameters:
  ///   - latin1: the encoding of files from before UTF-8; such a file that is valid UTF-8 is read as that.
  ///   - mayBeEmpty: whether a file without a line will do.
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.invalidFile` where the gz stream is damaged, where text is
  ///   not UTF-8 (replaced bytes would make one id of two) and where there is no line.
  init(path: String, latin1: Bool = false, mayBeEmpty: Bool = false) throws(GLTAError) {
    self.path = path
    bytes = TextTable.withoutMark(try TextFile.read(path))
    let isUTF8 = String(validating: bytes, as: UTF8.self) != nil
    isLatin1 = latin1 && !isUTF8
    if !isUTF8 && !latin1 { throw encodingError() }
    var cursor = Cursor()
    if !mayBeEmpty && nextLine(&cursor) == nil { throw GLTAError(.invalidFile, "\(path) is empty") }
  }

  /// The first line of a file, to see what it is; empty where it cannot be read. Nothing is checked.
  init(headOf path: String) {
    self.path = path
    let file = FileHandle(forReadingAtPath: path)
    let head = TextTable.withoutMark([UInt8]((try? file?.read(upToCount: 1 << 14)) ?? Data()))
    bytes = Array(head.prefix { $0 != 0x0A })
    isLatin1 = false
  }

  private static func withoutMark(_ bytes: [UInt8]) -> [UInt8] {
    bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
  }

  private func encodingError() -> GLTAError {
    var cursor = Cursor()
    while let (line, number) = nextLine(&cursor) {
      guard String(validating: line, as: UTF8.self) == nil else { continue }
      return error(
        "the text is not UTF-8", number, hint: "convert the file, for instance from Latin-1: iconv -f latin1 -t utf-8")
    }
    return GLTAError(.invalidFile, "\(path) is not UTF-8")
  }

  // MARK: Lines

  /// The next line that is not empty, as a range of bytes, and its number; nil at the end.
  func nextLine(_ cursor: inout Cursor) -> (line: ArraySlice<UInt8>, number: Int)? {
    while cursor.offset < bytes.count {
      let (start, number) = (cursor.offset, cursor.line)
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      cursor.offset = end + 1
      cursor.line += 1
      let last = end > start && bytes[end - 1] == 0x0D ? end - 1 : end
      if last > start { return (bytes[start..<last], number) }
    }
    return nil
  }

  /// Calls `body` with each line that is not empty, from a place on.
  func forEachLine(
    from start: Cursor = Cursor(), _ body: (_ line: ArraySlice<UInt8>, _ number: Int) throws(GLTAError) -> Void
  ) throws(GLTAError) {
    var cursor = start
    while let (line, number) = nextLine(&cursor) { try body(line, number) }
  }

  /// A run of bytes as text.
  func text(_ field: ArraySlice<UInt8>) -> String {
    if isLatin1 { return String(String.UnicodeScalarView(field.map { Unicode.Scalar($0) })) }
    return String(decoding: field, as: UTF8.self)
  }

  /// The fields of a line between separators, which may be several bytes.
  func fields(_ line: ArraySlice<UInt8>, separator: [UInt8]) -> [ArraySlice<UInt8>] {
    var fields: [ArraySlice<UInt8>] = []
    var start = line.startIndex
    var at = start
    let last = line.endIndex - separator.count
    while at <= last {
      if line[at] == separator[0] && (separator.count == 1 || line[at..<at + separator.count].elementsEqual(separator))
      {
        fields.append(line[start..<at])
        at += separator.count
        start = at
      } else {
        at += 1
      }
    }
    fields.append(line[start...])
    return fields
  }

  // MARK: Quoted records

  /// The fields of the next record of CSV (RFC 4180) that is not an empty line, and the number of its first line; nil at
  /// the end. A quoted field may hold separators and line ends.
  func nextRecord(
    _ cursor: inout Cursor, separator: UInt8
  ) throws(GLTAError) -> (fields: [String], number: Int)? {
    let quote = UInt8(ascii: "\"")
    while cursor.offset < bytes.count {
      let number = cursor.line
      var fields: [String] = []
      var isEmpty = true
      while true {
        var field: [UInt8] = []
        if cursor.offset < bytes.count, bytes[cursor.offset] == quote {
          isEmpty = false
          field = try quotedField(&cursor)
          guard isAtLineEnd(cursor.offset) || bytes[cursor.offset] == separator else {
            throw error("something follows a quoted field", cursor.line)
          }
        } else {
          let start = cursor.offset
          while !isAtLineEnd(cursor.offset), bytes[cursor.offset] != separator { cursor.offset += 1 }
          field = Array(bytes[start..<cursor.offset])
        }
        fields.append(text(field[...]))
        guard !isAtLineEnd(cursor.offset) else { break }
        isEmpty = false
        cursor.offset += 1
      }
      if isEmpty { isEmpty = fields[0].isEmpty }
      if cursor.offset < bytes.count, bytes[cursor.offset] == 0x0D { cursor.offset += 1 }
      cursor.offset += 1
      cursor.line += 1
      if !isEmpty { return (fields, number) }
    }
    return nil
  }

  /// Whether a line ends at an offset: at LF, at CR before LF or the end, at the end.
  private func isAtLineEnd(_ offset: Int) -> Bool {
    guard offset < bytes.count, bytes[offset] != 0x0A else { return true }
    return bytes[offset] == 0x0D && (offset + 1 == bytes.count || bytes[offset + 1] == 0x0A)
  }

  /// The content of the quoted field that starts at a cursor, which moves behind it.
  private func quotedField(_ cursor: inout Cursor) throws(GLTAError) -> [UInt8] {
    let quote = UInt8(ascii: "\"")
    let opened = cursor.line
    var field: [UInt8] = []
    cursor.offset += 1
    while cursor.offset < bytes.count {
      let byte = bytes[cursor.offset]
      cursor.offset += 1
      if byte == quote {
        guard cursor.offset < bytes.count, bytes[cursor.offset] == quote else { return field }
        cursor.offset += 1
      } else if byte == 0x0A {
        cursor.line += 1
      }
      field.append(byte)
    }
    throw error("a quoted field does not end", opened)
  }

  // MARK: Numbers

  /// A rating; nil where the field is empty.
  ///
  /// - Throws: `GLTAError.invalidFile` for anything but a decimal number that single precision can hold.
  func rating(_ field: String, _ line: Int) throws(GLTAError) -> Float? {
    let text = TextTable.trimmed(field)
    if text.isEmpty { return nil }
    guard let value = TextTable.decimal(text).map({ Float($0) }), value.isFinite else {
      throw error("the rating is \"\(text)\", expected a decimal number of ordinary size", line)
    }
    return value
  }

  /// A time; nil where the field is empty.
  ///
  /// - Throws: `GLTAError.invalidFile` for anything but a number of seconds that fits 64 bits.
  func time(_ field: String, _ line: Int) throws(GLTAError) -> Int64? {
    let text = TextTable.trimmed(field)
    if text.isEmpty { return nil }
    // Whole numbers first: a Double holds only 53 bits.
    let value = Int64(text) ?? TextTable.decimal(text).flatMap { Int64(exactly: $0.rounded()) }
    guard let value, value != InteractionTable.noTime else {
      throw error("the time is \"\(text)\", expected a number of seconds within 64 bits", line)
    }
    return value
  }

  /// Whether a field is a decimal number of any size, or empty.
  static func isNumeric(_ field: String) -> Bool {
    let text = trimmed(field)
    return text.isEmpty || decimal(text) != nil
  }

  private static func trimmed(_ text: String) -> Substring {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    let bytes = text.utf8
    guard let first = bytes.firstIndex(where: { !isBlank($0) }), let last = bytes.lastIndex(where: { !isBlank($0) })
    else { return "" }
    return text[first..<bytes.index(after: last)]
  }

  /// The value of digits with sign, point and exponent; infinite where it is too large. `Double` alone takes "0x10" and
  /// "nan" as well.
  private static func decimal(_ text: Substring) -> Double? {
    let isPart = { (byte: UInt8) in (0x30...0x39).contains(byte) || "+-.eE".utf8.contains(byte) }
    return text.utf8.allSatisfy(isPart) ? Double(text) : nil
  }

  // MARK: Errors

  /// An error at a line. Of what is too long to read, as a file of another kind may well be, the ends are shown.
  func error(_ what: String, _ line: Int, hint: String? = nil) -> GLTAError {
    let shown = what.utf8.count > 1_000 ? "\(what.prefix(300)) ... \(what.suffix(200))" : what
    return GLTAError(.invalidFile, "\(path), line \(line): \(shown)", hint: hint)
  }

  /// The error for a wrong number of fields.
  func fieldError(found: Int, expected: String, _ line: Int) -> GLTAError {
    error("\(found) fields, expected \(expected)", line)
  }
}
