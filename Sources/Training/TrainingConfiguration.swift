import Bundles
public import Foundation
public import GraphEncoding
public import Interactions
public import Tensors
public import TokenAlignment

/// Everything that decides what a training run computes; equal configurations give equal bytes.
public struct TrainingConfiguration: Sendable, Codable, Equatable {
  public var recipe: Recipe
  public var without: [Ablation]
  public var seed: UInt64
  public var splitMethod: SplitMethod
  public var graph: GraphEncoderOptions
  public var alignment: TokenAlignment.AlignmentOptions
  public var itemTemplate: String
  public var userTemplate: String
  /// Validation users that early stopping of stage 3 and the fit of weights rank for, at most, each.
  public var validationUsers = 1_000

  /// A recipe as it stands, with some parts left out.
  public init(recipe: Recipe, without: [Ablation] = [], seed: UInt64 = 42, splitMethod: SplitMethod? = nil) {
    self.recipe = recipe
    self.without = without.sorted { $0.rawValue < $1.rawValue }
    self.seed = seed
    self.splitMethod = splitMethod ?? .random(seed: seed)
    graph = GraphEncoderOptions()
    alignment = recipe.alignment
    for ablation in without { ablation.apply(to: &alignment) }
    itemTemplate = InstructionTemplate.itemAlignment.source
    userTemplate = InstructionTemplate.userAlignment.source
  }

  /// The configuration with the values of a JSON object laid over it: `{"alignment": {"slots": 5}, "graph": {...}}`.
  ///
  /// - Throws: `GLTAError.invalidArgument` for a key that does not exist or a value of another type.
  public func overridden(byJSON data: Data, source: String) throws(GLTAError) -> TrainingConfiguration {
    do {
      let encoded = try JSONSerialization.jsonObject(with: JSONEncoder().encode(self))
      let overrides = try JSONSerialization.jsonObject(with: data)
      let merged = try merge(overrides, into: encoded, path: "", source: source)
      return try JSONDecoder().decode(
        TrainingConfiguration.self, from: JSONSerialization.data(withJSONObject: merged))
    } catch let error as GLTAError {
      throw error
    } catch {
      throw GLTAError(
        .invalidArgument, "\(source) is not a configuration: \(error)",
        hint: "`glta train --print-config` prints one with every key")
    }
  }

  private func merge(_ new: Any, into old: Any, path: String, source: String) throws -> Any {
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

  /// SHA-256 of the configuration's canonical JSON.
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
    _ = try InstructionTemplate(itemTemplate)
    _ = try InstructionTemplate(userTemplate)
    try graph.validate()
    try alignment.validate()
    try Setting.require("validationUsers", validationUsers, in: 1...(1 << 31))
  }
}
