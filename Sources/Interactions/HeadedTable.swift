import Tensors

/// A table whose first line names its columns, separated by commas, semicolons or tabs.
struct HeadedTable {
  private static let tab = UInt8(ascii: "\t")

  let table: TextTable
  /// The columns, as they are written.
  let names: [String]
  private let separator: UInt8
  private let body: TextTable.Cursor

  /// Reads the file and its header.
  ///
  /// - Parameter separator: nil = tabs for a .tsv, otherwise what the header has most of. Fields between tabs are never
  ///   quoted, others as RFC 4180 has it.
  init(path: String, separator: UInt8? = nil) throws(GLTAError) { try self.init(TextTable(path: path), separator) }

  /// The header of a file alone, to see what it is.
  init(headOf path: String, separator: UInt8? = nil) throws(GLTAError) {
    try self.init(TextTable(headOf: path), separator)
  }

  private init(_ table: TextTable, _ separator: UInt8?) throws(GLTAError) {
    var cursor = TextTable.Cursor()
    self.table = table
    self.separator = separator ?? HeadedTable.separator(of: table)
    names = try HeadedTable.nextRow(table, &cursor, self.separator)?.fields ?? []
    body = cursor
  }

  private static func separator(of table: TextTable) -> UInt8 {
    if [".tsv", ".tsv.gz"].contains(where: table.path.lowercased().hasSuffix) { return tab }
    var cursor = TextTable.Cursor()
    let line = table.nextLine(&cursor)?.line ?? []
    return [tab, UInt8(ascii: ","), UInt8(ascii: ";")].max { a, b in
      line.count { $0 == a } < line.count { $0 == b }
    } ?? UInt8(ascii: ",")
  }

  private static func nextRow(
    _ table: TextTable, _ cursor: inout TextTable.Cursor, _ separator: UInt8
  ) throws(GLTAError) -> (fields: [String], number: Int)? {
    guard separator == tab else { return try table.nextRecord(&cursor, separator: separator) }
    guard let (line, number) = table.nextLine(&cursor) else { return nil }
    return (table.fields(line, separator: [tab]).map { table.text($0) }, number)
  }

  /// Calls `receive` with each row below the header.
  func forEachRow(_ receive: (_ fields: [String], _ number: Int) throws(GLTAError) -> Void) throws(GLTAError) {
    var cursor = body
    while let (fields, number) = try HeadedTable.nextRow(table, &cursor, separator) {
      guard fields.count == names.count else {
        throw table.fieldError(
          found: fields.count, expected: "\(names.count) as in the header (\(names.joined(separator: ", ")))", number)
      }
      try receive(fields, number)
    }
  }

  /// The place of a column that has to be there.
  func index(of name: String) throws(GLTAError) -> Int {
    guard let index = names.firstIndex(of: name) else {
      throw table.error("no column is named \"\(name)\"; the header has \(names.joined(separator: ", "))", 1)
    }
    return index
  }
}
