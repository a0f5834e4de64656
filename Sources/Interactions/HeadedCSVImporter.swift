import Foundation
import Tensors

/// A CSV or TSV with a header, its columns found by name; and another with the texts of the items, where there is one.
struct HeadedCSVImporter {
  let path: String
  let options: ImportOptions

  func read(into builder: inout DatasetBuilder) throws(GLTAError) {
    let (interactions, items) = try files()
    if let items { try readItems(items, into: &builder) }
    try readInteractions(interactions, into: &builder)
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
        hint: "give the file itself instead of its directory")
    }
    return (interactions, options.itemsFile ?? find(["items", "movies", "books", "products"]))
  }

  private func readInteractions(_ path: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let file = try HeadedTable(path: path)
    let user = try required(options.userColumn, usual: Usual.user, flag: "user-column", in: file)
    let item = try required(options.itemColumn, usual: Usual.item, flag: "item-column", in: file)
    let rating = try column(options.ratingColumn, usual: Usual.rating, flag: "rating-column", in: file)
    var time = try column(options.timeColumn, usual: Usual.time, flag: "time-column", in: file)
    try file.forEachRow { (fields, number) throws(GLTAError) in
      guard !fields[user].isEmpty, !fields[item].isEmpty else {
        throw file.table.error("an empty user or item", number)
      }
      // A column that nobody named may well hold dates as words.
      if let column = time, options.timeColumn == nil, !TextTable.isNumeric(fields[column]) {
        builder.note(
          "\(path): the column \"\(file.names[column])\" is not read as a time, line \(number) has \"\(fields[column])\" "
            + "instead of seconds; --time-column names another")
        builder.dropTimes()
        time = nil
      }
      var stars: Float?
      var seconds: Int64?
      if let rating { stars = try file.table.rating(fields[rating], number) }
      if let time { seconds = try file.table.time(fields[time], number) }
      builder.addInteraction(user: fields[user], item: fields[item], rating: stars, timestamp: seconds)
    }
  }

  private func readItems(_ path: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let file = try HeadedTable(path: path)
    // As the interactions name it, if somebody said how.
    let known = options.itemColumn.flatMap { file.names.firstIndex(of: $0) }
    guard let id = known ?? usualColumn(Usual.itemOfTable, in: file) else {
      throw missing(Usual.itemOfTable, in: file, hint: "give the column of item ids one of these names")
    }
    let title = usualColumn(["title", "name"], in: file)
    let description = usualColumn(["description", "overview", "text"], in: file)
    let category = usualColumn(["categories", "category", "genres", "genre"], in: file)
    try file.forEachRow { (fields, number) throws(GLTAError) in
      guard !fields[id].isEmpty else { throw file.table.error("an empty item", number) }
      builder.addItem(
        id: fields[id], title: title.map { fields[$0] } ?? "", description: description.map { fields[$0] } ?? "",
        categories: category.map { fields[$0].parts(between: "|") } ?? [])
    }
  }

  // MARK: Columns

  /// The names that columns usually have, in small letters.
  private enum Usual {
    static let user = ["user", "user_id", "userid", "reviewerid", "customer_id"]
    static let item = ["item", "item_id", "itemid", "movieid", "movie_id", "book_id", "asin", "product_id"]
    static let itemOfTable = ["item", "item_id", "itemid", "id"] + item.dropFirst(3)
    static let rating = ["rating", "stars", "score", "overall"]
    static let time = ["timestamp", "time", "unixreviewtime", "date"]
  }

  private func usualColumn(_ usual: [String], in file: HeadedTable) -> Int? {
    usual.lazy.compactMap { name in file.names.firstIndex { $0.lowercased() == name } }.first
  }

  /// The wanted column, or the first of the usual ones that the header has.
  private func column(
    _ wanted: String?, usual: [String], flag: String, in file: HeadedTable
  ) throws(GLTAError) -> Int? {
    guard let wanted else { return usualColumn(usual, in: file) }
    guard let index = file.names.firstIndex(of: wanted) else {
      throw file.table.error(
        "there is no column \"\(wanted)\" (--\(flag)); the header has \(file.names.joined(separator: ", "))", 1)
    }
    return index
  }

  private func required(
    _ wanted: String?, usual: [String], flag: String, in file: HeadedTable
  ) throws(GLTAError) -> Int {
    guard let index = try column(wanted, usual: usual, flag: flag, in: file) else {
      throw missing(usual, in: file, hint: "name the column with --\(flag)")
    }
    return index
  }

  private func missing(_ usual: [String], in file: HeadedTable, hint: String) -> GLTAError {
    let (wanted, found) = (usual.joined(separator: ", "), file.names.joined(separator: ", "))
    return file.table.error("no column is named \(wanted); the header has \(found)", 1, hint: hint)
  }
}
