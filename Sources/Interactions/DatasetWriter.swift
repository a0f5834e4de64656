public import Tensors

/// Writes a data set as the two tables that `TwoTableImporter` reads.
public enum DatasetWriter {
  /// Writes `interactions.tsv`, `items.tsv` and, where the data set has a split, `split.tsv`. Each file is whole or as it
  /// was. Tabs and line ends inside text become spaces, bars inside a category slashes.
  ///
  /// - Parameter directory: exists.
  /// - Throws: `GLTAError.inputOutput`.
  public static func write(_ dataset: Dataset, directory: String) throws(GLTAError) {
    let table = dataset.interactions
    var text = TwoTableImporter.interactionHeader.joined(separator: "\t") + "\n"
    for row in 0..<table.count {
      let rating = table.ratings.map { $0[row].isNaN ? "" : shortest($0[row]) } ?? ""
      let time = table.timestamps.map { $0[row] == InteractionTable.noTime ? "" : String($0[row]) } ?? ""
      text += "\(pair(dataset, row))\t\(rating)\t\(time)\n"
    }
    let catalogue = dataset.catalogue
    var items = TwoTableImporter.itemHeader.joined(separator: "\t") + "\n"
    for item in 0..<catalogue.count {
      let categories = catalogue.categories[item].map { clean($0).split(separator: "|").joined(separator: "/") }
      items +=
        [
          clean(catalogue.ids[item]), clean(catalogue.titles[item]), clean(catalogue.descriptions[item]),
          categories.joined(separator: "|"),
        ].joined(separator: "\t") + "\n"
    }
    try AtomicFile.write(bytes: Array(items.utf8), to: directory + "/items.tsv")
    if let parts = dataset.givenParts {
      var split = TwoTableImporter.splitHeader.joined(separator: "\t") + "\n"
      for row in 0..<table.count { split += "\(pair(dataset, row))\t\(parts[row])\n" }
      try AtomicFile.write(bytes: Array(split.utf8), to: directory + "/split.tsv")
    }
    // Last: with this file the directory is a data set.
    try AtomicFile.write(bytes: Array(text.utf8), to: directory + "/interactions.tsv")
  }

  private static func pair(_ dataset: Dataset, _ row: Int) -> String {
    let user = dataset.userIDs[Int(dataset.interactions.users[row])]
    return clean(user) + "\t" + clean(dataset.catalogue.ids[Int(dataset.interactions.items[row])])
  }

  private static func shortest(_ value: Float) -> String {
    value == value.rounded() && abs(value) < 1e6 ? String(Int(value)) : String(value)
  }

  private static func clean(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 < 0x20 }) else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
  }
}
