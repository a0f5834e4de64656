import Foundation
import TestSupport
import Testing

/// `glta tune` as people call it.
@Suite struct TuneTests {
  private func arguments(_ out: String, _ more: [String] = []) throws -> [String] {
    ["tune", "--data", try SmallWorld.get().data, "--out", out, "--epochs", "10", "--json"] + more
  }

  private func trials(_ output: Tool.Output) throws -> [[String: Any]] {
    try #require(output.json["trials"] as? [[String: Any]], "\(output.error)")
  }

  @Test func keepsTheBestOfItsTrialsAndTheSettingsTrainAgain() throws {
    let folder = try TemporaryFolder()
    let out = folder.path + "/search"
    let output = try Tool.succeed(arguments(out, ["--trials", "4"]))
    let trials = try trials(output)
    #expect(trials.count == 4)
    // The first has the settings as they are: a search never ends below its start.
    #expect((trials[0]["settings"] as? [String: Any])?.isEmpty == true)
    let best = try #require((output.json["best"] as? [String: Any])?["validation"] as? Double)
    #expect(trials.compactMap { $0["validation"] as? Double }.max() == best)
    let table = try String(contentsOfFile: out + "/trials.tsv", encoding: .utf8).split(separator: "\n")
    #expect(table.count == 5 && table[1].contains(String(format: "%.5f", best)))
    let trained = try Tool.succeed([
      "train", "--graph-only", "--data", try SmallWorld.get().data, "--config", out + "/best.json", "--out",
      folder.path + "/vectors", "--json",
    ])
    #expect(try #require(trained.json["validation"] as? Double) == best)
  }

  @Test func goesOnWhereItWasStopped() throws {
    let folder = try TemporaryFolder()
    let (whole, parts) = (folder.path + "/whole", folder.path + "/parts")
    let expected = try trials(Tool.succeed(arguments(whole, ["--trials", "4"])))
    _ = try Tool.succeed(arguments(parts, ["--trials", "2"]))
    // Killed inside of the third one.
    let killed = try Tool.run(arguments(parts, ["--trials", "4"])) {
      FileManager.default.fileExists(atPath: parts + "/trial-2.safetensors.run/graph.safetensors") ? SIGKILL : nil
    }
    let resumed = try trials(Tool.succeed(arguments(parts, ["--trials", "4"])))
    #expect(killed.wasKilled || killed.status == 0)
    #expect(expected.map { $0["validation"] as? Double } == resumed.map { $0["validation"] as? Double })
    // What has ended is not trained again.
    let again = try trials(Tool.succeed(arguments(parts, ["--trials", "4"])))
    #expect(again.map { $0["seconds"] as? Double } == resumed.map { $0["seconds"] as? Double })
  }

  @Test func searchesMethodsWithoutEpochs() throws {
    let folder = try TemporaryFolder()
    let output = try Tool.succeed(arguments(folder.path + "/ease", ["--method", "ease", "--trials", "3"]))
    #expect(try trials(output).allSatisfy { ($0["validation"] as? Double ?? 0) > 0 })
    let space = try folder.write("space.json", #"{"easeL2": [10, 100, 1000]}"#)
    let all = try Tool.succeed(
      arguments(folder.path + "/all", ["--method", "ease", "--space", space, "--trials", "50"]))
    #expect(try trials(all).count == 4, "no settings are tried twice")
    let one = try Tool.succeed(arguments(folder.path + "/popularity", ["--method", "popularity", "--trials", "3"]))
    #expect(try trials(one).count == 1, "there is nothing to search")
  }

  @Test func saysWhatCannotWork() throws {
    let folder = try TemporaryFolder()
    let space = try folder.write("space.json", #"{"layrs": [1, 2]}"#)
    try Tool.refuse(arguments(folder.path + "/a", ["--space", space]), saying: ["layrs", "known are"])
    let wrong = try folder.write("wrong.json", #"{"temperature": {"from": 0, "to": 1, "scale": "log"}}"#)
    try Tool.refuse(arguments(folder.path + "/b", ["--space", wrong]), saying: ["temperature", "above zero"])
    let zero = try folder.write("zero.json", #"{"temperature": [0]}"#)
    try Tool.refuse(arguments(folder.path + "/c", ["--space", zero]), saying: ["temperature"])
    try Tool.refuse(arguments(folder.path + "/d", ["--minutes", "0.0001"]), saying: ["before the first trial ended"])
    try Tool.refuse(arguments(folder.path + "/g", ["--split", "given"]), saying: ["split"])
    try Tool.refuse(arguments(folder.path + "/e", ["--trials", "0"]), saying: ["trials"])
    _ = try Tool.succeed(arguments(folder.path + "/f", ["--trials", "1"]))
    try Tool.refuse(arguments(folder.path + "/f", ["--trials", "1", "--seed", "9"]), saying: ["another"])
  }
}
