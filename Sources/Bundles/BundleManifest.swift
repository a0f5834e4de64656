public import TokenAlignment

/// What a bundle says of itself in `manifest.json`. Nothing here depends on where, when or by whom it was made, so two
/// runs of one training have one content hash.
public struct BundleManifest: Sendable, Codable, Equatable {
  /// The structure's version; another number is refused.
  public static let currentVersion = 1

  /// Where the data came from.
  public struct Data: Sendable, Codable, Equatable {
    /// SHA-256 of the data set in its canonical form.
    public var hash: String
    public var users: Int
    public var items: Int
    public var interactions: Int
    /// How it was split, in words: "random 80/10/10, seed 42".
    public var split: String

    public init(hash: String, users: Int, items: Int, interactions: Int, split: String) {
      self.hash = hash
      self.users = users
      self.items = items
      self.interactions = interactions
      self.split = split
    }
  }

  /// The frozen language model, which is not part of the bundle unless it was copied.
  public struct LanguageModel: Sendable, Codable, Equatable {
    /// "bert".
    public var architecture: String
    public var hiddenSize: Int
    /// SHA-256 over configuration, weights and tokenizer.
    public var hash: String

    public init(architecture: String, hiddenSize: Int, hash: String) {
      self.architecture = architecture
      self.hiddenSize = hiddenSize
      self.hash = hash
    }
  }

  /// Weights of the final score: prior + gllm x logit, where the prior is a weighted sum of terms that are each
  /// normalised over the catalogue for the user. Any of them may be zero.
  public struct TermWeights: Sendable, Codable, Equatable {
    public var graph: Float
    public var text: Float
    public var popularity: Float
    public var gllm: Float

    public init(graph: Float, text: Float, popularity: Float, gllm: Float) {
      self.graph = graph
      self.text = text
      self.popularity = popularity
      self.gllm = gllm
    }

    /// The paper's score: logits alone.
    public static let logitsOnly = TermWeights(graph: 0, text: 0, popularity: 0, gllm: 1)
    /// The graph's score alone.
    public static let graphOnly = TermWeights(graph: 1, text: 0, popularity: 0, gllm: 0)
  }

  public var format = "glta-bundle"
  public var version = BundleManifest.currentVersion
  /// "default" or "paper".
  public var recipe: String
  /// What was left out: "item-alignment", "user-alignment", "profile", "prediction", "contrastive".
  public var without: [String]
  public var seed: UInt64
  /// SHA-256 of the training configuration, by which a finished run is recognised.
  public var configurationHash: String
  public var data: Data
  public var languageModel: LanguageModel
  public var alignment: AlignmentOptions
  /// Instruction (a) and (b) as templates.
  public var itemTemplate: String
  public var userTemplate: String
  public var weights: TermWeights
  /// Validation figures of training, by name.
  public var validation: [String: Double]

  public init(
    recipe: String, without: [String], seed: UInt64, configurationHash: String, data: Data,
    languageModel: LanguageModel, alignment: AlignmentOptions, itemTemplate: String, userTemplate: String,
    weights: TermWeights,
    validation: [String: Double]
  ) {
    self.recipe = recipe
    self.without = without
    self.seed = seed
    self.configurationHash = configurationHash
    self.data = data
    self.languageModel = languageModel
    self.alignment = alignment
    self.itemTemplate = itemTemplate
    self.userTemplate = userTemplate
    self.weights = weights
    self.validation = validation
  }
}
