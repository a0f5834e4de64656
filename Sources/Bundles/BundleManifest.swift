public import Tensors
public import TokenAlignment

/// What a bundle says of itself in `manifest.json`. Nothing here depends on where, when or by whom it was made, so two
/// runs of one training have one content hash.
public struct BundleManifest: Sendable, Codable, Equatable {
  /// The version of the structure that this program writes; a bundle of another is refused.
  public static let currentVersion = 1

  /// Where the data came from.
  public struct Data: Sendable, Codable, Equatable {
    /// SHA-256 of the data set in its canonical form.
    public var hash: String
    /// Users in the data set, whether or not they have held-out items.
    public var users: Int
    /// Items in the catalogue, |I|, which are all that can be ranked.
    public var items: Int
    /// Interactions in the data set, before it was split.
    public var interactions: Int
    /// How it was split, in words: "random 80/10/10 per user, seed 42".
    public var split: String

    /// The identity and the size of a data set.
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
    /// The class of model: "bert", "llama".
    public var architecture: String
    /// D, the width of hidden states and of token embeddings.
    public var hiddenSize: Int
    /// SHA-256 over configuration, weights and tokenizer.
    public var hash: String
    /// What its weights were kept in during training, and are in serving unless somebody says otherwise; nil = as stored.
    public var precision: Precision?

    /// The identity of a language model.
    public init(architecture: String, hiddenSize: Int, hash: String, precision: Precision? = nil) {
      self.architecture = architecture
      self.hiddenSize = hiddenSize
      self.hash = hash
      self.precision = precision
    }
  }

  /// Weights of the final score: prior + gllm x logit, where the prior is a weighted sum of terms that are each
  /// normalised over the catalogue for the user. Any of them may be zero.
  public struct TermWeights: Sendable, Codable, Equatable {
    /// Weight of the dot product of user and item in the graph.
    public var graph: Float
    /// Weight of the cosine between the item's text and the mean text of the user's items.
    public var text: Float
    /// Weight of log(1 + training users of the item).
    public var popularity: Float
    /// Weight of the GLLM logit, which is taken as it is and not normalised.
    public var gllm: Float

    /// Weights of the four parts of the score.
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

  /// "glta-bundle", which tells the manifest from other JSON; another word is refused.
  public var format = "glta-bundle"
  /// The version of the structure that the bundle was written in.
  public var version = BundleManifest.currentVersion
  /// "default" or "paper".
  public var recipe: String
  /// What was left out: "item-alignment", "user-alignment", "profile", "prediction", "contrastive".
  public var without: [String]
  /// The seed of all random numbers of training; `data.split` names that of the split.
  public var seed: UInt64
  /// SHA-256 of the training configuration, by which a finished run is recognised.
  public var configurationHash: String
  /// What it was trained on.
  public var data: Data
  /// What it was aligned with, and needs for ranking.
  public var languageModel: LanguageModel
  /// Settings of alignment. Serving takes from them what goes into the prompt.
  public var alignment: AlignmentOptions
  /// Instruction (a) as a template, on record; ranking does not need it.
  public var itemTemplate: String
  /// Instruction (b), from which serving writes its prompts.
  public var userTemplate: String
  /// What the parts of the final score weigh.
  public var weights: TermWeights
  /// Figures of the fit of weights by name, "ndcg@10" and "graph.ndcg@10"; empty where nothing was fitted.
  public var validation: [String: Double]

  /// A manifest of the current format and version.
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
