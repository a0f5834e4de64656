import Foundation

/// What was measured, for people and for programs.
struct Report: Encodable {
  /// A message through both codecs.
  struct CodecRow: Encodable {
    var message: String
    var peer: String
    /// Nanoseconds to encode and to decode.
    var ours: [Double]
    var theirs: [Double]
    /// How much longer the peer takes for both together; median of the rounds.
    var ratio: Double
    /// What was asked of us; nil for rows that are there for information.
    var target: Double?
  }

  /// A workload through a mesh and through a peer.
  struct RequestRow: Encodable {
    var payloadBytes: Int
    var concurrency: Int
    var peer: String
    /// Requests a second.
    var ours: Double
    var theirs: Double
    /// How many more requests we answer; median of the rounds.
    var ratio: Double
    var target: Double?
  }

  var codec: [CodecRow] = []
  var requests: [RequestRow] = []
  /// Peers that were not there, and why.
  var skipped: [String] = []

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  func text() -> String {
    var lines: [String] = []
    if !codec.isEmpty {
      lines.append("Codec: nanoseconds to encode + decode, serialisation alone")
      for row in codec {
        lines.append(
          "  " + row.message.padded(26) + row.peer.padded(42) + Report.pair(row.ours).padded(17)
            + Report.pair(row.theirs).padded(19) + Report.verdict(row.ratio, row.target))
      }
    }
    if !requests.isEmpty {
      lines.append("Rankings a second: client, gateway, encoder, aligner, ranker, and back")
      for row in requests {
        lines.append(
          "  " + "\(row.payloadBytes >> 10) KiB".padded(8) + "\(row.concurrency) at once".padded(12)
            + row.peer.padded(56) + String(Int(row.ours)).padded(8) + String(Int(row.theirs)).padded(8)
            + Report.verdict(row.ratio, row.target))
      }
    }
    lines += skipped.map { "skipped: " + $0 }
    return lines.joined(separator: "\n")
  }

  private static func pair(_ times: [Double]) -> String { times.map { String(Int($0)) }.joined(separator: " + ") }

  private static func verdict(_ ratio: Double, _ target: Double?) -> String {
    let factor = "\((ratio * 100).rounded() / 100)x"
    guard let target else { return factor }
    return factor + (ratio >= target ? "  (>= \(target))" : "  BELOW \(target)")
  }
}

extension String {
  func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}

/// The middle one; of an even number the upper.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[sorted.count / 2]
}
