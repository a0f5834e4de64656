/// The parts of a gateway's REPORT (gltp-1.md 5.6) that tools and tests read.
///
/// ```swift
/// let report = try JSONDecoder().decode(MeshReport.self, from: Data(try await client.status(of: gateway)))
/// ```
public struct MeshReport: Decodable, Sendable {
  /// A client or a worker of the gateway.
  public struct Session: Decodable, Sendable {
    /// client, encoder, aligner or ranker.
    public let role: String
    /// Its name.
    public let peer: String?
    /// The hash of the bundle that it serves.
    public let bundle: String?
    /// Runs that it takes at once.
    public let slots: Int?
    /// Runs that it has room for.
    public let credit: Int?
    /// Runs or requests under way.
    public let inFlight: Int
    /// Milliseconds since it came.
    public let age: Int
    /// Whether it leaves.
    public let isDraining: Bool

    private enum CodingKeys: String, CodingKey {
      case role, peer, bundle, slots, credit
      case inFlight = "in_flight"
      case age = "age_ms"
      case isDraining = "draining"
    }
  }

  /// Times of the last minute, in microseconds.
  public struct Distribution: Decodable, Sendable {
    /// How many.
    public let count: Int
    /// Their mean.
    public let mean: Double
    /// The median.
    public let p50: Double
    /// The 99th percentile.
    public let p99: Double
  }

  /// The gateway's requests since it started.
  public struct Requests: Decodable, Sendable {
    /// Those that were taken.
    public let accepted: Int
    /// Those under way.
    public let inFlight: Int
    /// Those that ended, by their status.
    public let byStatus: [String: Int]
    /// Runs that were started again.
    public let retries: Int
    /// Damaged messages.
    public let damaged: Int
    /// Breaches of the protocol.
    public let violations: Int
    /// Sessions that ended without a goodbye.
    public let lostSessions: Int

    private enum CodingKeys: String, CodingKey {
      case accepted, retries, damaged, violations
      case inFlight = "in_flight"
      case byStatus = "by_status"
      case lostSessions = "lost_sessions"
    }
  }

  /// The gateway's name.
  public let peer: String?
  /// The hash of the bundle that requests are ranked with; nil while no bundle has all stages.
  public let bundle: String?
  /// The gateway's memory, in bytes.
  public let residentBytes: Int
  /// Runs that wait for a worker, by stage.
  public let queue: [String: Int]
  /// What became of requests.
  public let requests: Requests
  /// Who is connected.
  public let sessions: [Session]
  /// Queue, decode, compute and encode of each stage.
  public let stages: [String: [String: Distribution]]?

  private enum CodingKeys: String, CodingKey {
    case peer, bundle, queue, requests, sessions, stages
    case residentBytes = "resident_bytes"
  }

  /// The stages by name, in the order of a ranking.
  public static let stageNames = ["encoder", "aligner", "ranker"]
  /// The parts of a stage's time, in order.
  public static let timeParts = ["queue", "decode", "compute", "encode"]

  /// Workers of a stage that can be given the current bundle's runs.
  public func workers(of role: String) -> Int {
    sessions.count { $0.role == role && !$0.isDraining && bundle != nil && $0.bundle == bundle }
  }
}
