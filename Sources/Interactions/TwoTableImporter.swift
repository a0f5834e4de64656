import Foundation
import Tensors

/// Two headed tables split at tabs without quoting: `interactions.tsv` (user, item, rating, timestamp) and `items.tsv`
/// (item, title, description, categories joined by |), each plain or gz; and `split.tsv` (user, item, part) where the
/// data set has a split of its own.
struct TwoTableImporter {
  let directory: String

  static let interactionHeader = ["user", "item", "rating", "timestamp"]
  static let itemHeader = ["item", "title", "description", "categories"]
  static let splitHeader = ["user", "item", "part"]

  func read(into builder: inout DatasetBuilder) throws(GLTAError) {
    if let path = file("items.tsv") {
      try readRows(path, header: TwoTableImporter.itemHeader) { (table, fields, number) throws(GLTAError) in
        guard !fields[0].isEmpty else { throw table.error("an empty item", number) }
        builder.addItem(
          id: fields[0], title: fields[1], description: fields[2], categories: fields[3].parts(between: "|"))
      }
    }
    let parts = try readParts()
    guard let path = file("interactions.tsv") else {
      throw GLTAError(.inputOutput, "\(directory) has neither interactions.tsv nor interactions.tsv.gz")
    }
    try readRows(path, header: TwoTableImporter.interactionHeader) { (table, fields, number) throws(GLTAError) in
      guard !fields[0].isEmpty, !fields[1].isEmpty else { throw table.error("an empty user or item", number) }
      var part: SplitPart?
      if let parts {
        part = parts[ExactText(fields[0] + "\t" + fields[1])]
        guard part != nil else { throw table.error("split.tsv does not say which part this row belongs to", number) }
      }
      builder.addInteraction(
        user: fields[0], item: fields[1], rating: try table.rating(fields[2], number),
        timestamp: try table.time(fields[3], number), part: part)
    }
  }

  private func readParts() throws(GLTAError) -> [ExactText: SplitPart]? {
    guard let path = file("split.tsv") else { return nil }
    let names = ["train": SplitPart.train, "validation": .validation, "test": .test]
    var parts: [ExactText: SplitPart] = [:]
    try readRows(path, header: TwoTableImporter.splitHeader) { (table, fields, number) throws(GLTAError) in
      guard let part = names[fields[2]] else {
        throw table.error("the part is \"\(fields[2])\", expected train, validation or test", number)
      }
      parts[ExactText(fields[0] + "\t" + fields[1])] = part
    }
    return parts
  }

  private func file(_ name: String) -> String? {
    [name, name + ".gz"].map { directory + "/" + $0 }.first { FileManager.default.fileExists(atPath: $0) }
  }

  private func readRows(
    _ path: String, header: [String],
    _ body: (_ table: TextTable, _ fields: [String], _ number: Int) throws(GLTAError) -> Void
  ) throws(GLTAError) {
    let table = try TextTable(path: path)
    var cursor = TextTable.Cursor()
    let found = table.fields(table.nextLine(&cursor)?.line ?? [], separator: [0x09]).map { table.text($0) }
    guard found == header else {
      throw table.error(
        "the header is \"\(found.joined(separator: " "))\", expected \"\(header.joined(separator: " "))\", separated by tabs",
        1)
    }
    try table.forEachLine(from: cursor) { (line, number) throws(GLTAError) in
      let fields = table.fields(line, separator: [0x09]).map { table.text($0) }
      guard fields.count == header.count else {
        throw table.fieldError(
          found: fields.count, expected: "\(header.count) (\(header.joined(separator: ", ")))", number)
      }
      try body(table, fields, number)
    }
  }
}
