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
      for (endpoint, bytes) in reports { print(try MeshReport(json: bytes).text(of: endpoint)) }
    }
  }
}

extension MeshReport {
  /// - Throws: `DecodingError` for another JSON.
  init(json: [UInt8]) throws { self = try JSONDecoder().decode(MeshReport.self, from: Data(json)) }

  func text(of endpoint: Endpoint) -> String {
    var lines = [
      "gateway \(endpoint)  \(peer ?? "")  bundle \(bundle.map { String($0.prefix(16)) } ?? "none yet")",
      "  requests  accepted \(requests.accepted), in flight \(requests.inFlight), retries \(requests.retries); "
        + requests.byStatus.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "),
    ]
    for role in MeshReport.stageNames + ["client"] {
      for session in sessions where session.role == role {
        let slots = role == "client" ? "" : "  slots \(session.slots ?? 0), credit \(session.credit ?? 0)"
        lines.append(
          "  \(role.padding(toLength: 9, withPad: " ", startingAt: 0)) \(session.peer ?? "")\(slots), "
            + "in flight \(session.inFlight), for \(session.age / 1_000) s\(session.isDraining ? ", draining" : "")")
      }
    }
    lines.append("  p50 / p99 in ms     queue           decode          compute         encode          waiting")
    for stage in MeshReport.stageNames {
      let cells = MeshReport.timeParts.map { part -> String in
        guard let item = stages?[stage]?[part], item.count > 0 else { return "-" }
        return String(format: "%.2f / %.2f", item.p50 / 1_000, item.p99 / 1_000)
      }
      let columns = cells.map { $0.padding(toLength: 16, withPad: " ", startingAt: 0) }.joined()
      lines.append("  \(stage.padding(toLength: 18, withPad: " ", startingAt: 0))  \(columns)\(queue[stage] ?? 0)")
    }
    return lines.joined(separator: "\n")
  }
}
