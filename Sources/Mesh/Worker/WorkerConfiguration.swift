public import GLTP

/// How a worker is set up: for whom it works, and within which limits.
public struct MeshWorkerConfiguration: Sendable {
  /// Where gateways take workers, as addresses or as names that may stand for several.
  public var gateways: [Endpoint]
  /// Keys, or that there are none.
  public var security = LinkSecurity.open
  /// Looks names up, again and again.
  public var resolver: any AddressResolver = SystemResolver()
  /// How often names are looked up.
  public var resolveInterval = Duration.seconds(5)
  /// Runs at once, each on a compute thread of its own.
  public var slots = 1
  /// A name for logs and reports, at most 128 bytes.
  public var name = "worker"
  /// Software and version, for logs and reports, at most 128 bytes.
  public var build = "glta"
  /// Chunks of an input stream that may wait for computation.
  public var inputRoom = 8
  /// What the longest step of a ranking took when the process warmed up, on these machines and with this bundle.
  public var warmUpTime = Duration.seconds(1)
  /// How many times as long as that a step may take before the worker takes itself for stuck.
  public var stuckMultiple = 30
  /// A step that has taken less than this is never stuck: short warm-up times say little.
  public var stuckAtLeast = Duration.seconds(5)
  /// How long the other runs may go on once a worker is stuck.
  public var stuckGrace = Duration.seconds(5)
  /// Memory for messages, which bounds what decoding takes; one for the whole process.
  public var buffers = BufferPool()
  /// How sockets connect again; tests want it faster.
  package var timings = LinkTimings()

  /// One slot and the defaults above. Values are checked when the worker starts, which throws `.invalidArgument`.
  public init(gateways: [Endpoint]) { self.gateways = gateways }

  /// How long a step may take before the worker takes itself for stuck.
  public var stuckLimit: Duration { max(stuckAtLeast, warmUpTime * stuckMultiple) }

  func check() throws(MeshError) {
    func fail(_ text: String) -> MeshError { MeshError(.invalidArgument, text) }
    guard !gateways.isEmpty else {
      throw MeshError(
        .invalidArgument, "a worker without a gateway has nothing to do", hint: "name one with --gateway URL")
    }
    guard (1...1_024).contains(slots) else { throw fail("\(slots) slots, expected 1 to 1024") }
    guard (1...128).contains(name.utf8.count), (1...128).contains(build.utf8.count) else {
      throw fail("a worker's name and build have 1 to 128 bytes")
    }
    guard (1...1_024).contains(inputRoom) else { throw fail("inputRoom is \(inputRoom), expected 1 to 1024") }
    guard stuckMultiple >= 1, warmUpTime >= .zero else { throw fail("a stuck limit of less than the warm-up time") }
  }
}

extension Stage {
  /// The role of a worker for the stage; nil for `none`.
  var role: Role? {
    switch self {
    case .none: nil
    case .encoder: .encoder
    case .aligner: .aligner
    case .ranker: .ranker
    }
  }

  /// The stage's name in reports.
  package var name: String {
    switch self {
    case .none: "none"
    case .encoder: "encoder"
    case .aligner: "aligner"
    case .ranker: "ranker"
    }
  }
}
