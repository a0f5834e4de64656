import GLTP
import Mesh

/// A ranking request whose bulk is a list of candidates, and stages that compute next to nothing: what is left is the
/// way through the mesh.
struct Workload: Sendable {
  /// Of the candidate list on the wire: 16 bytes an item, two of them for its length.
  let payloadBytes: Int
  let items: [String]
  let query: RankingQuery

  /// Ids of an item's usual length, as those of Amazon's data sets.
  init(payloadBytes: Int) {
    self.payloadBytes = payloadBytes
    let items = (0..<payloadBytes / 16).map { index in
      let digits = String(index * 7_919 % 1_000_000)
      return "item-B00" + String(repeating: "0", count: 6 - digits.count) + digits
    }
    self.items = items
    var query = RankingQuery(user: "u1", count: Workload.count)
    query.candidates = .items(items)
    self.query = query
  }

  // What the stages answer, whoever carries it.
  static let count = 10
  static let userVector = [Float](repeating: 0.5, count: 64)
  static let history = [Int32](0..<16)
  static let tokens = [Int32](0..<128)
  static let softRows = 2
  static let softColumns = 384
  static let softPositions: [Int32] = [3, 90]
  static let slotPositions = [Int32](118..<128)

  static func name(_ item: Int32) -> String { "item-\(item)" }

  /// Whether a ranking is the one that the stages make.
  func isRight(_ ids: [String]) -> Bool { ids.count == Workload.count && ids[0] == Workload.name(0) }
}

/// Something that answers rankings.
protocol RankingPeer: Sendable {
  var name: String { get }
  func rank(_ workload: Workload) async throws
  func stop() async
}

/// A peer gave an answer that cannot be right.
struct WrongAnswer: Error {
  var peer: String
}
