import Foundation
import Tensors

/// RecBole's atomic files: tab-separated, headed by `field:type`.
struct RecBoleImporter {
  let directory: String

  func read(into builder: inout DatasetBuilder) throws(GLTAError) {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
    guard let inter = names.first(where: { $0.hasSuffix(".inter") }) else {
      throw GLTAError(.inputOutput, "\(directory) has no .inter file")
    }
    let item = String(inter.dropLast(".inter".count)) + ".item"
    if names.contains(item) { try readItems(directory + "/" + item, into: &builder) }
    try readInteractions(directory + "/" + inter, into: &builder)
  }

  /// The column of the first name that a header has.
  private struct Header {
    let names: [String]

    /// The place of the first row.
    let body: TextTable.Cursor

    init(_ table: TextTable) throws(GLTAError) {
      var names: [String] = []
      var cursor = TextTable.Cursor()
      for field in table.fields(table.nextLine(&cursor)?.line ?? [], separator: [0x09]) {
        let parts = table.text(field).split(separator: ":", maxSplits: 1)
        guard parts.count == 2, ["token", "token_seq", "float", "float_seq"].contains(String(parts[1])) else {
          throw table.error(
            "the header field \"\(table.text(field))\" is not name:type (token, token_seq, float, float_seq)", 1)
        }
        names.append(String(parts[0]))
      }
      self.names = names
      body = cursor
    }

    func column(_ wanted: (String) -> Bool) -> Int? { names.firstIndex(where: wanted) }
  }

  private func readInteractions(_ path: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let table = try TextTable(path: path)
    let header = try Header(table)
    guard let user = header.column({ $0 == "user_id" }), let item = header.column({ $0 == "item_id" }) else {
      throw table.error("the header has no user_id:token and item_id:token", 1)
    }
    let rating = header.column { $0 == "rating" }
    let time = header.column { $0 == "timestamp" }
    try table.forEachLine(from: header.body) { (line, number) throws(GLTAError) in
      let fields = table.fields(line, separator: [0x09])
      guard fields.count == header.names.count else {
        throw table.fieldError(found: fields.count, expected: "\(header.names.count) as in the header", number)
      }
      guard !fields[user].isEmpty, !fields[item].isEmpty else { throw table.error("an empty user or item", number) }
      var stars: Float?
      var seconds: Int64?
      if let rating { stars = try table.rating(table.text(fields[rating]), number) }
      if let time { seconds = try table.time(table.text(fields[time]), number) }
      builder.addInteraction(
        user: table.text(fields[user]), item: table.text(fields[item]), rating: stars, timestamp: seconds)
    }
  }

  private func readItems(_ path: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let table = try TextTable(path: path)
    let header = try Header(table)
    guard let id = header.column({ $0 == "item_id" }) else {
      throw table.error("the header has no item_id:token", 1)
    }
    let title = header.column { $0.contains("title") } ?? header.column { $0.contains("name") }
    let year = header.column { $0 == "release_year" }
    let description = header.column { $0.contains("description") }
    let category = header.column { $0 == "class" || $0.contains("categor") || $0.contains("genre") }
    try table.forEachLine(from: header.body) { (line, number) throws(GLTAError) in
      let fields = table.fields(line, separator: [0x09]).map { table.text($0) }
      guard fields.count == header.names.count else {
        throw table.fieldError(found: fields.count, expected: "\(header.names.count) as in the header", number)
      }
      guard !fields[id].isEmpty else { throw table.error("an empty item", number) }
      var name = title.map { fields[$0] } ?? ""
      if let year, !fields[year].isEmpty, !name.isEmpty { name += " (\(fields[year]))" }
      builder.addItem(
        id: fields[id], title: name, description: description.map { fields[$0] } ?? "",
        categories: category.map { fields[$0].parts(between: " ") } ?? [])
    }
  }
}
