import Foundation
import Tensors
import TestSupport
import Testing

/// What bad input and bad luck get: a clear error, a non-zero exit, and nothing lost.
struct FailureTests {
  private func hash(of bundle: String) throws -> String {
    try #require(Tool.succeed(["inspect", "--bundle", bundle, "--json"]).json["contentHash"] as? String)
  }

  @Test func refusesWhomAndWhatItDoesNotKnow() throws {
    let bundle = try SmallWorld.get().bundle
    try Tool.refuse(["recommend", "--bundle", bundle, "--user", "nobody"], saying: ["nobody", "--items"])
    try Tool.refuse(["recommend", "--bundle", bundle, "--items", "i0,i999"], saying: ["i999"])
    try Tool.refuse(["recommend", "--bundle", bundle, "--user", "u0", "--exclude", "i999"], saying: ["i999"])
    try Tool.refuse(["recommend", "--bundle", bundle, "--user", "u0", "--top", "1000"], saying: ["1000", "remain"])
    try Tool.refuse(["recommend", "--bundle", bundle, "--user", "u0", "--top", "0"], saying: ["--top"])
    try Tool.refuse(["recommend", "--bundle", bundle], saying: ["--user"])
  }

  @Test func refusesABundleOfAnotherLanguageModelOrDataSet() throws {
    let world = try SmallWorld.get()
    let odd = TestPaths.root + "/Tests/Golden/bert-tiny-odd"
    try Tool.refuse(["evaluate", "--bundle", world.bundle, "--language-model", odd], saying: ["language model"])
    try Tool.refuse(
      ["recommend", "--bundle", world.bundle, "--user", "u0", "--language-model", odd], saying: ["language model"])
    let other = world.folder.path + "/other-data"
    try Tool.succeed(["data", "synthetic", "--out", other, "--users", "60", "--items", "40", "--seed", "8"])
    try Tool.refuse(["evaluate", "--bundle", world.bundle, "--data", other], saying: ["another data set", other])
  }

  @Test func refusesALanguageModelOfAnotherClass() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    try folder.write("config.json", #"{"model_type": "mamba"}"#)
    try Tool.refuse(
      ["train", "--data", world.data, "--language-model", folder.path, "--out", folder.path + "/b"],
      saying: ["mamba", "bert"])
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/b"))
  }

