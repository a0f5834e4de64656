public import ArgumentParser
public import GraphEncoding
import Training

/// The graph encoder's settings as flags. What is left out is left to --config and the recipe.
struct GraphFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "popularity, bpr-mf, ease, text-knn, lightgcn, hccf, lightgcn+, hccf+, rlmrec-con or rlmrec-gen. (default: lightgcn)",
      valueName: "name"))
  var method: GraphMethod?
  @Option(help: ArgumentHelp("The length of a user's or an item's vector.", valueName: "n"))
  var dimensions: Int?
  @Option(help: ArgumentHelp("Propagations.", valueName: "n"))
  var layers: Int?
  @Option(help: ArgumentHelp("Passes over the training interactions, at most.", valueName: "n"))
  var epochs: Int?
  @Option(help: ArgumentHelp("Triples of one step.", valueName: "n"))
  var batchSize: Int?
  @Option(help: ArgumentHelp("Adam's step size.", valueName: "x"))
  var learningRate: Float?
  @Option(help: ArgumentHelp("Share of the epochs before that stays in a moving average.", valueName: "x"))
  var averaging: Float?
  @Option(help: ArgumentHelp("Weight of the L2 term.", valueName: "x"))
  var l2: Float?
  @Option(help: "bpr, sampled-softmax or softmax (the whole catalogue).")
  var loss: GraphLoss?
  @Option(help: ArgumentHelp("Softmax losses: what scores are divided by.", valueName: "x"))
  var temperature: Float?
  @Option(help: ArgumentHelp("Sampled softmax: items drawn uniformly, beside the batch's own.", valueName: "n"))
  var negatives: Int?
  @Option(help: "How positives are drawn: shuffledEdges, uniformUsers or wholeUsers.")
  var sampling: TripleSampler.Order?
  @Option(help: "How layers are kept while training: f32, bf16 or int16 (fixed point, the fastest).")
  var precision: LayerPrecision?

  @Option(help: "RLMRec: profiles from tags, textsAndTags or texts.")
  var profiles: ProfileSource?
  @Flag(help: "Give items without an interaction a vector from their text. Needs --language-model.")
  var textNodes = false

  /// Lays the flags over a configuration.
  func apply(to options: inout GraphEncoderOptions) {
    func set<Value>(_ path: WritableKeyPath<GraphEncoderOptions, Value>, _ value: Value?) {
      if let value { options[keyPath: path] = value }
    }
    set(\.method, method)
    set(\.dimensions, dimensions)
    set(\.layers, layers)
    set(\.epochs, epochs)
    set(\.batchSize, batchSize)
    set(\.learningRate, learningRate)
    set(\.averaging, averaging)
    set(\.l2, l2)
    set(\.loss, loss)
    set(\.temperature, temperature)
    set(\.negatives, negatives)
    set(\.sampling, sampling)
    set(\.precision, precision)
    set(\.profiles, profiles)
    if textNodes { options.textNodes = true }
  }
}

extension GraphMethod: ExpressibleByArgument {}
extension GraphLoss: ExpressibleByArgument {}
extension ProfileSource: ExpressibleByArgument {}
extension LayerPrecision: ExpressibleByArgument {}
extension TripleSampler.Order: ExpressibleByArgument {}
