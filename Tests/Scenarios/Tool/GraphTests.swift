import Foundation
import TestSupport
import Testing

/// `glta train --graph-only`: every method trains, ranks and is measured without a bundle.
struct GraphTests {
  private func arguments(_ world: SmallWorld, _ out: String, _ more: [String]) -> [String] {
    [
      "train", "--graph-only", "--data", world.data, "--out", out, "--epochs", "6", "--dimensions", "16", "--layers",
      "2",
      "--json",
    ] + more
  }

  @Test(
    arguments: [
      "popularity", "bpr-mf", "ease", "text-knn", "lightgcn", "hccf", "lightgcn+", "hccf+", "rlmrec-con", "rlmrec-gen",
    ])
  func everyMethodRanksTheTestSplit(method: String) throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let output = try Tool.succeed(
      arguments(world, folder.path + "/vectors", ["--method", method, "--language-model", SmallWorld.model]))
    let metrics = try #require(output.json["metrics"] as? [String: Any])
    let ndcg = try #require((metrics["ndcg@20"] as? NSNumber)?.doubleValue)
    #expect(ndcg > 0 && ndcg <= 1)
    #expect(output.error.contains("memory plan"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/vectors.run"))
  }

  @Test func coldItemsAreRankedByTextAndBesideChance() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let output = try Tool.succeed(
      arguments(
        world, folder.path + "/vectors",
        ["--language-model", SmallWorld.model, "--text-nodes", "--split", "cold-items", "--withhold-items", "0.2"]))
    let cold = try #require(output.json["cold"] as? [[String: Any]])
    #expect(cold.compactMap { $0["ranking"] as? String } == ["lightgcn", "text-knn", "chance"])
    for ranking in cold {
      let report = try #require(ranking["report"] as? [String: Any])
      let among = try #require(report["amongWithheld"] as? [String: Any])
      #expect((report["items"] as? Int) == 8)
      // Eight candidates: twenty ranks hold them all.
      #expect((among["recall@20"] as? NSNumber)?.doubleValue == 1)
      #expect(((among["ndcg@10"] as? NSNumber)?.doubleValue ?? 0) > 0)
    }
    try Tool.refuse(
      arguments(world, folder.path + "/none", ["--split", "cold-items", "--withhold-items", "0"]),
      saying: ["withhold", "--withhold-items 0.1"])
  }

  @Test func closedFormsAreRefittedForTheTest() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let output = try Tool.succeed(arguments(world, folder.path + "/ease", ["--method", "ease", "--refit"]))
    let (fitted, refitted) = (output.json["metrics"] as? [String: Double], output.json["refitted"] as? [String: Double])
    #expect(try #require(refitted)["ndcg@20"] ?? 0 > 0 && fitted != refitted)
    try Tool.refuse(
      arguments(world, folder.path + "/lightgcn", ["--refit"]), saying: ["lightgcn stops early", "refit popularity"])
  }

  @Test(arguments: ["bpr", "sampled-softmax", "softmax"], ["f32", "bf16", "int16"])
  func aKilledTrainingResumesToTheSameBytes(loss: String, precision: String) throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let options = ["--loss", loss, "--precision", precision, "--negatives", "8", "--epochs", "60"]
    let (whole, resumed) = (folder.path + "/whole", folder.path + "/resumed")
    try Tool.succeed(arguments(world, whole, options))
    let file = resumed + ".run/graph.safetensors"
    _ = try Tool.run(
      arguments(world, resumed, options), watch: { FileManager.default.fileExists(atPath: file) ? SIGKILL : nil })
    try Tool.succeed(arguments(world, resumed, options + ["--resume", "--threads", "1"]))
    #expect(FileManager.default.contents(atPath: resumed) == FileManager.default.contents(atPath: whole))
  }

  @Test func refusesWhatCannotWork() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/vectors"
    try Tool.refuse(arguments(world, out, ["--temperature", "0"]), saying: ["graph.temperature is 0"])
    try Tool.refuse(arguments(world, out, ["--method", "rlmrec-con"]), saying: ["rlmrec-con", "--language-model"])
    try Tool.refuse(arguments(world, out, ["--method", "slim"]), saying: ["slim"])
    try Tool.refuse(
      SmallWorld.trainArguments(data: world.data, out: out) + ["--method", "ease"], saying: ["ease", "--graph-only"])
    #expect(!FileManager.default.fileExists(atPath: out))
  }

  @Test func aBundleMayStandOnAnotherMethod() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    let hash = try SmallWorld.train(
      data: world.data, out: out,
      ["--method", "lightgcn+", "--without", "item-alignment", "--without", "user-alignment", "--epochs", "4"])
    #expect(hash != world.hash)
    try Tool.succeed(["recommend", "--bundle", out, "--items", "i1,i2", "--json"])
  }
}
