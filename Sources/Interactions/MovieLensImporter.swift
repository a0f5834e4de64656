import Foundation
import Tensors

/// GroupLens's three generations of files.
struct MovieLensImporter {
  let directory: String

  func read(into builder: inout DatasetBuilder) throws(GLTAError) {
    if exists("ratings.dat") {
      try readMovies("movies.dat", into: &builder)
      try readRatings("ratings.dat", separator: Array("::".utf8), into: &builder)
    } else if exists("u.data") {
      try readOldMovies("u.item", into: &builder)
      try readRatings("u.data", separator: [0x09], into: &builder)
    } else if exists("ratings.csv") {
      try readMoviesCSV("movies.csv", into: &builder)
      try readRatingsCSV("ratings.csv", into: &builder)
    } else {
      throw GLTAError(.inputOutput, "\(directory) has neither ratings.dat nor u.data nor ratings.csv")
    }
  }

  private func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: directory + "/" + name) }

  private func readRatings(_ name: String, separator: [UInt8], into builder: inout DatasetBuilder) throws(GLTAError) {
    let table = try TextTable(path: directory + "/" + name)
    try table.forEachLine { (line, number) throws(GLTAError) in
      let fields = table.fields(line, separator: separator)
      guard fields.count == 4 else {
        let written = separator == [0x09] ? "tabs" : "::"
        throw table.fieldError(
          found: fields.count, expected: "4 (user, item, rating, time, separated by \(written))", number)
      }
      try add(table, fields.map { table.text($0) }, number, to: &builder)
    }
  }

  private func add(
    _ table: TextTable, _ fields: [String], _ number: Int, to builder: inout DatasetBuilder
  ) throws(GLTAError) {
    guard !fields[0].isEmpty, !fields[1].isEmpty else { throw table.error("an empty user or item", number) }
    builder.addInteraction(
      user: fields[0], item: fields[1], rating: try table.rating(fields[2], number),
      timestamp: try table.time(fields[3], number))
  }

  private func addItem(
    _ table: TextTable, id: String, title: String, genres: [String], _ number: Int, to builder: inout DatasetBuilder
  ) throws(GLTAError) {
    guard !id.isEmpty else { throw table.error("an empty item", number) }
    builder.addItem(id: id, title: title, description: "", categories: genres)
  }

  /// `movies.dat`: id::title::genre|genre, latin-1. The title may hold the separator, too.
  private func readMovies(_ name: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    guard exists(name) else { return }
    let table = try TextTable(path: directory + "/" + name, latin1: true)
    try table.forEachLine { (line, number) throws(GLTAError) in
      let isSeparator = { (at: Int) in line[at] == UInt8(ascii: ":") && line[at + 1] == UInt8(ascii: ":") }
      let places = line.indices.dropLast()
      guard let first = places.first(where: isSeparator), let last = places.last(where: isSeparator), first + 2 <= last
      else {
        let found = table.fields(line, separator: Array("::".utf8)).count
        throw table.fieldError(found: found, expected: "3 (id::title::genres)", number)
      }
      try addItem(
        table, id: table.text(line[..<first]), title: table.text(line[(first + 2)..<last]),
        genres: genres(table.text(line[(last + 2)...])), number, to: &builder)
    }
  }

  /// `u.item`: id|title|date|video date|URL|19 genre flags, latin-1.
  private func readOldMovies(_ name: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    guard exists(name) else { return }
    let table = try TextTable(path: directory + "/" + name, latin1: true)
    try table.forEachLine { (line, number) throws(GLTAError) in
      let fields = table.fields(line, separator: [UInt8(ascii: "|")]).map { table.text($0) }
      guard fields.count == 24 else {
        throw table.fieldError(
          found: fields.count, expected: "24 (id|title|date|video date|URL|19 genre flags)", number)
      }
      // The first flag means "unknown".
      let flags = zip(MovieLensImporter.genreFlags, fields[5...]).filter { $0.1 == "1" }.map(\.0)
      try addItem(
        table, id: fields[0], title: fields[1], genres: flags.filter { !$0.isEmpty }, number, to: &builder)
    }
  }

  private func readMoviesCSV(_ name: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    guard exists(name) else { return }
    let file = try HeadedTable(path: directory + "/" + name, separator: UInt8(ascii: ","))
    let columns = try MovieLensImporter.indices(of: ["movieId", "title", "genres"], in: file)
    try file.forEachRow { (fields, number) throws(GLTAError) in
      try addItem(
        file.table, id: fields[columns[0]], title: fields[columns[1]], genres: genres(fields[columns[2]]), number,
        to: &builder)
    }
  }

  private func readRatingsCSV(_ name: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let file = try HeadedTable(path: directory + "/" + name, separator: UInt8(ascii: ","))
    let columns = try MovieLensImporter.indices(of: MovieLensImporter.ratingsHeader, in: file)
    try file.forEachRow { (fields, number) throws(GLTAError) in
      try add(file.table, columns.map { fields[$0] }, number, to: &builder)
    }
  }

  private static let ratingsHeader = ["userId", "movieId", "rating", "timestamp"]

  /// Whether a file is headed as MovieLens' ratings.csv is.
  static func isRatingsCSV(_ path: String) -> Bool {
    guard let names = try? HeadedTable(headOf: path, separator: UInt8(ascii: ",")).names else { return false }
    return names.sorted() == ratingsHeader.sorted()
  }

  private static func indices(of names: [String], in file: HeadedTable) throws(GLTAError) -> [Int] {
    var indices: [Int] = []
    for name in names { indices.append(try file.index(of: name)) }
    return indices
  }

  private func genres(_ text: String) -> [String] {
    text == "(no genres listed)" ? [] : text.parts(between: "|")
  }

  private static let genreFlags = [
    "", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
  ]
}
