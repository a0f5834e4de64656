import ArgumentParser
import Interactions
import Training

/// How interactions are parted: `glta tags` has to show no more of a user than `glta train` will.
struct SplitOptions: ParsableArguments {
  @Option(help: "The seed of everything random. (default: 42)")
  var seed: UInt64?
  @Option(
    help:
      "random (80/10/10 per user), leave-last-out (by time), given (the data set's own), given-whole (the same, nothing lent for validation) or cold-items (all of some items are test). (default: random)"
  )
  var split: SplitChoice?
  @Option(help: ArgumentHelp("cold-items: the share of items that is withheld.", valueName: "share"))
  var withholdItems = 0.1

  /// These, and what else a command line says of a configuration.
  func choices(recipe: Recipe? = nil, without: [Ablation] = []) -> TrainingConfiguration.Choices {
    var choices = TrainingConfiguration.Choices(recipe: recipe, without: without, seed: seed)
    if let split { choices.splitMethod = { [withholdItems] in split.method(seed: $0, withholding: withholdItems) } }
    return choices
  }
}

/// The ways to part a data set, as command lines name them.
enum SplitChoice: String, ExpressibleByArgument, CaseIterable {
  case random
  case leaveLastOut = "leave-last-out"
  case given
  case givenWhole = "given-whole"
  case coldItems = "cold-items"

  func method(seed: UInt64, withholding share: Double = 0.1) -> SplitMethod {
    switch self {
    case .random: .random(seed: seed)
    case .leaveLastOut: .leaveLastOut
    case .given: .given
    case .givenWhole: .givenWhole
    case .coldItems: .coldItems(share: share, seed: seed)
    }
  }
}
