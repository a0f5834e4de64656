public import Bundles
import Foundation
import GraphEncoding
public import Interactions
public import Tensors

/// A random search over settings of the graph encoder by validation figures.
///
/// The folder `out` keeps every trial as it ends (`trials.jsonl`), the table (`trials.tsv`), and the best settings as a
/// configuration (`best.json`, for `glta train --config`). A search that was stopped goes on where it was, inside of the
/// trial under way, too. Nothing looks at the test split.
public struct TuningRun {
  /// How far a search goes.
  public struct Limits: Sendable {
    /// Trials at most, the first included.
    public var trials: Int
    /// Time of all trials together, those of earlier calls included; nil has no bound.
    public var seconds: Double?

    /// - Throws: `GLTAError.invalidArgument` for limits that allow nothing.
    public init(trials: Int, seconds: Double?) throws(GLTAError) {
      try Setting.require("trials", trials, in: 1...1_000_000)
      if let seconds { try Setting.require("seconds", seconds, in: 0.001...1e9) }
      (self.trials, self.seconds) = (trials, seconds)
    }
  }

  private let configuration: TrainingConfiguration
  private let space: TuningSpace
  private let limits: Limits
  private let dataset: Dataset
  private let languageModel: LoadedLanguageModel?
  private let folder: String
  private let pool: ThreadPool
  private let reporter: TrainingRun.Reporter
  private let lock: FileLock
  /// Trials that have ended, in their order.
  public private(set) var trials: [TuningTrial] = []

  private static let grace = 2
  private static let enough = 4

  /// Opens a search, or one that was stopped.
  ///
  /// - Parameters:
  ///   - configuration: what trials are laid over.
  ///   - out: the search's folder.
  /// - Throws: `GLTAError.invalidArgument` for a space that does not fit the settings, `.mismatch` where another search
  ///   lies in the folder, `.inputOutput` where another process searches there.
  public init(
    configuration: TrainingConfiguration, space: TuningSpace, limits: Limits, dataset: Dataset,
    languageModel: LoadedLanguageModel?, out: String, pool: ThreadPool, reporter: TrainingRun.Reporter
  ) throws(GLTAError) {
    self.configuration = configuration
    self.space = space
    self.limits = limits
    self.dataset = dataset
    self.languageModel = languageModel
    self.pool = pool
    self.reporter = reporter
    folder = AtomicDirectory.normalized(out)
    if !space.settings.isEmpty { try space.validate() }
    // Trials that cannot be laid over the configuration are found out now, not after an hour.
    for trial in 1...16 {
      _ = try TuningRun.lay(space.draw(trial: trial, seed: configuration.seed), over: configuration)
    }
    let identity = TuningIdentity(
      configuration: try configuration.hash(), space: space, data: DataHash.of(dataset),
      languageModel: languageModel?.identity ?? "none")
    try identity.claim(folder)
    lock = try FileLock(path: folder + "/lock")
    trials = try TuningRun.read(folder + "/trials.jsonl")
  }

  /// Runs the trials that are left.
  ///
  /// - Returns: all trials, in their order.
  /// - Throws: `GLTAError.interrupted` where `progress` asked for it, and where the time was over before the first trial
  ///   ended; errors of the disk. What has ended is kept.
  public mutating func run() throws(GLTAError) -> [TuningTrial] {
    let count = space.settings.isEmpty ? 1 : limits.trials
    while trials.count < count {
      guard remainingSeconds > 0, let settings = nextSettings() else { break }
      guard let trial = try runTrial(trials.count, settings) else { break }
      trials.append(trial)
      try save()
      say(trial)
    }
    guard !trials.isEmpty else {
      throw GLTAError(
        .interrupted, "the time of \(limits.seconds ?? 0) seconds was over before the first trial ended",
        hint: "give more time: the same command goes on from its checkpoint")
    }
    return trials
  }

  private var remainingSeconds: Double {
    limits.seconds.map { limit in limit - trials.reduce(0) { $0 + $1.seconds } } ?? .infinity
  }

