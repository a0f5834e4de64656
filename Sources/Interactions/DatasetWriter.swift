import Foundation
public import Tensors

/// Writes a data set as the two tables that `TwoTableImporter` reads.
public enum DatasetWriter {
  /// Writes a directory with `interactions.tsv`, `items.tsv` and, where the data set has a split, `split.tsv`. It is whole,
  /// or as it was: what stands there is replaced when the new one is on disk, and only if it is such a directory, or empty.
  ///
  /// Control characters inside text become spaces, bars inside a category slashes; ids stay as they are.
  ///
  /// - Parameter sources: files and directories that must not be written over, such as what the data set was read from.
  /// - Throws: `GLTAError.inputOutput`; `.invalidArgument` where something else stands at `directory`, where a source lies
  ///   in it, and for an id with a tab or a line end, which these tables cannot hold.
  public static func write(_ dataset: Dataset, directory: String, sources: [String] = []) throws(GLTAError) {
    try checkTarget(directory, sources: sources)
    try checkIDs(dataset.userIDs, "user")
    try checkIDs(dataset.catalogue.ids, "item")
    try AtomicDirectory.replace(at: resolved(directory), what: "a data set", isOurs: isReplaceable) {
      (folder) throws(GLTAError) in try writeTables(dataset, to: folder)
    }
  }

  /// Makes sure that a data set may be written at `directory`, before work is spent on it.
  ///
  /// - Parameter sources: files and directories that must not be written over.
  /// - Throws: `GLTAError.invalidArgument`.
  public static func checkTarget(_ directory: String, sources: [String] = []) throws(GLTAError) {
    // What is not there yet holds nothing.
    guard FileManager.default.fileExists(atPath: directory) else { return }
    let target = resolved(directory)
    for source in sources.map(resolved) where source == target || source.hasPrefix(target + "/") {
      throw GLTAError(
        .invalidArgument, "the data set would be written over its source: \(source) is in \(directory)",
        hint: "write to another directory")
    }
    guard isReplaceable(target) else {
      throw GLTAError(
        .invalidArgument, "\(directory) exists and is not a data set that was written here; it is left as it is",
        hint: "write to another directory, or remove this one")
    }
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  private static let headers = [
    "interactions.tsv": TwoTableImporter.interactionHeader, "items.tsv": TwoTableImporter.itemHeader,
    "split.tsv": TwoTableImporter.splitHeader,
  ]

  /// Whether a directory is empty or what `write` makes: these files, with these headers, and nothing beside.
  private static func isReplaceable(_ path: String) -> Bool {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return false }
    if names.isEmpty { return true }
    guard names.contains("interactions.tsv"), names.contains("items.tsv") else { return false }
    return names.allSatisfy { name in
      headers[name].map { (try? HeadedTable(headOf: path + "/" + name).names) == $0 } ?? false
    }
  }

  private static func checkIDs(_ ids: [String], _ kind: String) throws(GLTAError) {
    guard let id = ids.first(where: { $0.utf8.contains { [0x09, 0x0A, 0x0D].contains($0) } }) else { return }
    throw GLTAError(
      .invalidArgument, "the \(kind) id \(id.debugDescription) holds a tab or a line end, which the tables cannot",
      hint: "change the id; `glta train` reads it as it is")
  }

  // MARK: Tables

  private static func writeTables(_ dataset: Dataset, to folder: String) throws(GLTAError) {
    let (table, catalogue) = (dataset.interactions, dataset.catalogue)
    try writeTable(folder + "/interactions.tsv", TwoTableImporter.interactionHeader, rows: table.count) { row in
      let rating = table.ratings.map { $0[row].isNaN ? "" : shortest($0[row]) } ?? ""
      let time = table.timestamps.map { $0[row] == InteractionTable.noTime ? "" : String($0[row]) } ?? ""
      return "\(pair(dataset, row))\t\(rating)\t\(time)\n"
    }
    try writeTable(folder + "/items.tsv", TwoTableImporter.itemHeader, rows: catalogue.count) { item in
      let (title, description) = (clean(catalogue.titles[item]), clean(catalogue.descriptions[item]))
      let categories = catalogue.categories[item].map { clean($0).parts(between: "|").joined(separator: "/") }
      return "\(catalogue.ids[item])\t\(title)\t\(description)\t\(categories.joined(separator: "|"))\n"
    }
    if let parts = dataset.givenParts {
      try writeTable(folder + "/split.tsv", TwoTableImporter.splitHeader, rows: table.count) { row in
        "\(pair(dataset, row))\t\(parts[row])\n"
      }
    }
  }

  private static func writeTable(
    _ path: String, _ header: [String], rows: Int, _ line: (Int) -> String
  ) throws(GLTAError) {
    try AtomicFile.write(to: path) { (writer) throws(GLTAError) in
      var text = header.joined(separator: "\t") + "\n"
      for row in 0..<rows {
        text += line(row)
        guard text.utf8.count >= 1 << 20 else { continue }
        try writer.write(Array(text.utf8))
        text.removeAll(keepingCapacity: true)
      }
      try writer.write(Array(text.utf8))
    }
  }

  private static func pair(_ dataset: Dataset, _ row: Int) -> String {
    let (user, item) = (Int(dataset.interactions.users[row]), Int(dataset.interactions.items[row]))
    return dataset.userIDs[user] + "\t" + dataset.catalogue.ids[item]
  }

  private static func shortest(_ value: Float) -> String {
    value == value.rounded() && abs(value) < 1e6 ? String(Int(value)) : String(value)
  }

  private static func clean(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 < 0x20 }) else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
  }
}