  /// In safetensors; that a GGUF file is refused by the same rule, `ModelDescriptionTests` shows.
  @Test func refusesATokenizerBeyondTheEmbedding() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let golden = TestPaths.root + "/Tests/Golden/"
    for (name, source) in [
      ("config.json", "llama-tiny"), ("model.safetensors", "llama-tiny"), ("tokenizer.json", "bpe/smollm2"),
    ] {
      try folder.write("m/" + name, Data(contentsOf: URL(fileURLWithPath: golden + source + "/" + name)))
    }
    try Tool.refuse(
      ["train", "--data", world.data, "--language-model", folder.path + "/m", "--out", folder.path + "/b"],
      saying: ["the tokenizer has", "the model 96"])
  }

  @Test(arguments: ["bert-tiny", "llama-tiny"]) func readsEndlessTextsToTheirLimit(model: String) throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    try FileManager.default.copyItem(atPath: world.data, toPath: folder.path + "/data")
    let file = folder.path + "/data/items.tsv"
    var lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(String.init)
    // A title that is one word, and one of many.
    for (line, title) in [(1, String(repeating: "x", count: 100_000)), (2, String(repeating: "war ", count: 25_000))] {
      var fields = lines[line].split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      fields[1] = title
      lines[line] = fields.joined(separator: "\t")
    }
    try folder.write("data/items.tsv", lines.joined(separator: "\n") + "\n")
    let languageModel = TestPaths.root + "/Tests/Golden/" + model
    let config = try folder.write(
      "config.json", #"{"graph": {"epochs": 1}, "alignment": {"itemEpochs": 1, "userEpochs": 1}}"#)
    try Tool.succeed([
      "train", "--data", folder.path + "/data", "--language-model", languageModel, "--out", folder.path + "/b",
      "--config", config, "--recipe", "paper",
    ])
    try Tool.succeed(["recommend", "--bundle", folder.path + "/b", "--user", "u0"])
    guard model == "llama-tiny" else { return }
    try Tool.succeed([
      "tags", "--data", folder.path + "/data", "--language-model", languageModel, "--out", folder.path + "/tags.jsonl",
    ])
  }

  @Test func refusesABundleThatIsDamagedAnywhere() throws {
    let world = try SmallWorld.get()
    for name in try FileManager.default.contentsOfDirectory(atPath: world.bundle) {
      let folder = try TemporaryFolder()
      let copy = folder.path + "/bundle"
      try FileManager.default.copyItem(atPath: world.bundle, toPath: copy)
      let file = copy + "/" + name
      let whole = try Data(contentsOf: URL(fileURLWithPath: file))
      try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: file))
      let truncated = try Tool.run(["recommend", "--bundle", copy, "--user", "u0"])
      #expect(!truncated.wasKilled, "\(name) truncated: \(truncated.error)")
      // The tool does not need the hash to serve; `inspect` checks it.
      let inspected = try Tool.run(["inspect", "--bundle", copy])
      #expect(inspected.status != 0 && !inspected.wasKilled, "\(name) truncated: \(inspected.out)")
      try FileManager.default.removeItem(atPath: file)
      let missing = try Tool.run(["inspect", "--bundle", copy])
      #expect(missing.status != 0 && !missing.wasKilled, "\(name) missing: \(missing.out)")
    }
    try Tool.refuse(["recommend", "--bundle", "/nowhere", "--user", "u0"], saying: ["/nowhere"])
  }

  @Test(arguments: [
    ("graph encoder", #"{"graph": {"learningRate": 1e38}}"#),
    ("item-text alignment", #"{"alignment": {"itemLearningRate": 1e38}}"#),
    ("user-item alignment", #"{"alignment": {"userLearningRate": 1e38}}"#),
  ])
  func aLossThatIsNoNumberStopsAndKeepsTheOldBundle(stage: String, config: String) throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    try FileManager.default.copyItem(atPath: world.bundle, toPath: out)
    let file = try folder.write("config.json", config)
    let output = try Tool.run(SmallWorld.trainArguments(data: world.data, out: out) + ["--config", file])
    #expect(output.status != 0 && !output.wasKilled)
    for word in [stage, "epoch", "step"] { #expect(output.error.contains(word), "\(output.error)") }
    #expect(try hash(of: out) == world.hash)
    // Checkpoints from before it stay, and hold numbers.
    #expect(FileManager.default.fileExists(atPath: out + ".run/fingerprint.json"))
    for name in try FileManager.default.contentsOfDirectory(atPath: out + ".run") where name.hasSuffix(".safetensors") {
      let file = try SafetensorsFile(path: out + ".run/" + name)
      for tensor in file.names {
        #expect(try file.matrix(tensor, rows: nil, columns: nil).isFinite, "\(name) \(tensor)")
      }
    }
    guard stage != "graph encoder" else { return }
    #expect(FileManager.default.fileExists(atPath: out + ".run/graph.safetensors"))
    // The hint is to lower the rate and go on: stages before are taken up, and the result is that of a run of its own.
    let resumed = try Tool.succeed(SmallWorld.trainArguments(data: world.data, out: out) + ["--resume", "--json"])
    #expect(resumed.error.contains("start anew"))
    #expect(!resumed.error.contains("graph encoder  epoch"))
    #expect(resumed.json["contentHash"] as? String == world.hash)
  }

  /// Whatever the rate does to the numbers in one step only, nothing that is no number is saved.
  @Test func aSingleStepThatLeavesTheNumbersIsNoBundle() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let file = try folder.write(
      "config.json", #"{"graph": {"learningRate": 3e38, "epochs": 1, "evaluateEvery": 1, "batchSize": 16777216}}"#)
    try Tool.refuse(
      SmallWorld.trainArguments(data: world.data, out: folder.path + "/b") + ["--config", file], saying: ["finite"])
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/b"))
  }

  @Test func neverReplacesWhatIsNoBundle() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let thesis = try folder.write("thesis/chapter", "precious")
    for out in [folder.path + "/thesis", folder.path + "/thesis/", thesis] {
      try Tool.refuse(SmallWorld.trainArguments(data: world.data, out: out), saying: ["thesis", "choose another"])
      #expect(try String(contentsOfFile: thesis, encoding: .utf8) == "precious")
    }
    // Nor a folder that only has the name of a run's.
    try folder.write("b.run/chapter", "precious")
    try Tool.refuse(SmallWorld.trainArguments(data: world.data, out: folder.path + "/b"), saying: ["b.run"])
    #expect(FileManager.default.fileExists(atPath: folder.path + "/b.run/chapter"))
    // Reading never moves anything.
    try folder.write("c.glta-old.tmp/chapter", "precious")
    try Tool.refuse(["inspect", "--bundle", folder.path + "/c"], saying: ["not a bundle"])
    #expect(FileManager.default.fileExists(atPath: folder.path + "/c.glta-old.tmp/chapter"))
  }

  @Test func aForgottenResumeLosesNoCheckpoint() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    let file = out + ".run/item-alignment.safetensors"
    try #require(
      try Tool.run(
        SmallWorld.trainArguments(data: world.data, out: out),
        watch: { FileManager.default.fileExists(atPath: file) ? SIGKILL : nil }
      ).wasKilled)
    let saved = try Data(contentsOf: URL(fileURLWithPath: file))
    let again = try Tool.run(
      SmallWorld.trainArguments(data: world.data, out: out),
      watch: {
        // Past the old folder's move, with a checkpoint of its own.
        [".run.old", ".run"].allSatisfy { FileManager.default.fileExists(atPath: out + $0 + "/graph.safetensors") }
          ? SIGKILL : nil
      })
    #expect(again.error.contains("--resume"))
    #expect(try Data(contentsOf: URL(fileURLWithPath: out + ".run.old/item-alignment.safetensors")) == saved)
  }

  @Test func twoRunsDoNotShareAFolder() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    let file = out + ".run/graph.safetensors"
    var second: Tool.Output?
    _ = try Tool.run(
      SmallWorld.trainArguments(data: world.data, out: out),
      watch: {
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        second = try? Tool.run(SmallWorld.trainArguments(data: world.data, out: out) + ["--resume"])
        return SIGKILL
      })
    let output = try #require(second)
    #expect(output.status != 0 && output.error.contains("another process"), "\(output.error)")
  }

  @Test func aDataSetTooSmallForASplitIsSaidToBeSo() throws {
    let folder = try TemporaryFolder()
    let lines = (0..<12).flatMap { user in (0..<3).map { "\(user)\t\((user + $0 * 5) % 9)\t3\t1" } }
    try folder.write("u.data", lines.joined(separator: "\n") + "\n")
    let out = folder.path + "/bundle"
    let output = try Tool.succeed(SmallWorld.trainArguments(data: folder.path, out: out))
    #expect(output.error.contains("no user has a validation item"))
    let evaluated = try Tool.run(["evaluate", "--bundle", out, "--split", "validation", "--json"])
    #expect(evaluated.status != 0 && evaluated.error.contains("validation"), "\(evaluated.error)")
    try Tool.succeed(["recommend", "--bundle", out, "--user", "3", "--top", "3"])
  }

  @Test(arguments: [1, 8, 24])
  func aFullDiskKeepsTheOldBundle(kibibytes: Int) throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    try FileManager.default.copyItem(atPath: world.bundle, toPath: out)
    let output = try Tool.run(
      SmallWorld.trainArguments(data: world.data, out: out) + ["--seed", "9"], fileLimit: kibibytes)
    #expect(output.status != 0 && !output.wasKilled, "\(output.out)")
    #expect(output.error.contains("cannot write"), "\(output.error)")
    #expect(try hash(of: out) == world.hash)
    #expect(try FileManager.default.subpathsOfDirectory(atPath: folder.path).allSatisfy { !$0.hasSuffix(".tmp") })
  }

  @Test func aKillInTheMiddleOfASaveLeavesAWholeBundle() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    try FileManager.default.copyItem(atPath: world.bundle, toPath: out)
    var (kills, current) = (0, world.hash)
    for files in 0..<10 {
      let fresh = out + ".glta-new.tmp"
      let output = try Tool.run(
        SmallWorld.trainArguments(data: world.data, out: out) + ["--seed", "\(100 + files)"],
        watch: {
          guard FileManager.default.fileExists(atPath: fresh) else { return nil }
          let count = (try? FileManager.default.contentsOfDirectory(atPath: fresh).count) ?? 0
          return count >= files ? SIGKILL : nil
        })
      let found = try hash(of: out)
      if output.wasKilled {
        kills += 1
        // The old one or the new one, and whole. Between their exchange and its removal, the old one is still there under
        // the temporary name.
        try Tool.succeed(["recommend", "--bundle", out, "--user", "u3", "--top", "3"])
      } else {
        #expect(found != current)
      }
      current = found
    }
    #expect(kills > 0, "no kill met a save")
  }

  /// Stops a run when a checkpoint appears, in one way or the other, and takes it up again.
  @Test(arguments: [SIGINT, SIGKILL], ["graph", "text", "item-alignment", "user-alignment"])
  func aResumedRunGivesTheBundleOfAnUninterruptedOne(signal: Int32, checkpoint: String) throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    let file = out + ".run/\(checkpoint).safetensors"
    let stopped = try Tool.run(
      SmallWorld.trainArguments(data: world.data, out: out),
      watch: { FileManager.default.fileExists(atPath: file) ? signal : nil })
    if signal == SIGINT && stopped.status != 0 { #expect(stopped.error.contains("--resume"), "\(stopped.error)") }
    #expect(try SmallWorld.train(data: world.data, out: out, ["--resume"]) == world.hash)
    #expect(!FileManager.default.fileExists(atPath: out + ".run"))
    // Once more: nothing is left to do.
    #expect(try SmallWorld.train(data: world.data, out: out, ["--resume"]) == world.hash)
  }

  @Test func resumesOnlyItsOwnRun() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    let file = out + ".run/graph.safetensors"
    let stopped = try Tool.run(
      SmallWorld.trainArguments(data: world.data, out: out),
      watch: { FileManager.default.fileExists(atPath: file) ? SIGKILL : nil })
    try #require(stopped.wasKilled)
    try Tool.refuse(
      SmallWorld.trainArguments(data: world.data, out: out) + ["--resume", "--seed", "5"],
      saying: ["another configuration"])
    // A checkpoint that was damaged by others is said to be so.
    try Data("{}".utf8).write(to: URL(fileURLWithPath: file))
    try Tool.refuse(SmallWorld.trainArguments(data: world.data, out: out) + ["--resume"], saying: ["graph.safetensors"])
  }

  @Test func refusesConfigurationsThatMakeNoSense() throws {
    let world = try SmallWorld.get()
    let folder = try TemporaryFolder()
    let out = folder.path + "/bundle"
    for (config, word) in [
      (#"{"graph": {"depth": 3}}"#, "graph.depth"), (#"{"alignment": {"slots": 0}}"#, "slots"), ("{", "config.json"),
      (#"{"alignment": {"slots": "ten"}}"#, "slots"), (#"{"graph": {"dimensions": -1}}"#, "dimensions"),
      (#"{"graph": {"layers": -1}}"#, "layers"), (#"{"graph": {"epochs": 0}}"#, "epochs"),
      (#"{"userTemplate": "no places"}"#, "emplate"), (#"{"userTemplate": "{user} {slots}"}"#, "{items}"),
      (#"{"itemTemplate": "{items} {slots}"}"#, "{texts}"), (#"{"graph": 5}"#, "graph"),
    ] {
      let file = try folder.write("config.json", config)
      try Tool.refuse(SmallWorld.trainArguments(data: world.data, out: out) + ["--config", file], saying: [word])
    }
  }
}
