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
    let time = try table.number(fields[3], "time", number)
    builder.addInteraction(
      user: fields[0], item: fields[1], rating: try table.number(fields[2], "rating", number).map { Float($0) },
      timestamp: time.flatMap { Int64(exactly: $0.rounded()) })
  }

  /// `movies.dat`: id::title::genre|genre, latin-1.
  private func readMovies(_ name: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    guard exists(name) else { return }
    let table = try TextTable(path: directory + "/" + name, latin1: true)
    try table.forEachLine { (line, number) throws(GLTAError) in
      let fields = table.fields(line, separator: Array("::".utf8)).map { table.text($0) }
      guard fields.count == 3 else {
        throw table.fieldError(found: fields.count, expected: "3 (id::title::genres)", number)
      }
      builder.addItem(id: fields[0], title: fields[1], description: "", categories: genres(fields[2]))
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
      builder.addItem(id: fields[0], title: fields[1], description: "", categories: flags.filter { !$0.isEmpty })
    }
  }

  private func readMoviesCSV(_ name: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    guard exists(name) else { return }
    let table = try TextTable(path: directory + "/" + name)
    try table.forEachLine(from: 2) { (line, number) throws(GLTAError) in
      let fields = try table.quotedFields(line, separator: UInt8(ascii: ","), number: number)
      guard fields.count == 3 else {
        throw table.fieldError(found: fields.count, expected: "3 (movieId,title,genres)", number)
      }
      builder.addItem(id: fields[0], title: fields[1], description: "", categories: genres(fields[2]))
    }
  }

  private func readRatingsCSV(_ name: String, into builder: inout DatasetBuilder) throws(GLTAError) {
    let table = try TextTable(path: directory + "/" + name)
    try table.forEachLine(from: 2) { (line, number) throws(GLTAError) in
      let fields = try table.quotedFields(line, separator: UInt8(ascii: ","), number: number)
      guard fields.count == 4 else {
        throw table.fieldError(found: fields.count, expected: "4 (userId,movieId,rating,timestamp)", number)
      }
      try add(table, fields, number, to: &builder)
    }
  }

  private func genres(_ text: String) -> [String] {
    text == "(no genres listed)" ? [] : text.split(separator: "|").map(String.init)
  }

  private static let genreFlags = [
    "", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
  ]
}
