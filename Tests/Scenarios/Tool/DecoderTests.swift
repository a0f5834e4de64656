import Foundation
import Tensors
import TestSupport
import Testing

/// Everything that is said of encoders holds for decoders.
struct DecoderTests {
  private static let model = TestPaths.root + "/Tests/Golden/llama-tiny"

  /// Fewer steps than the recipe: 60 users of characters, not words.
  private static func config(_ folder: TemporaryFolder) throws -> String {
    try folder.write(
      "config.json",
      """
      {"graph": {"epochs": 5}, "alignment": {"itemEpochs": 1, "userEpochs": 2, "slots": 4, "profileTags": 2,
      "predictionTags": 2, "historyLength": 8, "wordsPerItem": 4}}
      """)
  }

  private func train(_ world: SmallWorld, _ folder: TemporaryFolder, out: String, _ more: [String] = []) throws
    -> Tool.Output
  {
    try Tool.succeed(
      [
        "train", "--data", world.data, "--language-model", Self.model, "--out", out, "--config",
        try Self.config(folder), "--recipe", "paper", "--json",
      ] + more)
  }

  @Test func trainsAllStagesAndRanks() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let (one, two) = (folder.path + "/one", folder.path + "/two")
    let first = try train(world, folder, out: one)
    let second = try train(world, folder, out: two, ["--threads", "1", "--copy-language-model"])
    #expect(first.json["contentHash"] as? String == second.json["contentHash"] as? String)
    let inspected = try Tool.succeed(["inspect", "--bundle", one])
    #expect(inspected.out.contains("llama, hidden 48"))
    for mode in ["slots", "first", "autoregressive"] {
      let ranking = ["recommend", "--user", "u3", "--mode", mode, "--json"]
      let (a, b) = (
        try Tool.succeed(ranking + ["--bundle", one]), try Tool.succeed(ranking + ["--bundle", two, "--threads", "1"])
      )
      #expect(a.out == b.out)
      #expect((a.json["items"] as? [Any])?.count == 10)
    }
    for precision in ["bf16", "int8"] {
      try Tool.succeed(["recommend", "--user", "u3", "--bundle", one, "--precision", precision])
    }
    try Tool.succeed(["evaluate", "--bundle", one])
    try Tool.refuse(
      ["recommend", "--user", "u3", "--bundle", one, "--language-model", SmallWorld.model], saying: ["was made with"])
  }

  @Test func writesTagsAndGoesOnAfterAKill() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let (whole, killed) = (folder.path + "/whole.jsonl", folder.path + "/killed.jsonl")
    func arguments(_ out: String) -> [String] {
      ["tags", "--data", world.data, "--language-model", Self.model, "--out", out, "--batch", "3"]
    }
    try Tool.succeed(arguments(whole))
    _ = try Tool.run(
      arguments(killed),
      watch: { (FileManager.default.contents(atPath: killed) ?? Data()).count { $0 == 0x0A } > 1 ? SIGKILL : nil })
    // A line that a kill cut off.
    let handle = try #require(FileHandle(forWritingAtPath: killed))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"id\": \"i9".utf8))
    try handle.close()
    try Tool.refuse(arguments(killed), saying: ["--resume"])
    try Tool.succeed(arguments(killed) + ["--resume", "--threads", "1"])
    #expect(FileManager.default.contents(atPath: killed) == FileManager.default.contents(atPath: whole))
    let again = try Tool.succeed(arguments(killed) + ["--resume"])
    #expect(again.out.contains("40 of them known before"))
    let out = folder.path + "/bundle"
    _ = try train(world, folder, out: out, ["--tags", "generated", "--tags-file", whole])
    let tags = try String(contentsOfFile: out + "/tags.json", encoding: .utf8)
    #expect(tags.contains("vocabulary"))
    try Tool.refuse(arguments(folder.path + "/x").map { $0 == Self.model ? SmallWorld.model : $0 }, saying: ["decoder"])
  }

  @Test func writesTagsForUsersOfWhatTrainingShows() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let (whole, stopped) = (folder.path + "/whole.jsonl", folder.path + "/stopped.jsonl")
    func arguments(_ out: String, _ more: [String] = []) -> [String] {
      ["tags", "--for", "users", "--data", world.data, "--language-model", Self.model, "--out", out] + more
    }
    let written = try Tool.succeed(arguments(whole, ["--batch", "7"]))
    #expect(written.out.contains("users, 0 of them known before"))
    let lines = try String(contentsOfFile: whole, encoding: .utf8).split(separator: "\n")
    try (lines.prefix(9).joined(separator: "\n") + "\n").write(toFile: stopped, atomically: true, encoding: .utf8)
    try Tool.refuse(arguments(stopped, ["--resume"]).map { $0 == "users" ? "items" : $0 }, saying: ["--for users"])
    #expect(
      try Tool.succeed(arguments(stopped, ["--resume", "--threads", "1"])).out.contains("users, 8 of them known"))
    #expect(FileManager.default.contents(atPath: stopped) == FileManager.default.contents(atPath: whole))

    let (out, plain) = (folder.path + "/bundle", folder.path + "/plain")
    _ = try train(world, folder, out: out, ["--tags", "generated", "--tags-file", whole])
    _ = try train(world, folder, out: plain)
    #expect(try String(contentsOfFile: out + "/tags.json", encoding: .utf8).contains("userPrediction"))
    #expect(try !String(contentsOfFile: plain + "/tags.json", encoding: .utf8).contains("userPrediction"))
    for subject in [["--user", "u3"], ["--items", "i1,i2"]] {
      try Tool.succeed(["recommend", "--bundle", out] + subject)
    }
    // Another seed parts the items otherwise: what was shown is now to be predicted.
    let other = ["--seed", "7", "--tags", "generated", "--tags-file", whole, "--out", folder.path + "/other"]
    try Tool.refuse(
      ["train", "--data", world.data, "--language-model", Self.model, "--config", try Self.config(folder)] + other,
      saying: ["must not show", "--seed"])
  }

  @Test func generatesTheSameTextOnAnyThreads() throws {
    func generate(_ more: [String]) throws -> String {
      try Tool.succeed(
        ["model", "generate", "--language-model", Self.model, "--prompt", "the war", "--max-tokens", "20"] + more
      ).out
    }
    #expect(try generate([]) == generate(["--threads", "1"]))
    let drawn = ["--temperature", "1.5", "--seed", "7"]
    #expect(try generate(drawn) == generate(drawn + ["--threads", "1"]))
    #expect(try generate(drawn) != generate(["--temperature", "1.5", "--seed", "8"]))
    try Tool.refuse(
      [
        "model", "generate", "--language-model", Self.model, "--prompt", String(repeating: "war ", count: 200),
      ], saying: ["tokens", "shorten"])
    try Tool.refuse(
      ["model", "generate", "--language-model", Self.model, "--prompt", "war", "--chat"], saying: ["chat template"])
    try Tool.refuse(
      ["model", "generate", "--language-model", SmallWorld.model, "--prompt", "war"], saying: ["does not write"])
  }

  @Test func writesLogits() throws {
    let folder = try TemporaryFolder()
    let out = folder.path + "/logits.safetensors"
    let golden = try SafetensorsFile(path: Self.model + "/golden.safetensors")
    let ids = try golden.indices("1.ids").map(String.init).joined(separator: ",")
    try Tool.succeed(["model", "logits", Self.model, "--ids", ids, "--out", out])
    let (found, expected) = (try SafetensorsFile(path: out).matrix("logits"), try golden.matrix("1.logits"))
    #expect(relativeDifference(found.elements, expected.elements) < 2e-5)
    for ids in ["1,96", "1,-2", "one"] {
      try Tool.refuse(["model", "logits", Self.model, "--ids=" + ids, "--out", out], saying: ["0 to 95"])
    }
    try Tool.refuse(["model", "logits", SmallWorld.model, "--ids", "1", "--out", out], saying: ["bert"])
  }

  @Test func measuresGeneration() throws {
    let arguments = ["model", "benchmark", Self.model, "--generation", "--prompt-tokens", "20", "--new-tokens", "5"]
    let report = try Tool.succeed(arguments + ["--json"]).json
    for rate in ["prefill", "decode"] {
      #expect(try #require(report[rate + "_tokens_per_second"] as? Double) > 0)
    }
    try Tool.refuse(arguments.map { $0 == "20" ? "1000" : $0 }, saying: ["1000", "256"])
  }
}
