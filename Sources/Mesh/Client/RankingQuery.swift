public import GLTP

/// What is to be ranked, and for whom, in the ids of the data set.
///
/// ```swift
/// RankingQuery(user: "42", count: 10)
/// RankingQuery(items: ["i1", "i7"], count: 10)   // somebody whom the mesh does not know
/// ```
public struct RankingQuery: Sendable, Hashable {
  /// Which items compete.
  public enum Candidates: Sendable, Hashable {
    /// The whole catalogue up to 20,000 items, else the 2,000 best by prior.
    case automatic
    /// So many, the best by prior; 1 to 1,000,000.
    case best(Int)
    /// These.
    case items([String])
  }

  /// A user of the data set; or, with `items`, a name for somebody else. At most 512 bytes.
  public var user: String?
  /// What is known of a user whom the mesh does not know.
  public var items: [String]?
  /// Items to return, 1 to 1,000.
  public var count: Int
  /// How answers are read from the language model.
  public var mode = RankingMode.slots
  /// Which items compete.
  public var candidates = Candidates.automatic
  /// Items that must not be returned.
  public var exclude: [String] = []
  /// Where given, only these may be returned.
  public var allow: [String]?
  /// What of a known user's own items is left out.
  public var exclusion = ExclusionRule.trainAndValidation

  /// For a user of the data set.
  public init(user: String, count: Int) {
    self.user = user
    self.count = count
  }

  /// For somebody of whom only items are known.
  public init(items: [String], count: Int) {
    self.items = items
    self.count = count
  }

  /// The query as it travels.
  ///
  /// - Throws: `MeshError.invalidArgument` for what no gateway would take.
  func request(_ buffers: BufferPool) throws(MeshError) -> RankRequest {
    func fail(_ text: String) -> MeshError { MeshError(.invalidArgument, text) }
    guard (1...Int(CodecLimits.count)).contains(count) else {
      throw fail("\(count) items asked for, expected 1 to \(CodecLimits.count)")
    }
    if let user, !(1...CodecLimits.stringBytes).contains(user.utf8.count) {
      throw fail("a user id of \(user.utf8.count) bytes, expected 1 to \(CodecLimits.stringBytes)")
    }
    guard user != nil || items != nil else { throw fail("a query needs a user or items") }
    var total = 0
    func list(_ id: TensorID, _ ids: [String]?, _ what: String) throws(MeshError) -> StringList? {
      guard let ids else { return nil }
      let list: StringList
      do throws(FrameError) {
        list = try buffers.strings(id, ids)
      } catch {
        throw fail("the \(what) cannot be sent: ids have 1 to 512 bytes, lists at most 65,536 ids (\(error))")
      }
      total += list.tensor.byteCount
      guard list.tensor.byteCount <= CodecLimits.clientEdge.tensorBytes else {
        throw fail("\(ids.count) \(what) take \(list.tensor.byteCount) bytes, a gateway takes 256 KiB")
      }
      return list
    }
    var request = RankRequest(count: UInt32(count), mode: mode, exclusion: exclusion)
    request.userID = user.map { WireText($0) }
    request.items = try list(.requestItems, items, "known items")
    switch candidates {
    case .automatic: break
    case .best(let count):
      guard (1...1_000_000).contains(count) else {
        throw fail("\(count) candidates asked for, expected 1 to 1,000,000")
      }
      request.retrieve = UInt32(count)
    case .items(let ids): request.candidates = try list(.requestCandidates, ids, "candidates")
    }
    request.exclude = try list(.requestExclude, exclude.isEmpty ? nil : exclude, "excluded items")
    request.allow = try list(.requestAllow, allow, "allowed items")
    guard total <= CodecLimits.clientEdge.messageBytes else {
      throw fail("the query's lists take \(total) bytes, a gateway takes 1 MiB")
    }
    return request
  }
}

/// How a query is to be answered.
public struct RankOptions: Sendable, Hashable {
  /// Time for all of it, failover included; at most 10 minutes.
  public var deadline = Duration.seconds(10)
  /// Whether rankings are wanted before the final one.
  public var streams = true
  /// Whether titles are wanted beside item ids.
  public var titles = false
  /// What gives way when the mesh cannot serve all (gltp-1.md 7.1).
  public var priority = Priority.normal
  /// A probe, which is left out of the mesh's statistics.
  public var isCanary = false
  /// The bundle to rank with; nil for the gateway's current one.
  public var bundle: BundleHash?

  /// 10 s, with snapshots, without titles, on the gateway's current bundle.
  public init() {}

  /// The defaults with another deadline.
  public init(deadline: Duration) { self.deadline = deadline }

  var flags: MessageFlags {
    var flags: MessageFlags = []
    if streams { flags.insert(.stream) }
    if titles { flags.insert(.titles) }
    if isCanary { flags.insert(.canary) }
    return flags
  }
}
