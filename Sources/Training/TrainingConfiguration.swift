import Bundles
public import Foundation
public import GraphEncoding
public import Interactions
public import Tensors
public import TokenAlignment

/// Everything that decides what a training run computes; equal configurations give equal bytes.
public struct TrainingConfiguration: Sendable, Codable, Equatable {
  /// What the other settings start from, and whether the weights of the final score are fitted.
  public var recipe: Recipe
  /// The parts that are left out, in the order of their names; their settings are zero in `alignment`.
  public var without: [Ablation]
  /// The seed of all random numbers but those of the split, which may have one of its own.
  public var seed: UInt64
  /// How each user's interactions are parted into training, validation and test.
  public var splitMethod: SplitMethod
  /// Settings of stage 1.
  public var graph: GraphEncoderOptions
  /// Settings of stages 2 and 3 and of the prompt.
  public var alignment: TokenAlignment.AlignmentOptions
  /// Instruction (a) as a template with `{texts}`, `{items}` and `{slots}`.
  public var itemTemplate: String
  /// Instruction (b) as a template with `{user}`, `{items}`, `{slots}`, and as wanted `{profile}` and `{prediction}`.
  public var userTemplate: String
  /// Validation users that early stopping of stage 3 and the fit of weights rank for, at most, each.
  public var validationUsers = 500
  /// The content of the tags that a decoder wrote (`TagFile.contentHash`); nil = tags are extracted from the catalogue.
  public var generatedTags: String?

  /// A recipe as it stands, with some parts left out.
  public init(recipe: Recipe, without: [Ablation] = [], seed: UInt64 = 42, splitMethod: SplitMethod? = nil) {
    self.recipe = recipe
    self.without = without.sorted { $0.rawValue < $1.rawValue }
    self.seed = seed
    self.splitMethod = splitMethod ?? .random(seed: seed)
    graph = recipe.graph
    alignment = recipe.alignment
    for ablation in without { ablation.apply(to: &alignment) }
    itemTemplate = InstructionTemplate.itemAlignment.source
    userTemplate = InstructionTemplate.userAlignment.source
  }

  /// What a command line says; nil and empty leave the word to the file.
  public struct Choices: Sendable {
    /// The recipe to start from; nil takes the file's, else `default`.
    public var recipe: Recipe?
    /// The parts to leave out; empty takes the file's.
    public var without: [Ablation]
    /// The seed; nil takes the file's, else 42.
    public var seed: UInt64?
    /// Makes the split from the seed. Nil takes the file's where `seed` is nil too, else a random split by the seed.
    public var splitMethod: (@Sendable (UInt64) -> SplitMethod)?

    /// Choices of a command line; without arguments, all is left to the file.
    public init(
      recipe: Recipe? = nil, without: [Ablation] = [], seed: UInt64? = nil,
      splitMethod: (@Sendable (UInt64) -> SplitMethod)? = nil
    ) {
      self.recipe = recipe
      self.without = without
      self.seed = seed
      self.splitMethod = splitMethod
    }
  }

