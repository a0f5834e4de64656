import Foundation
import TestSupport
import Testing

/// Training, evaluating and recommending as scripts do.
struct RankingTests {
  private func items(_ output: [String: Any]) throws -> [(id: String, title: String, score: Double)] {
    try #require(output["items"] as? [[String: Any]]).map {
      (
        try #require($0["id"] as? String), try #require($0["title"] as? String),
        try #require(($0["score"] as? NSNumber)?.doubleValue)
      )
    }
  }

  @Test func evaluatesBesidePopularityAndTheGraph() throws {
    let world = try SmallWorld.get()
    for split in ["validation", "test"] {
      let report = try Tool.succeed([
        "evaluate", "--bundle", world.bundle, "--split", split, "--data", world.data, "--json",
      ]).json
      #expect((report["users"] as? NSNumber)?.intValue == 60)
      for ranking in ["metrics", "graph", "popularity"] {
        let metrics = try #require(report[ranking] as? [String: Any])
        for name in ["precision", "recall", "ndcg", "hit", "mrr"] {
          for k in [5, 10, 20] {
            let value = try #require((metrics["\(name)@\(k)"] as? NSNumber)?.doubleValue, "\(ranking) \(name)@\(k)")
            #expect(value >= 0 && value <= 1)
          }
        }
      }
    }
  }

  @Test func evaluatesInOtherPrecisionsAndByLogitsAlone() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    func evaluate(_ more: [String]) throws -> (metrics: [String: Double], rankings: [[String: Any]]) {
      let file = folder.path + "/rankings.jsonl"
      let report = try Tool.succeed(["evaluate", "--bundle", world.bundle, "--json", "--rankings", file] + more).json
      let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
      return (
        try #require(report["metrics"] as? [String: Double]),
        try lines.map { try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
      )
    }
    let whole = try evaluate([])
    #expect(whole.rankings.count == 60)
    for line in whole.rankings {
      #expect((line["items"] as? [String])?.count == 20 && (line["relevant"] as? [String])?.isEmpty == false)
    }
    // What the file holds gives the figures that the report has.
    let hits = whole.rankings.filter { line in
      let relevant = Set(line["relevant"] as? [String] ?? [])
      return (line["items"] as? [String] ?? []).prefix(10).contains { relevant.contains($0) }
    }
    #expect(abs((whole.metrics["hit@10"] ?? -1) - Double(hits.count) / 60) < 1e-9)
    #expect(try evaluate(["--precision", "f32"]).metrics == whole.metrics)
    let logits = try evaluate(["--logits-alone"])
    #expect(logits.metrics != whole.metrics)
    #expect(try evaluate(["--logits-alone", "--precision", "int8"]).rankings.count == 60)
    try Tool.refuse(
      ["evaluate", "--bundle", world.bundle, "--logits-alone", "--candidates", "30"], saying: ["--logits-alone"])
  }

  @Test func recommendsWhatAUserHasNotHad() throws {
    let world = try SmallWorld.get()
    let found = try items(
      Tool.succeed(["recommend", "--bundle", world.bundle, "--user", "u3", "--top", "10", "--json"]).json)
    #expect(found.count == 10)
    #expect(Set(found.map(\.id)).count == 10)
    #expect(zip(found, found.dropFirst()).allSatisfy { $0.score >= $1.score })
    #expect(found.allSatisfy { $0.title.hasPrefix("The ") })
    let excluded = try items(
      Tool.succeed(
        ["recommend", "--bundle", world.bundle, "--user", "u3", "--top", "9", "--exclude", found[0].id, "--json"]).json)
    #expect(excluded.map(\.id) == found.dropFirst().map(\.id))
    let allowed = [found[4].id, found[2].id]
    let among = try items(
      Tool.succeed(
        [
          "recommend", "--bundle", world.bundle, "--user", "u3", "--top", "2", "--allow",
          allowed.joined(separator: ","), "--json",
        ]
      ).json)
    #expect(among.map(\.id) == [found[2].id, found[4].id])
  }

  @Test(arguments: ["slots", "first", "autoregressive"])
  func recommendsForSomebodyNew(mode: String) throws {
    let world = try SmallWorld.get()
    let found = try items(
      Tool.succeed(
        ["recommend", "--bundle", world.bundle, "--items", "i0,i8,i16", "--top", "5", "--mode", mode, "--json"]).json)
    #expect(found.count == 5)
    #expect(Set(found.map(\.id)).isDisjoint(with: ["i0", "i8", "i16"]))
  }

  @Test func scoresTheSameAloneAndInABatchOnAnyNumberOfThreads() throws {
    let world = try SmallWorld.get()
    // A bundle in which every term has a part: a fit may have set the logits' weight to zero.
    let bundle = world.folder.path + "/paper"
    _ = try SmallWorld.train(data: world.data, out: bundle, ["--recipe", "paper"])
    let users = (0..<12).map { "u\($0)" }
    let batch = try Tool.succeed(
      ["recommend", "--bundle", bundle, "--top", "8", "--json", "--threads", "2"] + users.flatMap { ["--user", $0] }
    ).jsonArray
    try #require(batch.count == users.count)
    for (user, together) in zip(users, batch) {
      let alone = try items(
        Tool.succeed(["recommend", "--bundle", bundle, "--user", user, "--top", "8", "--json", "--threads", "1"]).json)
      let expected = try items(together)
      #expect(alone.map(\.id) == expected.map(\.id))
      // JSON has floats that round-trip: equal text is equal bits.
      #expect(alone.map(\.score) == expected.map(\.score))
    }
  }

  @Test func threadsDoNotChangeABundle() throws {
    let world = try SmallWorld.get()
    for recipe in ["default", "paper"] {
      let hashes = try [1, 2, 3].map {
        try SmallWorld.train(
          data: world.data, out: world.folder.path + "/threads-\(recipe)-\($0)",
          ["--threads", "\($0)", "--recipe", recipe])
      }
      #expect(Set(hashes).count == 1)
      if recipe == "default" { #expect(hashes[0] == world.hash) }
    }
    #expect(try SmallWorld.train(data: world.data, out: world.folder.path + "/seed", ["--seed", "1"]) != world.hash)
  }

  @Test(arguments: ["item-alignment", "user-alignment", "profile", "prediction", "contrastive"])
  func trainsWithoutAPart(part: String) throws {
    let world = try SmallWorld.get()
    let out = world.folder.path + "/without-" + part
    #expect(try SmallWorld.train(data: world.data, out: out, ["--without", part]) != world.hash)
    try Tool.succeed(["recommend", "--bundle", out, "--user", "u0", "--top", "3"])
  }

  @Test func aPrintedConfigurationIsTheRunsOwn() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let printed = try Tool.succeed(["train", "--print-config", "--recipe", "paper", "--without", "profile"])
    let file = try folder.write("config.json", printed.out)
    let asArguments = try SmallWorld.train(
      data: world.data, out: folder.path + "/a", ["--recipe", "paper", "--without", "profile"])
    #expect(try SmallWorld.train(data: world.data, out: folder.path + "/b", ["--config", file]) == asArguments)
    // The recipe of a file decides what the file leaves open; a part that is left out is, whatever else is said.
    let short = try folder.write(
      "short.json", #"{"recipe": "paper", "without": ["profile"], "alignment": {"profileTags": 6}}"#)
    #expect(try SmallWorld.train(data: world.data, out: folder.path + "/c", ["--config", short]) == asArguments)
  }

  @Test func theNameOfAFolderIsNotPartOfTheContent() throws {
    let world = try SmallWorld.get()
    let copy = world.folder.path + "/data-of-another-name"
    try FileManager.default.copyItem(atPath: world.data, toPath: copy)
    #expect(try SmallWorld.train(data: copy, out: world.folder.path + "/renamed") == world.hash)
  }

  @Test func carriesTheLanguageModelWhenAsked() throws {
    let world = try SmallWorld.get()
    let out = world.folder.path + "/carrying"
    #expect(try SmallWorld.train(data: world.data, out: out, ["--copy-language-model"]) == world.hash)
    #expect(FileManager.default.fileExists(atPath: out + "/language-model/model.safetensors"))
    let moved = world.folder.path + "/moved"
    try FileManager.default.moveItem(atPath: out, toPath: moved)
    try Tool.succeed(["recommend", "--bundle", moved, "--user", "u0"])
  }

  @Test func aBundleIsReadableFromPython() throws {
    let world = try SmallWorld.get()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", TestPaths.root + "/Tests/Golden/read_bundle.py", world.bundle]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  @Test func itemsWithoutATextAreRankedLikeOthers() throws {
    let folder = try TemporaryFolder()
    let world = try SmallWorld.get()
    try FileManager.default.copyItem(atPath: world.data, toPath: folder.path + "/data")
    // Every fourth item loses its text; then all do.
    let file = folder.path + "/data/items.tsv"
    let lines = try String(contentsOfFile: file, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: true)
    for every in [4, 1] {
      let bare = lines.enumerated().map { number, line -> String in
        guard number > 0, number % every == 0 else { return String(line) }
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
        return ([String(fields[0])] + [String](repeating: "", count: fields.count - 1)).joined(separator: "\t")
      }
      try folder.write("data/items.tsv", bare.joined(separator: "\n") + "\n")
      let out = folder.path + "/bundle-\(every)"
      _ = try SmallWorld.train(data: folder.path + "/data", out: out)
      let found = try items(Tool.succeed(["recommend", "--bundle", out, "--user", "u0", "--top", "20", "--json"]).json)
      #expect(found.count == 20)
      #expect(found.allSatisfy { !$0.title.isEmpty })
      #expect(found.contains { $0.title == $0.id })
    }
  }
}
