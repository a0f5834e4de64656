import Foundation
import Tensors

/// A CSV or TSV with a header, its columns found by name.
struct HeadedCSVImporter {
  let path: String
  let options: ImportOptions

  func read(into builder: inout DatasetBuilder) throws(GLTAError) {
    let (interactions, items) = try files()
    if let items { try readItems(items, into: &builder) }
    try readInteractions(interactions, into: &builder)
  }

  /// A table with its header and separator.
  private struct Headed {
    let table: TextTable
    let separator: UInt8
    let names: [String]

    init(path: String) throws(GLTAError) {
      table = try TextTable(path: path)
      let line = table.firstLine
      separator =
        [UInt8(ascii: "\t"), UInt8(ascii: ","), UInt8(ascii: ";")].max { a, b in
          line.filter { $0 == a }.count < line.filter { $0 == b }.count
        } ?? UInt8(ascii: ",")
      names = try table.quotedFields(line, separator: separator, number: 1)
    }

    /// The wanted column, or the first of the usual ones that the header has.
    func column(_ wanted: String?, usual: [String], flag: String) throws(GLTAError) -> Int? {
      if let wanted {
        guard let index = names.firstIndex(of: wanted) else {
          throw table.error(
            "there is no column \"\(wanted)\" (--\(flag)); the header has \(names.joined(separator: ", "))", 1)
        }
        return index
      }
      return usual.lazy.compactMap { name in names.firstIndex { $0.lowercased() == name } }.first
    }

    func required(_ wanted: String?, usual: [String], flag: String) throws(GLTAError) -> Int {
      guard let index = try column(wanted, usual: usual, flag: flag) else {
        throw GLTAError(
          .invalidFile,
          "\(table.path), line 1: no column is named \(usual.joined(separator: ", ")); the header has \(names.joined(separator: ", "))",
          hint: "name the column with --\(flag)")
      }
      return index
    }

    func forEachRow(_ body: (_ fields: [String], _ number: Int) throws(GLTAError) -> Void) throws(GLTAError) {
      try table.forEachLine(from: 2) { (line, number) throws(GLTAError) in
        let fields = try table.quotedFields(line, separator: separator, number: number)
        guard fields.count == names.count else {
          throw table.fieldError(found: fields.count, expected: "\(names.count) as in the header", number)
        }
        try body(fields, number)
      }
    }
  }

  private func files() throws(GLTAError) -> (interactions: String, items: String?) {
    var isDirectory: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
    guard isDirectory.boolValue else { return (path, options.itemsFile) }
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
      .filter { $0.hasSuffix(".csv") || $0.hasSuffix(".tsv") }
    func find(_ stems: [String]) -> String? {
      stems.lazy.compactMap { stem in names.first { $0.lowercased().hasPrefix(stem) } }.first.map { path + "/" + $0 }
    }
    guard let interactions = find(["interactions", "ratings", "events", "reviews", "train"]) else {
      throw GLTAError(
        .invalidArgument, "\(path) has no interactions, ratings, events or reviews as .csv or .tsv",
        hint: "give the file itself as --data")
    }
    return (interactions, options.itemsFile ?? find(["items", "movies", "books", "products"]))
  }

  private func readInteractions(_ path: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let file = try Headed(path: path)
    let user = try file.required(
      options.userColumn, usual: ["user", "user_id", "userid", "reviewerid", "customer_id"], flag: "user-column")
    let item = try file.required(
      options.itemColumn, usual: ["item", "item_id", "itemid", "movieid", "movie_id", "book_id", "asin", "product_id"],
      flag: "item-column")
    let rating = try file.column(
      options.ratingColumn, usual: ["rating", "stars", "score", "overall"], flag: "rating-column")
    let time = try file.column(
      options.timeColumn, usual: ["timestamp", "time", "unixreviewtime", "date"], flag: "time-column")
    try file.forEachRow { (fields, number) throws(GLTAError) in
      guard !fields[user].isEmpty, !fields[item].isEmpty else {
        throw file.table.error("an empty user or item", number)
      }
      var stars: Double?
      var seconds: Double?
      if let rating { stars = try file.table.number(fields[rating], "rating", number) }
      if let time { seconds = try file.table.number(fields[time], "time", number) }
      builder.addInteraction(
        user: fields[user], item: fields[item], rating: stars.map { Float($0) },
        timestamp: seconds.flatMap { Int64(exactly: $0.rounded()) })
    }
  }

  private func readItems(_ path: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let file = try Headed(path: path)
    let id = try file.required(
      nil, usual: ["item", "item_id", "itemid", "id", "movieid", "movie_id", "book_id", "asin", "product_id"],
      flag: "items-file")
    let title = try file.column(nil, usual: ["title", "name"], flag: "items-file")
    let description = try file.column(nil, usual: ["description", "overview", "text"], flag: "items-file")
    let category = try file.column(nil, usual: ["categories", "category", "genres", "genre"], flag: "items-file")
    try file.forEachRow { (fields, _) throws(GLTAError) in
      builder.addItem(
        id: fields[id], title: title.map { fields[$0] } ?? "", description: description.map { fields[$0] } ?? "",
        categories: category.map { fields[$0].split(separator: "|").map(String.init) } ?? [])
    }
  }
}
