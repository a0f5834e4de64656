public import GLTP

/// Computes the runs of one stage. A worker has as many compute threads as slots; each calls `run` for one run at a time
/// and may stay there as long as the computation takes.
public protocol StageHandler: Sendable {
  /// Memory that a compute thread keeps between runs.
  associatedtype Scratch

  /// The stage that this computes.
  var stage: Stage { get }
  /// The bundle that it computes with.
  var bundle: BundleHash { get }

  /// Called once on each compute thread before its first run.
  func makeScratch() -> Scratch

  /// Computes a run from its first input to its END.
  ///
  /// - Throws: `StageFailure`, which ends the run with its status. What `exchange` throws is passed on.
  func run(_ exchange: some StageExchange, scratch: inout Scratch) throws(StageFailure)
}

/// What opened a run.
public enum StageRequest: Sendable, Equatable {
  /// For encoders: what is to be ranked and for whom.
  case rank(RankRequest)
  /// For aligners and rankers: how many items and how; the rest follows as input.
  case run(RunRequest)
}

/// A run, seen from its compute thread: what came in, and where results go.
///
/// Calls may block, and all of them throw once the run is cancelled, its deadline has passed or its gateway is lost, so a
/// computation that calls one of them between its steps stops when it is no longer wanted.
public protocol StageExchange: ~Copyable {
  /// What the REQUEST of gltp-1.md 5.3 says.
  var request: StageRequest { get }
  /// STREAM and TITLES of the request.
  var flags: MessageFlags { get }
  /// Memory for the tensors of results.
  var buffers: BufferPool { get }

  /// The next chunk of input, of whichever stream has one; nil when every stream that a run of this stage has is FINAL.
  func receive() throws(StageFailure) -> StreamChunk?

  /// Sends a chunk, and waits where the stream's window is closed. A ranking never waits: a newer one replaces it.
  func send(_ chunk: StreamChunk, isFinal: Bool, flags: MessageFlags) throws(StageFailure)

  /// Throws where the run is no longer wanted: for steps that neither receive nor send.
  func check() throws(StageFailure)

  /// Ends the run with status OK. Nothing may be sent after it.
  ///
  /// - Parameter ranking: the final one, from rankers.
  func end(_ ranking: RankingSnapshot?) throws(StageFailure)
}

/// Why a run has no result: the status that its END carries.
public struct StageFailure: Error, Sendable, Equatable {
  /// The END's status (gltp-1.md 9).
  public var status: Status
  /// For people and logs.
  public var detail: String
  /// The best ranking so far, with DEADLINE or CANCELLED.
  public var ranking: RankingSnapshot?

  /// `ranking` is meant for DEADLINE and CANCELLED only (gltp-1.md 5.5).
  public init(_ status: Status, _ detail: String, ranking: RankingSnapshot? = nil) {
    self.status = status
    self.detail = detail
    self.ranking = ranking
  }
}
