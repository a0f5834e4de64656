import Foundation

/// One training of a search, and what came of it.
public struct TuningTrial: Sendable, Codable, Equatable {
  /// How a trial ended.
  public enum Outcome: String, Sendable, Codable {
    /// Trained to its end, or to its early one.
    case done
    /// Left because trials before it were better by then.
    case pruned
    /// Could not be trained; `note` says why.
    case failed
  }

  /// From zero; the first one has the settings that the search started from.
  public let number: Int
  /// What was drawn for it.
  public let settings: [String: SettingValue]
  /// How it ended.
  public var outcome: Outcome
  /// The best validation figure; nil where it failed.
  public var validation: Double?
  /// The best validation figure after each look.
  public var curve: [Double]
  /// Epochs trained.
  public var epochs: Int
  /// Time taken.
  public var seconds: Double
  /// Why it failed.
  public var note: String?
}

extension [TuningTrial] {
  /// The trial with the highest validation figure, of equals the first.
  public var best: TuningTrial? {
    var best: TuningTrial?
    for trial in self where (trial.validation ?? -.infinity) > (best?.validation ?? -.infinity) { best = trial }
    return best
  }

  /// A table, the best first, separated by tabs.
  public var table: String {
    let names = Set(flatMap { $0.settings.keys }).sorted()
    var lines = [(["trial", "validation", "outcome", "epochs", "seconds"] + names + ["note"]).joined(separator: "\t")]
    for trial in sorted(by: { ($0.validation ?? -.infinity) > ($1.validation ?? -.infinity) }) {
      let cells =
        ["\(trial.number)", trial.validation.map { String(format: "%.5f", $0) } ?? "-", trial.outcome.rawValue]
        + ["\(trial.epochs)", String(format: "%.1f", trial.seconds)]
        + names.map { trial.settings[$0].map { "\($0)" } ?? "" } + [trial.note ?? ""]
      lines.append(cells.joined(separator: "\t"))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Whether a trial with these figures so far is worse than half of the others were at its point.
  ///
  /// The median rule of Golovin et al., *Google Vizier* (KDD 2017), 3.5.1.
  func isHopeless(_ curve: [Double], afterLooks grace: Int, among enough: Int) -> Bool {
    guard let value = curve.last, curve.count > grace else { return false }
    let others = filter { $0.outcome == .done && !$0.curve.isEmpty }
      .map { $0.curve[Swift.min(curve.count, $0.curve.count) - 1] }.sorted()
    guard others.count >= enough else { return false }
    return value < others[others.count / 2]
  }
}