  /// A recipe with the values of a JSON object laid over it, `{"alignment": {"slots": 5}, "graph": {...}}`, as far as the
  /// command line leaves them open.
  ///
  /// What `without` names is left out whatever the object says of it.
  ///
  /// - Parameters:
  ///   - data: the JSON object; nil = the recipe as it stands.
  ///   - source: where the object comes from, for messages.
  /// - Throws: `GLTAError.invalidArgument` for a key that does not exist or a value of another type.
  public init(_ choices: Choices, overriddenByJSON data: Data? = nil, source: String = "") throws(GLTAError) {
    guard let data else {
      let seed = choices.seed ?? 42
      self.init(
        recipe: choices.recipe ?? .default, without: choices.without, seed: seed,
        splitMethod: choices.splitMethod?(seed))
      return
    }
    do {
      let head = try JSONDecoder().decode(Head.self, from: data)
      let seed = choices.seed ?? head.seed ?? 42
      let base = TrainingConfiguration(
        recipe: choices.recipe ?? head.recipe ?? .default,
        without: choices.without.isEmpty ? head.without ?? [] : choices.without, seed: seed,
        splitMethod: choices.splitMethod?(seed) ?? (choices.seed == nil ? head.splitMethod : nil))
      let encoded = try JSONSerialization.jsonObject(with: JSONEncoder().encode(base))
      let overrides = try JSONSerialization.jsonObject(with: data)
      let merged = try TrainingConfiguration.merge(overrides, into: encoded, path: "", source: source)
      self = try JSONDecoder().decode(
        TrainingConfiguration.self, from: JSONSerialization.data(withJSONObject: merged))
      (recipe, without, self.seed, splitMethod) = (base.recipe, base.without, base.seed, base.splitMethod)
      for ablation in without { ablation.apply(to: &alignment) }
    } catch let error as GLTAError {
      throw error
    } catch DecodingError.typeMismatch(_, let context), DecodingError.dataCorrupted(let context) {
      let key = context.codingPath.map(\.stringValue).joined(separator: ".")
      throw GLTAError(
        .invalidArgument,
        "\(source) is not a configuration: \(key.isEmpty ? "" : key + ": ")\(context.debugDescription)",
        hint: "`glta train --print-config` prints one with every key")
    } catch {
      throw GLTAError(
        .invalidArgument, "\(source) is not a configuration: \(error)",
        hint: "`glta train --print-config` prints one with every key")
    }
  }

  /// The choices that decide what the rest of a file is laid over.
  private struct Head: Decodable {
    var recipe: Recipe?
    var without: [Ablation]?
    var seed: UInt64?
    var splitMethod: SplitMethod?
  }

  private static func merge(_ new: Any, into old: Any, path: String, source: String) throws -> Any {
    guard let new = new as? [String: Any], var old = old as? [String: Any] else { return new }
    for (key, value) in new {
      let inner = path.isEmpty ? key : path + "." + key
      guard let current = old[key] else {
        throw GLTAError(
          .invalidArgument, "\(source) sets \(inner), which does not exist",
          hint: "known here are: " + old.keys.sorted().joined(separator: ", "))
      }
      old[key] = try merge(value, into: current, path: inner, source: source)
    }
    return old
  }

  /// Takes the instructions for decoders, where the language model is one and the instructions are those of the recipe.
  public mutating func suitInstructions(toCausal isCausal: Bool) {
    guard isCausal else { return }
    if itemTemplate == InstructionTemplate.itemAlignment.source {
      itemTemplate = InstructionTemplate.itemAlignmentOfDecoders.source
    }
    if userTemplate == InstructionTemplate.userAlignment.source {
      userTemplate = InstructionTemplate.userAlignmentOfDecoders.source
    }
  }

  /// What alignment shows of each user's training items, and what it predicts.
  public func visibleParts(of split: InteractionSplit) -> VisibleParts {
    VisibleParts(train: split.train, targetShare: alignment.targetShare, seed: seed)
  }

  /// SHA-256 of the configuration's canonical JSON (keys sorted), 64 hexadecimal digits.
  ///
  /// - Throws: `GLTAError.invalidArgument` for a number that JSON does not have, such as infinity.
  public func hash() throws(GLTAError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    var hasher = ContentHash()
    do {
      hasher.update(String(decoding: try encoder.encode(self), as: UTF8.self))
    } catch { throw GLTAError(.invalidArgument, "the configuration cannot be encoded: \(error)") }
    return hasher.finish()
  }

  /// Checks what no type can.
  ///
  /// - Throws: `GLTAError.invalidArgument` naming the value.
  func validate() throws(GLTAError) {
    try InstructionTemplate(itemTemplate).require([.texts, .items], for: "item alignment")
    try InstructionTemplate(userTemplate).require([.user, .items], for: "user alignment")
    try graph.validate()
    try alignment.validate()
    try Setting.require("validationUsers", validationUsers, in: 1...(1 << 31))
  }
}
