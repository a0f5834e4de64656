public import LogitsMatching
import Tensors

/// What is to be ranked, for whom and how. Users and items are dense indices of the bundle.
public struct RankingRequest: Sendable, Equatable {
  /// Whom the ranking is for.
  public enum Subject: Sendable, Equatable {
    /// A user of the training data, whose items the bundle has.
    case user(Int)
    /// Somebody else, known by some items.
    case items([Int32])
  }

  /// Which items compete.
  public enum Candidates: Sendable, Equatable {
    /// The whole catalogue where it has at most 20,000 items, else the 2,000 best by prior.
    case automatic
    /// The best `count` by prior.
    case best(Int)
    /// These, in any order.
    case list([Int32])
  }

  /// What of a known user's own items is left out of the ranking.
  public enum Exclusion: Sendable, Equatable {
    /// Training and validation items: what serving and the test ranking leave out.
    case trainAndValidation
    /// Training items: what the validation ranking leaves out.
    case train
  }

  /// Whom the ranking is for.
  public var subject: Subject
  /// Items to return.
  public var count: Int
  /// How slot logits become a ranking.
  public var mode: PredictionMode
  /// Which items compete.
  public var candidates: Candidates
  /// What of a known user's own items is left out.
  public var exclusion: Exclusion
  /// Items that must not be returned.
  public var exclude: [Int32]
  /// Where given, only these may be returned.
  public var allow: [Int32]?

  /// The defaults are those of serving: slots, automatic candidates, and no item that the user is known for.
  public init(
    subject: Subject, count: Int, mode: PredictionMode = .slots, candidates: Candidates = .automatic,
    exclusion: Exclusion = .trainAndValidation, exclude: [Int32] = [], allow: [Int32]? = nil
  ) {
    self.subject = subject
    self.count = count
    self.mode = mode
    self.candidates = candidates
    self.exclusion = exclusion
    self.exclude = exclude
    self.allow = allow
  }
}
