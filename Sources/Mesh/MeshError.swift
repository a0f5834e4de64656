/// What the mesh throws: a code to act on and a message to read.
///
/// The message says what was found and what was expected; `hint` names the command or the change that helps. Codes may
/// be added without breaking users, because their initialiser is private. The shape is that of `GLTAError`, which this
/// tree of the package must not import.
public struct MeshError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kind of failure. Compare with the static members.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    /// A few words for people, as "invalid argument".
    public let description: String
    private init(_ description: String) { self.description = description }

    /// An option, an endpoint or a name that cannot work.
    public static let invalidArgument = Code("invalid argument")
    /// A file breaks the rules of its format.
    public static let invalidFile = Code("invalid file")
    /// A file, a socket or a thread that the system refused.
    public static let inputOutput = Code("input/output")
    /// Settings that would let strangers in, or let anybody read along.
    public static let insecure = Code("insecure")
    /// An endpoint that another socket holds, or that this machine does not have.
    public static let endpointUnavailable = Code("endpoint unavailable")
    /// What was asked for needs a loop, a socket or a client that has been closed.
    public static let closed = Code("closed")
    /// No gateway could be reached in time.
    public static let unreachable = Code("unreachable")
    /// A gateway ended the request; `failure` has the status.
    public static let refused = Code("refused")
    /// The gateways that had the request were lost, one after another.
    public static let lost = Code("lost")
    /// The request's time is over; `failure` has the best ranking so far.
    public static let deadline = Code("deadline")
    /// The task that asked was cancelled.
    public static let cancelled = Code("cancelled")
  }

  /// The kind of failure.
  public let code: Code
  /// What was found and what was expected.
  public let message: String
  /// The command or the change that helps.
  public let hint: String?
  /// Of a request to a mesh: how far it came, where, and the best ranking so far.
  public let failure: RequestFailure?

  /// An error of one of the listed codes.
  public init(_ code: Code, _ message: String, hint: String? = nil, failure: RequestFailure? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
    self.failure = failure
  }

  /// The message, and the hint on a line of its own where there is one.
  public var description: String { hint.map { "\(message)\nhint: \($0)" } ?? message }
}
