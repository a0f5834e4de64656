import ArgumentParser
import Foundation
import GLTP
import LogitsMatching
import Mesh
import StageServices
import Tensors

struct RankCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rank",
    abstract: "Rank items through a running mesh.",
    discussion: """
      The same rankings as `glta recommend`, bit for bit, computed by the processes of a mesh. With --stream each ranking \
      is shown as it gets better; every one is complete in itself and replaces the one before. When the deadline passes, \
      the best ranking so far is printed, marked, and the exit status is 1.
      """)

  @OptionGroup var mesh: MeshOptions
  @Option(help: ArgumentHelp("A user of the training data.", valueName: "id"))
  var user: String?
  @Option(help: ArgumentHelp("Items that somebody new likes.", valueName: "id,id,..."))
  var items: IDList?
  @Option(help: "How many items to rank.")
  var top = 10
  @Option(help: "slots, first or autoregressive.")
  var mode = PredictionMode.slots
  @Option(help: ArgumentHelp("Rank only these.", valueName: "id,id,..."))
  var candidates: IDList?
  @Option(help: ArgumentHelp("Never rank these.", valueName: "id,id,..."))
  var exclude: IDList?
  @Option(help: ArgumentHelp("Rank only these; with --candidates, what is in both.", valueName: "id,id,..."))
  var allow: IDList?
  @Option(help: ArgumentHelp("How long the mesh may take, in milliseconds.", valueName: "ms"))
  var deadline = 10_000
  @Flag(help: "Show each ranking as it gets better.")
  var stream = false
  @Flag(help: "Print JSON; with --stream one object a line.")
  var json = false

  func validate() throws {
    guard (user == nil) != (items == nil) else {
      throw ValidationError("say for whom: either --user ID or --items ID,ID,...")
    }
    guard (1...1_000).contains(top) else { throw ValidationError("--top is \(top), expected 1 to 1000") }
    guard (1...600_000).contains(deadline) else {
      throw ValidationError("--deadline is \(deadline), expected 1 to 600000 milliseconds")
    }
  }

  func run() async throws {
    let client = try mesh.client(name: "glta rank")
    let result: Result<Void, any Error>
    do {
      result = .success(try await rank(client))
    } catch { result = .failure(error) }
    await client.close()
    try result.get()
  }

  private func rank(_ client: MeshClient) async throws {
    var options = RankOptions(deadline: .milliseconds(deadline))
    options.titles = true
    options.streams = true
    let started = ContinuousClock.now
    do {
      for try await update in client.rank(query, options: options) {
        guard update.isFinal || stream else { continue }
        try show(update, after: ContinuousClock.now - started)
      }
    } catch let error as MeshError {
      guard let best = error.failure?.best else { throw error }
      // The best so far, marked, before the bad news.
      let update = RankingUpdate(ranking: best, isProvisional: error.failure?.isProvisional ?? false, isFinal: false)
      try show(update, after: ContinuousClock.now - started, status: error.failure?.status)
      Terminal.note("Error: \(error)")
      throw ExitCode.failure
    }
  }

  private var query: RankingQuery {
    var query = user.map { RankingQuery(user: $0, count: top) } ?? RankingQuery(items: items?.ids ?? [], count: top)
    query.mode = RankingMode(mode)
    if let candidates { query.candidates = .items(candidates.ids) }
    query.exclude = exclude?.ids ?? []
    query.allow = allow?.ids
    return query
  }

  private func show(_ update: RankingUpdate, after time: Duration, status: Status? = nil) throws {
    let answer = MeshAnswer(update, user: user, status: status)
    if json { return try stream ? Terminal.printJSONLine(answer) : Terminal.printJSON(answer) }
    let milliseconds = Double(time.components.attoseconds) * 1e-15 + Double(time.components.seconds) * 1_000
    print(answer.text(after: milliseconds, showingState: stream || status != nil))
  }
}

/// A ranking of the mesh as people and scripts see it.
private struct MeshAnswer: Encodable {
  let user: String?
  let items: [RankedLine]
  /// OK for a final ranking; a snapshot has none.
  let status: String?
  /// By prior alone, before the language model had its say.
  let provisional: Bool
  let final: Bool
  let itemsSeen: Int
  let itemsTotal: Int

  init(_ update: RankingUpdate, user: String?, status: Status?) {
    let ranking = update.ranking
    self.user = user
    items = ranking.ids.indices.map {
      RankedLine(id: ranking.ids[$0], title: ranking.titles?[$0] ?? ranking.ids[$0], score: ranking.scores[$0])
    }
    self.status = update.isFinal ? "\(Status.ok)" : status.map { "\($0)" }
    provisional = update.isProvisional
    final = update.isFinal
    (itemsSeen, itemsTotal) = (ranking.itemsSeen, ranking.itemsTotal)
  }

  func text(after milliseconds: Double, showingState: Bool) -> String {
    var lines: [String] = [user.map { "user \($0)" } ?? "somebody new"]
    if showingState {
      let kind = final ? "final" : provisional ? "provisional, by prior alone" : "so far"
      let of = itemsTotal > 0 ? " of \(itemsTotal)" : ""
      lines[0] += String(format: "  %@, %d%@ candidates, after %.1f ms", kind, itemsSeen, of, milliseconds)
      if let status, !final { lines[0] += "  (\(status))" }
    }
    return (lines + items.enumerated().map { $1.line(rank: $0 + 1) }).joined(separator: "\n") + "\n"
  }
}

/// An item of a ranking, in JSON and as a line.
struct RankedLine: Encodable {
  let id: String
  let title: String
  let score: Float

  func line(rank: Int) -> String {
    "  \(String(repeating: " ", count: rank < 10 ? 1 : 0))\(rank)  \(title)  [\(id)]  \(score)"
  }
}
