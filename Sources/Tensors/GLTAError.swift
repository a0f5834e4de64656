/// What every library of the package throws for bad input: a code to act on and a message to read.
///
/// The message says what was found and what was expected; `hint` names the command or the change that helps.
/// Codes may be added without breaking users, because the cases behind them are private (the design of
/// swift-service-lifecycle's errors).
public struct GLTAError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kind of failure. Compare with the static members.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    /// The code in words, such as "invalid file". Not localised, so logs may be searched for it.
    public let description: String
    private init(_ description: String) { self.description = description }

    /// A file breaks the rules of its format, or is truncated.
    public static let invalidFile = Code("invalid file")
    /// A file or a disk could not be read or written.
    public static let inputOutput = Code("input/output")
    /// A model of a class, a dtype or a setting that is not supported.
    public static let unsupported = Code("unsupported")
    /// A data set, an option or a configuration that cannot work.
    public static let invalidArgument = Code("invalid argument")
    /// A user that the bundle or the data set does not have.
    public static let unknownUser = Code("unknown user")
    /// An item that the catalogue does not have.
    public static let unknownItem = Code("unknown item")
    /// More items were asked for than can be ranked.
    public static let notEnoughItems = Code("not enough items")
    /// Two artefacts that do not belong together: a bundle and another data set, language model or version.
    public static let mismatch = Code("mismatch")
    /// A loss or a gradient is no longer a finite number.
    public static let diverged = Code("diverged")
    /// The work was stopped from outside; what was saved is whole.
    public static let interrupted = Code("interrupted")
  }

  /// The kind of failure, for programs to act on.
  public let code: Code
  /// What was found and what was expected.
  public let message: String
  /// The command or the change that helps.
  public let hint: String?

  /// An error with the message and the hint that a person will read.
  public init(_ code: Code, _ message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }

  /// The error of work that was asked to stop.
  package static func stopped(_ stage: String, after done: String) -> GLTAError {
    GLTAError(.interrupted, "\(stage) stopped after \(done)", hint: "the same command with --resume goes on from there")
  }

  /// The error of training that has left the numbers behind; `what` is the first that was seen not to be one.
  package static func diverged(_ stage: String, _ what: String, epoch: Int, step: Int) -> GLTAError {
    GLTAError(
      .diverged, "\(stage): \(what) at epoch \(epoch), step \(step)",
      hint: "the last good checkpoint is kept; lower the stage's learning rate in --config and go on with --resume: "
        + "stages before it are taken up, this one starts anew")
  }

  /// The message, and where there is a hint, the hint on a line of its own.
  public var description: String { hint.map { "\(message)\nhint: \($0)" } ?? message }
}

/// A place for checks of what people and files choose.
package enum Setting {
  /// Makes sure that a setting lies within bounds.
  ///
  /// - Throws: `GLTAError.invalidArgument` naming the setting, its value and the bounds.
  package static func require<Value: Comparable & Sendable>(
    _ name: String, _ value: Value, in range: ClosedRange<Value>
  ) throws(GLTAError) {
    guard range.contains(value) else {
      throw GLTAError(
        .invalidArgument, "\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound)",
        hint: "`glta train --print-config` prints the settings and their defaults")
    }
  }
}