  private func say(_ trial: TuningTrial) {
    let settings = trial.settings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    let figure = trial.validation.map { String(format: "%.5f", $0) } ?? "-"
    reporter.say(
      "trial \(trial.number), \(trial.outcome.rawValue): validation \(configuration.graph.metric) \(figure)"
        + (settings.isEmpty ? "" : " with \(settings)") + (trial.note.map { "; \($0)" } ?? ""))
  }

  // MARK: One trial

  /// Settings that no trial has had; nil where the space seems to hold no others.
  private func nextSettings() -> [String: SettingValue]? {
    // The first one is what the search has to beat.
    guard !trials.isEmpty else { return [:] }
    for attempt in 0..<64 {
      let drawn = space.draw(trial: trials.count, attempt: attempt, seed: configuration.seed)
      // As a table shows them: a file does not tell 0 from 0.0.
      if !trials.contains(where: { $0.settings.mapValues(\.description) == drawn.mapValues(\.description) }) {
        return drawn
      }
    }
    return nil
  }

  /// Nil where its time was over: its checkpoint waits for the next call.
  private func runTrial(_ number: Int, _ settings: [String: SettingValue]) throws(GLTAError) -> TuningTrial? {
    var trial = TuningTrial(number: number, settings: settings, outcome: .done, curve: [], epochs: 0, seconds: 0)
    let underWay = "\(folder)/under-way.json"
    let watch = TrialWatch(
      trials: trials, budget: remainingSeconds, grace: TuningRun.grace, enough: TuningRun.enough,
      before: TrialSoFar.read(underWay, trial: number))
    let file = "\(folder)/trial-\(number).safetensors"
    defer { try? FileManager.default.removeItem(atPath: file) }
    do throws(GLTAError) {
      let run = try GraphRun(
        configuration: try TuningRun.lay(settings, over: configuration), dataset: dataset, languageModel: languageModel,
        out: file, resume: true, pool: pool,
        reporter: TrainingRun.Reporter(say: { _ in }) { progress in
          watch.see(progress)
          return reporter.progress(progress) && watch.goesOn
        })
      trial.validation = try run.run(measuring: .validation).validation
    } catch {
      switch error.code {
      case .interrupted where watch.isPruned:
        trial.outcome = .pruned
        trial.validation = watch.curve.last
        try? FileManager.default.removeItem(atPath: RunFolder.path(forBundle: file))
      case .interrupted where watch.isOverTime:
        try watch.soFar(number).write(underWay)
        return nil
      case .interrupted:
        try watch.soFar(number).write(underWay)
        throw error
      case .inputOutput, .mismatch, .invalidFile: throw error
      // What cannot be trained as it stands is no start for a search.
      case _ where number == 0: throw error
      default:
        trial.outcome = .failed
        trial.note = error.message
      }
    }
    try? FileManager.default.removeItem(atPath: underWay)
    (trial.curve, trial.epochs, trial.seconds) = (watch.curve, watch.epochs, watch.seconds)
    return trial
  }

  private static func lay(
    _ settings: [String: SettingValue], over configuration: TrainingConfiguration
  ) throws(GLTAError) -> TrainingConfiguration {
    guard !settings.isEmpty else { return configuration }
    var laid = configuration
    laid.graph = try GraphSettings.lay(settings, over: configuration.graph)
    try laid.graph.validate()
    return laid
  }

  // MARK: The folder

  private static func read(_ path: String) throws(GLTAError) -> [TuningTrial] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    do {
      return try data.split(separator: UInt8(ascii: "\n")).map { try JSONDecoder().decode(TuningTrial.self, from: $0) }
    } catch {
      throw GLTAError(.invalidFile, "\(path) cannot be read: \(error)", hint: "choose another --out")
    }
  }

  private func save() throws(GLTAError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    var lines: [UInt8] = []
    do {
      for trial in trials { lines += try encoder.encode(trial) + [UInt8(ascii: "\n")] }
      try AtomicFile.write(bytes: lines, to: folder + "/trials.jsonl")
      try AtomicFile.write(bytes: Array(trials.table.utf8), to: folder + "/trials.tsv")
      guard let best = trials.best else { return }
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
      let graph = try TuningRun.lay(best.settings, over: configuration).graph
      try AtomicFile.write(bytes: Array(try encoder.encode(["graph": graph])), to: folder + "/best.json")
    } catch let error as GLTAError {
      throw error
    } catch { throw GLTAError(.inputOutput, "cannot write \(folder): \(error)") }
  }
}

