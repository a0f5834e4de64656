import Foundation
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
    // Checkpoints from before it stay.
    #expect(FileManager.default.fileExists(atPath: out + ".run/fingerprint.json"))
    if stage != "graph encoder" { #expect(FileManager.default.fileExists(atPath: out + ".run/graph.safetensors")) }
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
      let fresh = out + ".new.tmp"
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
        #expect(found == current || !FileManager.default.fileExists(atPath: fresh))
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
      (#"{"userTemplate": "no places"}"#, "emplate"),
    ] {
      let file = try folder.write("config.json", config)
      try Tool.refuse(SmallWorld.trainArguments(data: world.data, out: out) + ["--config", file], saying: [word])
    }
  }
}
