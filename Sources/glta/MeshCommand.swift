import ArgumentParser
import Foundation
import Mesh

struct MeshCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mesh", abstract: "Look into a running mesh.", subcommands: [StatusCommand.self])

  struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "status", abstract: "Show sessions, credit, queues and where the time of each stage goes.",
      discussion: """
        One report for each gateway. Times are of the last minute: queue (waiting for a worker and in it), decode, \
        compute, encode.
        """)

    @OptionGroup var mesh: MeshOptions
    @Flag(help: "Print the gateways' own JSON; an array where there are several.")
    var json = false

    func run() async throws {
      let client = try mesh.client(name: "glta mesh status")
      let result: Result<Void, any Error>
      do {
        result = .success(try await show(client))
      } catch { result = .failure(error) }
      await client.close()
      try result.get()
    }

    private func show(_ client: MeshClient) async throws {
      let endpoints = try mesh.endpoints()
      var reports: [(Endpoint, [UInt8])] = []
      for endpoint in endpoints { reports.append((endpoint, try await client.status(of: endpoint))) }
      if json {
        let texts = reports.map { String(decoding: $0.1, as: UTF8.self) }
        return print(texts.count == 1 ? texts[0] : "[" + texts.joined(separator: ",\n") + "]")
      }
      for (endpoint, bytes) in reports { print(try MeshReport(bytes).text(of: endpoint)) }
    }
  }
}

/// The parts of a gateway's REPORT (gltp-1.md 5.6) that the tool reads.
struct MeshReport: Decodable {
  struct Session: Decodable {
    let role: String
    let peer: String?
    let bundle: String?
    let slots: Int?
    let credit: Int?
    let in_flight: Int
    let age_ms: Int
    let draining: Bool
  }

  struct Distribution: Decodable {
    let count: Int
    let mean: Double
    let p50: Double
    let p99: Double
  }

  struct Requests: Decodable {
    let accepted: Int
    let in_flight: Int
    let by_status: [String: Int]
    let retries: Int
  }

  let peer: String?
  let bundle: String?
  let queue: [String: Int]
  let requests: Requests
  let sessions: [Session]
  let stages: [String: [String: Distribution]]?

  /// - Throws: `DecodingError` for another JSON.
  init(_ bytes: [UInt8]) throws { self = try JSONDecoder().decode(MeshReport.self, from: Data(bytes)) }

  /// Whether each stage has a worker of the current bundle that does not drain.
  var isReady: Bool { MeshReport.stages.allSatisfy { workers(of: $0) > 0 } }

  /// Workers of a stage that can be given the current bundle's runs.
  func workers(of role: String) -> Int {
    sessions.filter { $0.role == role && !$0.draining && bundle != nil && $0.bundle == bundle }.count
  }

  static let stages = ["encoder", "aligner", "ranker"]

  func text(of endpoint: Endpoint) -> String {
    var lines = [
      "gateway \(endpoint)  \(peer ?? "")  bundle \(bundle.map { String($0.prefix(16)) } ?? "none yet")",
      "  requests  accepted \(requests.accepted), in flight \(requests.in_flight), retries \(requests.retries); "
        + requests.by_status.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "),
    ]
    for role in MeshReport.stages + ["client"] {
      for session in sessions where session.role == role {
        let slots = role == "client" ? "" : "  slots \(session.slots ?? 0), credit \(session.credit ?? 0)"
        lines.append(
          "  \(role.padding(toLength: 9, withPad: " ", startingAt: 0)) \(session.peer ?? "")\(slots), "
            + "in flight \(session.in_flight), for \(session.age_ms / 1_000) s\(session.draining ? ", draining" : "")")
      }
    }
    lines.append("  p50 / p99 in ms     queue           decode          compute         encode          waiting")
    for stage in MeshReport.stages {
      let cells = ["queue", "decode", "compute", "encode"].map { part -> String in
        guard let item = stages?[stage]?[part], item.count > 0 else { return "-" }
        return String(format: "%.2f / %.2f", item.p50 / 1_000, item.p99 / 1_000)
      }
      let columns = cells.map { $0.padding(toLength: 16, withPad: " ", startingAt: 0) }.joined()
      lines.append("  \(stage.padding(toLength: 18, withPad: " ", startingAt: 0))  \(columns)\(queue[stage] ?? 0)")
    }
    return lines.joined(separator: "\n")
  }
}
