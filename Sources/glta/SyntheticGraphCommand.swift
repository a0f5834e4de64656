import ArgumentParser
import Interactions
import Tensors

struct SyntheticGraphCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthetic-graph",
    abstract: "Generate a data set of any size with power-law degrees and planted clusters.",
    discussion: """
      Users and items belong to clusters; a user's interactions go to items of the own cluster with the probability \
      --affinity, else to any. How many interactions users and items have falls as n^-exponent. The texts of an item name \
      its cluster.
      """)

  @Option(help: ArgumentHelp("Where to write.", valueName: "dir"))
  var out: String
  @Option(help: "How many users.")
  var users = 100_000
  @Option(help: "How many items.")
  var items = 50_000
  @Option(help: "How many interactions.")
  var interactions = 1_000_000
  @Option(help: "How many clusters.")
  var clusters = 50
  @Option(help: "The share of a user's interactions that are drawn from the own cluster.")
  var affinity = 0.8
  @Option(help: "The exponent of users' degrees.")
  var userExponent = 2.5
  @Option(help: "The exponent of items' degrees.")
  var itemExponent = 2.5
  @Option(help: "The seed.")
  var seed: UInt64 = 7
  @Flag(help: "Print JSON.")
  var json = false
  @OptionGroup var threading: ThreadOptions

  func run() throws {
    try DatasetWriter.checkTarget(out)
    var options = SyntheticGraph.Options()
    (options.users, options.items, options.interactions) = (users, items, interactions)
    (options.clusters, options.affinity, options.seed) = (clusters, affinity, seed)
    (options.userExponent, options.itemExponent) = (userExponent, itemExponent)
    try write(SyntheticGraph(options, pool: threading.makePool()).dataset(), to: out, json: json)
  }
}
