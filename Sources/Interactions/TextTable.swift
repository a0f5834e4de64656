import CZlib
import Foundation
import Tensors

/// The lines of a text file and the fields of a line, with errors that say where.
struct TextTable {
  let path: String
  private let bytes: [UInt8]
  private let isLatin1: Bool

  /// Reads a file, plain or gz.
  ///
  /// - Parameter latin1: the encoding of files from before UTF-8; such a file that is valid UTF-8 is read as that.
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.invalidFile` where the gz stream is damaged.
  init(path: String, latin1: Bool = false) throws(GLTAError) {
    self.path = path
    let bytes = try TextTable.read(path)
    self.bytes = bytes
    isLatin1 = latin1 && String(validating: bytes, as: UTF8.self) == nil
  }

  private static func read(_ path: String) throws(GLTAError) -> [UInt8] {
    guard FileManager.default.fileExists(atPath: path) else {
      throw GLTAError(.inputOutput, "there is no file \(path)")
    }
    // gzread passes plain files through.
    guard let file = gzopen(path, "rb") else { throw GLTAError(.inputOutput, "cannot open \(path)") }
    defer { gzclose(file) }
    gzbuffer(file, 1 << 18)
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = gzread(file, &chunk, UInt32(chunk.count))
      if count < 0 { break }
      if count == 0 { break }
      bytes += chunk[..<Int(count)]
    }
    var status: Int32 = 0
    let message = gzerror(file, &status)
    guard status == Z_OK || status == Z_STREAM_END else {
      let reason = message.map { String(cString: $0) } ?? "error \(status)"
      throw GLTAError(.invalidFile, "\(path) is damaged or truncated: \(reason)", hint: "download or copy it again")
    }
    return bytes
  }

  /// Calls `body` with each line that is not empty, as a range of bytes, and its number from 1.
  func forEachLine(
    from first: Int = 1, _ body: (_ line: ArraySlice<UInt8>, _ number: Int) throws(GLTAError) -> Void
  ) throws(GLTAError) {
    var start = 0
    var number = 1
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      var last = end
      if last > start, bytes[last - 1] == 0x0D { last -= 1 }
      if number >= first, last > start { try body(bytes[start..<last], number) }
      start = end + 1
      number += 1
    }
  }

  /// The first line.
  var firstLine: ArraySlice<UInt8> {
    let end = bytes.firstIndex(of: 0x0A) ?? bytes.count
    return bytes[..<(end > 0 && bytes[end - 1] == 0x0D ? end - 1 : end)]
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

  /// The fields of a line of quoted CSV (RFC 4180); a quoted field may not contain a line end here.
  func quotedFields(_ line: ArraySlice<UInt8>, separator: UInt8, number: Int) throws(GLTAError) -> [String] {
    let quote = UInt8(ascii: "\"")
    var fields: [String] = []
    var field: [UInt8] = []
    var at = line.startIndex
    while true {
      field.removeAll(keepingCapacity: true)
      if at < line.endIndex, line[at] == quote {
        at += 1
        while true {
          guard at < line.endIndex else {
            throw error("a quoted field does not end on its line", number)
          }
          if line[at] != quote {
            field.append(line[at])
            at += 1
          } else if at + 1 < line.endIndex, line[at + 1] == quote {
            field.append(quote)
            at += 2
          } else {
            at += 1
            break
          }
        }
        guard at == line.endIndex || line[at] == separator else {
          throw error("something follows a quoted field", number)
        }
      } else {
        while at < line.endIndex, line[at] != separator {
          field.append(line[at])
          at += 1
        }
      }
      fields.append(text(field[...]))
      guard at < line.endIndex else { return fields }
      at += 1
    }
  }

  /// A decimal number; nil where the field is empty.
  func number(_ field: some StringProtocol, _ name: String, _ line: Int) throws(GLTAError) -> Double? {
    let text = field.trimmingCharacters(in: .whitespaces)
    if text.isEmpty { return nil }
    guard let value = Double(text), value.isFinite else {
      throw error("the \(name) is \"\(text)\", expected a number", line)
    }
    return value
  }

  /// An error at a line.
  func error(_ what: String, _ line: Int) -> GLTAError {
    GLTAError(.invalidFile, "\(path), line \(line): \(what)")
  }

  /// The error for a wrong number of fields.
  func fieldError(found: Int, expected: String, _ line: Int) -> GLTAError {
    error("\(found) fields, expected \(expected)", line)
  }
}
