public import GraphEncoding
import LogitsMatching
public import TokenAlignment

/// A named set of choices.
public enum Recipe: String, Sendable, Codable, CaseIterable {
  /// The best that we know: a tied head, text-aware item tokens, and logits as one term beside graph and text, with
  /// weights from validation data. Each term can go to zero.
  case `default`
  /// The structure of the paper: a free linear head, no contrastive term, logits alone. Values that the paper does not
  /// state (learning rates, epochs, k, prompt lengths, graph dimensions) are ours.
  case paper

  /// Alignment as the recipe has it.
  public var alignment: AlignmentOptions {
    var options = AlignmentOptions()
    if self == .paper {
      options.head = .free
      options.contrastiveWeight = 0
      options.itemLearningRate = 1e-3
      options.userLearningRate = 1e-3
    }
    return options
  }

  /// Stage 1 as the recipe has it: BPR as in the paper, or what searches on validation data found on two data sets
  /// (`Tests/Peers/results/graph_methods.md`).
  public var graph: GraphEncoderOptions {
    var options = GraphEncoderOptions()
    if self == .default {
      options.loss = .softmax
      options.sampling = .wholeUsers
      options.dimensions = 128
      options.layers = 2
      options.batchSize = 16_384
    }
    return options
  }

  /// Whether the weights of the final score are fitted; otherwise the logits stand alone.
  public var fitsWeights: Bool { self == .default }
}

/// A part of the method that a run leaves out, as in the paper's table of ablations.
public enum Ablation: String, Sendable, Codable, CaseIterable {
  /// Stage 2: the item projector and the head stay as they were initialised.
  case itemAlignment = "item-alignment"
  /// Stage 3: the user projector stays as it was initialised.
  case userAlignment = "user-alignment"
  /// The tags that summarise a user's items.
  case profile
  /// The tags of a user's likely interests.
  case prediction
  /// The InfoNCE term of stage 2.
  case contrastive

  /// Takes the part out of the options.
  func apply(to options: inout AlignmentOptions) {
    switch self {
    case .itemAlignment: options.itemEpochs = 0
    case .userAlignment: options.userEpochs = 0
    case .profile: options.profileTags = 0
    case .prediction: options.predictionTags = 0
    case .contrastive: options.contrastiveWeight = 0
    }
  }
}
