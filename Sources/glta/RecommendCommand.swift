import ArgumentParser
import Bundles
import Foundation
import Interactions
import LogitsMatching
import RankingStages
import Tensors

struct RecommendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recommend",
    abstract: "Rank items for a user, or for anybody who likes some items.",
    discussion: """
      Known users are ranked for by --user (repeat it for several); a user's training and validation items are left out. \
      Somebody new is ranked for by --items.
      """)

  @OptionGroup var options: BundleOptions
  @Option(
    name: .customLong("user"), parsing: .singleValue,
    help: ArgumentHelp("A user of the training data.", valueName: "id"))
  var users: [String] = []
  @Option(help: ArgumentHelp("Items that somebody new likes.", valueName: "id,id,..."))
  var items: IDList?
  @Option(help: "How many items to recommend.")
  var top = 10
  @Option(help: "slots, first or autoregressive.")
  var mode = PredictionMode.slots
  @Option(help: ArgumentHelp("Rank only these.", valueName: "id,id,..."))
  var candidates: IDList?
  @Option(help: ArgumentHelp("Never recommend these.", valueName: "id,id,..."))
  var exclude: IDList?
  @Option(help: ArgumentHelp("Recommend only these; with --candidates, what is in both.", valueName: "id,id,..."))
  var allow: IDList?
  @Flag(help: "Show what the user liked, too.")
  var showHistory = false
  @Flag(help: "Print JSON.")
  var json = false
  @OptionGroup var threading: ThreadOptions

  func validate() throws {
    guard users.isEmpty != (items == nil) else {
      throw ValidationError("say for whom: either --user ID or --items ID,ID,...")
    }
    guard top >= 1 else { throw ValidationError("--top is \(top), expected at least 1") }
  }

  func run() throws {
    let pool = threading.makePool()
    let recommender = try options.loadRecommender(pool: pool)
    let requests = try makeRequests(recommender.bundle)
    let rankings = try recommender.rank(requests, pool: pool)
    let results = try zip(requests, rankings).map { request, ranking in
      Recommendation(
        request, ranking, of: recommender.bundle, showingHistory: showHistory,
        promptTokens: json ? try recommender.promptLength(of: request) : nil)
    }
    if json {
      // One user gives one object, several an array: scripts ask for one at a time.
      return results.count == 1 ? try Terminal.printJSON(results[0]) : try Terminal.printJSON(results)
    }
    for result in results { print(result.text) }
  }

  private func makeRequests(_ bundle: RecommenderBundle) throws(GLTAError) -> [RankingRequest] {
    var subjects: [RankingRequest.Subject] = []
    for user in users { subjects.append(.user(try bundle.userIndex(user))) }
    if let items { subjects.append(.items(try bundle.itemIndices(items.ids))) }
    let list: RankingRequest.Candidates =
      if let candidates { .list(try bundle.itemIndices(candidates.ids)) } else { .automatic }
    let excluded = try bundle.itemIndices(exclude?.ids ?? [])
    var allowed: [Int32]?
    if let allow { allowed = try bundle.itemIndices(allow.ids) }
    return subjects.map {
      RankingRequest(
        subject: $0, count: top, mode: mode, candidates: list, exclude: excluded, allow: allowed)
    }
  }
}

/// Ids separated by commas.
struct IDList: ExpressibleByArgument {
  let ids: [String]

  init?(argument: String) {
    ids = argument.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    if ids.isEmpty { return nil }
  }
}

/// A ranking as people and scripts see it.
struct Recommendation: Encodable {
  let user: String?
  /// Titles of what the user had, where they were asked for.
  let history: [String]?
  let items: [RankedLine]
  /// What the language model read for it; for JSON only.
  let promptTokens: Int?

  init(
    _ request: RankingRequest, _ ranking: [RankedItem], of bundle: RecommenderBundle, showingHistory: Bool,
    promptTokens: Int?
  ) {
    self.promptTokens = promptTokens
    let history: [Int32]
    switch request.subject {
    case .user(let index):
      user = bundle.userIDs[index]
      history = Array(bundle.split.train[index])
    case .items(let items):
      user = nil
      history = items
    }
    self.history = showingHistory ? history.map { Recommendation.title(Int($0), bundle) } : nil
    items = ranking.map {
      RankedLine(
        id: bundle.catalogue.ids[Int($0.item)], title: Recommendation.title(Int($0.item), bundle), score: $0.score)
    }
  }

  private static func title(_ item: Int, _ bundle: RecommenderBundle) -> String {
    let title = bundle.catalogue.titles[item]
    return title.isEmpty ? bundle.catalogue.ids[item] : title
  }

  var text: String {
    var lines = [user.map { "user \($0)" } ?? "somebody new"]
    if let history {
      let shown = history.prefix(8).map { "    \($0)" }
      lines += ["  liked" + (history.count > 8 ? " (8 of \(history.count))" : "")] + shown
      lines.append("  recommended")
    }
    lines += items.enumerated().map { $1.line(rank: $0 + 1) }
    return lines.joined(separator: "\n") + "\n"
  }
}
