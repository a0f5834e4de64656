import ArgumentParser
import Bundles
import Interactions
import LogitsMatching
import Tensors
import TokenAlignment

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show what a bundle was made of, after checking that it is whole.")

  @Option(help: "A trained bundle.")
  var bundle: String
  @Flag(help: "Print the content hash and the manifest as JSON.")
  var json = false

  func run() throws {
    let loaded = try RecommenderBundle.load(from: bundle)
    let manifest = loaded.manifest
    let hash = try RecommenderBundle.contentHash(of: bundle)
    if json { return try Terminal.printJSON(Report(contentHash: hash, manifest: manifest)) }
    let weights = manifest.weights
    var lines = [
      "bundle          \(bundle), whole, content \(hash.prefix(16))",
      "recipe          \(manifest.recipe)"
        + (manifest.without.isEmpty ? "" : " without " + manifest.without.joined(separator: ", "))
        + ", seed \(manifest.seed)",
      "data            \(loaded.dataName), \(manifest.data.users) users, \(manifest.data.items) items, "
        + "\(manifest.data.interactions) interactions; split: \(manifest.data.split)",
      "language model  \(manifest.languageModel.architecture), hidden \(manifest.languageModel.hiddenSize), "
        + "\(manifest.languageModel.hash.prefix(16)), at \(try RecommenderBundle.languageModelPath(of: bundle))",
      "head            \(manifest.alignment.head.rawValue), \(manifest.alignment.slots) slots, "
        + "\(loaded.tags.vocabulary.count) tags",
      "score           \(weights.graph) graph + \(weights.text) text + \(weights.popularity) popularity + "
        + "\(weights.gllm) logits",
    ]
    for (name, value) in manifest.validation.sorted(by: { $0.key < $1.key }) {
      lines.append("validation      \(name) \(value)")
    }
    lines.append("some users      " + loaded.userIDs.prefix(5).joined(separator: " "))
    lines.append(
      "some items      "
        + zip(loaded.catalogue.ids, loaded.catalogue.titles).prefix(3).map { "\($0) \($1)" }
        .joined(separator: "; "))
    print(lines.joined(separator: "\n"))
  }

  private struct Report: Encodable {
    let contentHash: String
    let manifest: BundleManifest
  }
}
