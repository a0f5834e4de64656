#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
public import GLTP
public import Logging
import Synchronization

/// Asks a mesh for rankings.
///
/// ```swift
/// let client = MeshClient(gateways: [try Endpoint("tcp://127.0.0.1:5570")])
/// for try await update in client.rank(RankingQuery(user: "42", count: 10)) {
///   print(update.ranking.ids, update.isFinal ? "(final)" : "")
/// }
/// await client.close()
/// ```
/// One client serves a whole process: any number of requests may be under way. It has sessions with all its gateways; a
/// request whose gateway is lost goes on with another one. Every call ends within its deadline, whatever gateways do.
public final class MeshClient: Sendable {
  /// How a client behaves.
  public struct Configuration: Sendable {
    /// How long a request may wait for a session with some gateway.
    public var connectDeadline = Duration.seconds(5)
    /// How often a request is sent at most, to one gateway after another.
    public var attempts = 3
    /// How often names are looked up.
    public var resolveInterval = Duration.seconds(5)
    /// A name for the gateways' logs, 1 to 128 bytes.
    public var name = "client"
    /// Software and version, 1 to 128 bytes.
    public var build = "glta"
    /// Memory for messages.
    public var buffers = BufferPool(budget: 64 << 20)
    /// How sockets connect again; tests want it faster.
    package var timings = LinkTimings()

    /// The defaults above. Values are checked by the first request, which throws `.invalidArgument`.
    public init() {}

    func check() throws(MeshError) {
      guard (1...128).contains(name.utf8.count), (1...128).contains(build.utf8.count) else {
        throw MeshError(.invalidArgument, "a client's name and build have 1 to 128 bytes")
      }
      guard (1...100).contains(attempts), connectDeadline > .zero else {
        throw MeshError(.invalidArgument, "a client needs at least one attempt and time to connect")
      }
    }
  }

  /// As given to `init`.
  public let gateways: [Endpoint]
  private let runtime: ClientRuntime

  /// Opens nothing and starts nothing: the first request does.
  ///
  /// - Parameters:
  ///   - gateways: where gateways take clients, as addresses or as names that may stand for several.
  ///   - logger: says nothing by default.
  public init(
    gateways: [Endpoint], security: LinkSecurity = .open, resolver: any AddressResolver = SystemResolver(),
    configuration: Configuration = Configuration(),
    logger: Logger = Logger(label: "glta.client") { _ in SwiftLogNoOpLogHandler() }
  ) {
    self.gateways = gateways
    runtime = ClientRuntime(
      gateways: gateways, security: security, resolver: resolver, configuration: configuration, logger: logger)
  }

  /// Open sessions with gateways.
  public var sessions: Int { runtime.status.sessions.load(ordering: .relaxed) }

  // MARK: Rankings

  /// Ranks, and shows each ranking as it gets better. The last element is final.
  ///
  /// Nothing is sent before the sequence is iterated; each iteration is a request of its own. Leaving the loop, or
  /// cancelling the task, cancels the request in the mesh. A task that is slower than the mesh skips rankings.
  ///
  /// - Returns: a sequence that throws `MeshError`, whose `failure` has the status and the best ranking so far:
  ///   `.unreachable`, `.refused`, `.lost`, `.deadline`, `.cancelled`, `.closed`, `.invalidArgument`, `.insecure`.
  public func rank(
    _ query: RankingQuery, options: RankOptions = RankOptions()
  ) -> some AsyncSequence<RankingUpdate, MeshError> & Sendable {
    RankingUpdates(runtime: runtime, query: query, options: options)
  }

  /// Ranks, and waits for the final ranking.
  ///
  /// - Throws: as `rank`.
  public func ranking(_ query: RankingQuery, options: RankOptions = RankOptions()) async throws(MeshError) -> Ranking {
    var options = options
    options.streams = false
    var updates = RankingUpdates(runtime: runtime, query: query, options: options).makeAsyncIterator()
    while let update = try await updates.next() {
      if update.isFinal { return update.ranking }
    }
    throw MeshError(.lost, "the request ended without a final ranking")
  }

  // MARK: Gateways

  /// A gateway's REPORT (gltp-1.md 5.6): JSON, in UTF-8.
  ///
  /// - Parameter gateway: one of `gateways`; of a name, the first address that is known.
  /// - Throws: `MeshError.unreachable` where it does not answer within the deadline, `.invalidArgument` for an endpoint
  ///   that is not this client's, `.cancelled`, `.closed`.
  public func status(of gateway: Endpoint, deadline: Duration = .seconds(5)) async throws(MeshError) -> [UInt8] {
    guard gateways.contains(gateway) else {
      throw MeshError(.invalidArgument, "\(gateway) is not one of this client's gateways")
    }
    let id = RequestID.next()
    let question = StatusQuestion(limit: .now + MonotonicDuration(deadline))
    try runtime.post(.status(id, gateway, question))
    if let answer = await question.answer.wait(for: deadline + .milliseconds(250)) { return try answer.get() }
    runtime.forget(id)
    throw Task.isCancelled
      ? MeshError(.cancelled, "cancelled while \(gateway) was asked for its report")
      : MeshError(.unreachable, "\(gateway) did not answer within \(deadline)")
  }

  /// Says goodbye to the gateways and ends the I/O thread. Requests that come afterwards fail with `MeshError.closed`.
  ///
  /// - Parameter limit: how long requests under way may still be finished; those that are not fail.
  public func close(finishingWithin limit: Duration = .zero) async { await runtime.close(finishingWithin: limit) }
}

extension RequestID {
  /// A new name, in the order of time.
  static func next() -> RequestID {
    let time = SystemTime.with(nanoseconds: 0) { time in
      clock_gettime(CLOCK_REALTIME, time)
      return SystemTime.nanoseconds(time)
    }
    var random = SystemRandomNumberGenerator()
    return RequestID(milliseconds: UInt64(max(0, time) / 1_000_000), using: &random)
  }
}
