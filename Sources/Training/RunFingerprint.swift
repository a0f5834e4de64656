import Foundation
import Tensors
import TokenAlignment

/// The parts of training that leave checkpoints, in their order; the raw value is the checkpoint's name.
enum TrainingStage: String, Codable, CaseIterable {
  case graph
  case text
  case itemAlignment = "item-alignment"
  case userAlignment = "user-alignment"
}

/// What a training run computes: for each stage a digest of its settings and of everything before it.
struct RunFingerprint: Codable, Equatable {
  private var stages: [String: String]
  private var dataHash: String
  private var languageModelHash: String

  init(
    configuration: TrainingConfiguration, dataHash: String, languageModelHash: String
  ) throws(GLTAError) {
    self.dataHash = dataHash
    self.languageModelHash = languageModelHash
    let shared = ["\(configuration.seed)", "\(configuration.splitMethod)", dataHash]
    let graph = RunFingerprint.digest(shared + [try RunFingerprint.json(configuration.graph)])
    let text = RunFingerprint.digest([graph, languageModelHash])
    let item = RunFingerprint.digest([
      text, configuration.itemTemplate,
      try RunFingerprint.json(configuration.alignment, without: userSettings.union(memorySettings)),
    ])
    let user = RunFingerprint.digest(
      [
        item, configuration.userTemplate, try RunFingerprint.json(configuration.alignment, without: memorySettings),
        "\(configuration.validationUsers)",
      ] + (configuration.generatedTags.map { [$0] } ?? []))
    stages = [
      TrainingStage.graph.rawValue: graph, TrainingStage.text.rawValue: text,
      TrainingStage.itemAlignment.rawValue: item, TrainingStage.userAlignment.rawValue: user,
    ]
  }

  /// The stages whose checkpoints in `path` are of no use to this run.
  ///
  /// - Throws: `GLTAError.mismatch` where not even the first stage is the same.
  func stagesToRestart(after found: RunFingerprint, at path: String) throws(GLTAError) -> [TrainingStage] {
    let changed = TrainingStage.allCases.filter { stages[$0.rawValue] != found.stages[$0.rawValue] }
    guard changed.contains(.graph) || languageModelHash != found.languageModelHash else { return changed }
    let difference =
      if found.dataHash != dataHash {
        "another data set"
      } else if found.languageModelHash != languageModelHash {
        "another language model"
      } else {
        "another configuration (seed, split or the graph's settings)"
      }
    throw GLTAError(
      .mismatch, "\(path) holds the checkpoints of a run with \(difference)",
      hint: "give that run's arguments, another --out, or leave out --resume to start anew")
  }

  private static func digest(_ parts: [String]) -> String {
    var hasher = ContentHash()
    for part in parts { hasher.update("\(part.utf8.count) \(part)\n") }
    return hasher.finish()
  }

  private static func json(_ value: some Encodable, without keys: Set<String> = []) throws(GLTAError) -> String {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      let data = try encoder.encode(value)
      guard !keys.isEmpty, let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
        return String(decoding: data, as: UTF8.self)
      }
      let kept = object.filter { !keys.contains($0.key) }
      return String(
        decoding: try JSONSerialization.data(withJSONObject: kept, options: [.sortedKeys]), as: UTF8.self)
    } catch { throw GLTAError(.invalidArgument, "the configuration cannot be encoded: \(error)") }
  }
}

/// Settings of alignment that change no bit of what is learned.
private let memorySettings: Set = ["activationBytes"]

/// Settings of alignment that stage 2 does not read.
private let userSettings: Set = [
  "slots", "historyLength", "profileTags", "predictionTags", "targetShare", "userEpochs", "usersPerEpoch",
  "userLearningRate", "patience",
]
