public import ArgumentParser
import Foundation
import Interactions
import Tensors
import Training

/// Threads for commands that compute.
struct ThreadOptions: ParsableArguments {
  @Option(help: "Threads; the results do not depend on it.")
  var threads = ThreadPool.coreCount

  func validate() throws {
    guard threads >= 1 && threads <= 1024 else {
      throw ValidationError("--threads is \(threads), expected 1 to 1024")
    }
  }

  func makePool() -> ThreadPool {
    if let warning = Processor.buildWarning { Terminal.note("warning: " + warning) }
    return ThreadPool(threads: threads)
  }
}

/// What the weights of a language model are kept and multiplied in.
struct PrecisionOptions: ParsableArguments {
  @Option(
    // `train` has a --precision of its graph encoder.
    name: [.customLong("precision"), .customLong("language-model-precision")],
    help:
      "The language model's weights: stored (as in its files), f32, bf16 or int8. (default: stored; of a bundle, that of its training)"
  )
  var precision: Precision?
}

/// A trained bundle, and the language model that goes with it.
struct BundleOptions: ParsableArguments {
  @Option(help: "A trained bundle, as `glta train --out` writes it.")
  var bundle: String

  @Option(
    help: ArgumentHelp(
      "The language model's directory or file, where it is not the one that training recorded. It must be the same.",
      valueName: "path"))
  var languageModel: String?
  @OptionGroup var precision: PrecisionOptions
}

/// How a data set is read.
struct FormatOptions: ParsableArguments {
  @Option(help: "movielens, recbole, tsv, csv or lightgcn; found out from the files where left out.")
  var format: DatasetFormat?

  @Option(help: ArgumentHelp("Keep interactions with at least this rating.", valueName: "rating"))
  var minRating: Float?

  @Option(help: ArgumentHelp("Drop users with fewer interactions, repeatedly (k-core).", valueName: "n"))
  var userCore: Int = 0

  @Option(help: ArgumentHelp("Drop items with fewer interactions, repeatedly (k-core).", valueName: "n"))
  var itemCore: Int = 0

  @Option(help: ArgumentHelp("csv: the user column.", valueName: "name"))
  var userColumn: String?
  @Option(help: ArgumentHelp("csv: the item column.", valueName: "name"))
  var itemColumn: String?
  @Option(help: ArgumentHelp("csv: the rating column.", valueName: "name"))
  var ratingColumn: String?
  @Option(help: ArgumentHelp("csv: the time column.", valueName: "name"))
  var timeColumn: String?
  @Option(help: ArgumentHelp("csv: the file with item texts.", valueName: "file"))
  var itemsFile: String?
}

extension DatasetFormat: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
extension Recipe: ExpressibleByArgument {}
extension Ablation: ExpressibleByArgument {}
extension TagSubject: ExpressibleByArgument {}