/// What tells one search from another: the same arguments go on, others must not mix their trials with these.
private struct TuningIdentity: Encodable {
  let configuration: String
  let space: TuningSpace
  let data: String
  let languageModel: String

  /// Makes the folder this search's.
  func claim(_ folder: String) throws(GLTAError) {
    let file = folder + "/search.json"
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
      let text = try encoder.encode(self)
      if let found = FileManager.default.contents(atPath: file) {
        // As text: JSON does not tell 0 from 0.0.
        guard found != text else { return }
        throw GLTAError(
          .mismatch, "\(folder) holds a search with another configuration, space, data set or language model",
          hint: "give that search's arguments, or another --out")
      }
      guard !FileManager.default.fileExists(atPath: folder) || isEmpty(folder) else {
        throw GLTAError(.inputOutput, "\(folder) exists and is no search", hint: "choose another --out")
      }
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try AtomicFile.write(bytes: Array(text), to: file)
    } catch let error as GLTAError {
      throw error
    } catch { throw GLTAError(.inputOutput, "cannot make \(folder): \(error.localizedDescription)") }
  }

  private func isEmpty(_ folder: String) -> Bool {
    (try? FileManager.default.contentsOfDirectory(atPath: folder).isEmpty) ?? false
  }
}

/// What a trial that was stopped had taken by then.
private struct TrialSoFar: Codable {
  let trial: Int
  let curve: [Double]
  let seconds: Double

  /// Nil where nothing of that trial is known: then its time counts from here.
  static func read(_ path: String, trial: Int) -> TrialSoFar? {
    guard let data = FileManager.default.contents(atPath: path),
      let found = try? JSONDecoder().decode(TrialSoFar.self, from: data)
    else { return nil }
    return found.trial == trial ? found : nil
  }

  func write(_ path: String) throws(GLTAError) {
    do { try AtomicFile.write(bytes: Array(try JSONEncoder().encode(self)), to: path) } catch let error as GLTAError {
      throw error
    } catch { throw GLTAError(.inputOutput, "cannot write \(path): \(error)") }
  }
}

/// Follows a trial, and stops it when its time is over or others have been better.
private final class TrialWatch {
  private let trials: [TuningTrial]
  private let budget: Double
  private let grace: Int
  private let enough: Int
  private let started = ContinuousClock.now
  private let secondsBefore: Double
  private(set) var curve: [Double]
  private(set) var epochs = 0
  private(set) var isPruned = false
  private var lastEpoch = 0

  init(trials: [TuningTrial], budget: Double, grace: Int, enough: Int, before: TrialSoFar?) {
    (self.trials, self.budget, self.grace, self.enough) = (trials, budget, grace, enough)
    (curve, secondsBefore) = (before?.curve ?? [], before?.seconds ?? 0)
  }

  func soFar(_ trial: Int) -> TrialSoFar { TrialSoFar(trial: trial, curve: curve, seconds: seconds) }

  var seconds: Double {
    let time = (ContinuousClock.now - started).components
    return secondsBefore + Double(time.seconds) + Double(time.attoseconds) * 1e-18
  }

  var isOverTime: Bool { seconds >= budget }
  var goesOn: Bool { !isPruned && !isOverTime }

  func see(_ progress: TrainingProgress) {
    guard progress.stage == GraphEncoderTrainer.stage else { return }
    epochs = progress.epoch
    guard progress.epoch != lastEpoch, let validation = progress.validation else { return }
    lastEpoch = progress.epoch
    curve.append(validation)
    isPruned = isPruned || trials.isHopeless(curve, afterLooks: grace, among: enough)
  }
}
